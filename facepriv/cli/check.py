"""``facepriv check``: the conformance kit, on what is installed."""

from __future__ import annotations

from typing import Any

import click

from facepriv.cli import console
from facepriv.registry import registry

_KINDS = {"method": "perturber", "estimator": "estimator", "matcher": "matcher"}


@click.command("check", short_help="Run the conformance checks on a method.")
@click.argument("name", metavar="METHOD")
@click.option("--kind", type=click.Choice(list(_KINDS)), default="method", show_default=True,
              help="What NAME is: estimators and matchers have checks too.")  # fmt: skip
@click.pass_context
def command(ctx: click.Context, name: str, kind: str) -> None:
    """Run the conformance checks on an installed method, one line a check; exits with 1 if any fails."""
    component: Any = _KINDS[kind]
    registry().find(component, name)

    from facepriv.testing import run_checks

    results = run_checks(name, component)
    for result in results:
        detail = f": {result.detail}" if result.detail else ""
        click.echo(f"{'ok  ' if result.passed else 'FAIL'} {result.name}{detail}")
    failed = sum(not result.passed for result in results)
    console.note(f"{name}: {len(results) - failed} of {len(results)} checks passed")
    ctx.exit(1 if failed else 0)
