"""``facepriv check``: the conformance kit, on what is installed."""

from __future__ import annotations

import click

from facepriv.cli import console
from facepriv.hookspecs import Kind
from facepriv.registry import registry

_KINDS: tuple[Kind, ...] = ("method", "estimator", "matcher")


@click.command("check", short_help="Run the conformance checks on a method.")
@click.argument("name", metavar="METHOD")
@click.option("--kind", type=click.Choice(_KINDS), default="method", show_default=True,
              help="What NAME is: estimators and matchers have checks too.")  # fmt: skip
@click.pass_context
def command(ctx: click.Context, name: str, kind: Kind) -> None:
    """Run the conformance checks on an installed method, one line a check; exits with 1 if any fails."""
    registry().find(kind, name)

    from facepriv.testing import run_checks

    results = run_checks(name, kind)
    for result in results:
        detail = f": {result.detail}" if result.detail else ""
        click.echo(f"{'ok  ' if result.passed else 'FAIL'} {result.name}{detail}")
    failed = sum(not result.passed for result in results)
    console.note(f"{name}: {len(results) - failed} of {len(results)} checks passed")
    ctx.exit(1 if failed else 0)
