"""``facepriv check``: run the conformance checks on an installed component."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from facepriv.cli import console
from facepriv.errors import UsageError
from facepriv.hookspecs import Kind
from facepriv.registry import registry

if TYPE_CHECKING:
    from facepriv.testing import Cause, Result

_KINDS: tuple[Kind, ...] = ("method", "estimator", "matcher", "detector")


@click.command("check", short_help="Run the conformance checks on a method.")
@click.argument("name", metavar="METHOD")
@click.option(
    "--kind",
    type=click.Choice(_KINDS),
    default="method",
    show_default=True,
    help="What NAME is: estimators, matchers and detectors have checks too.",
)
@click.option("--traceback", "with_traceback", is_flag=True, help="Show where each error was raised.")
@click.pass_context
def command(ctx: click.Context, name: str, kind: Kind, with_traceback: bool) -> None:
    """Run the conformance checks on an installed method, one line per check; exits with 1 if any fails.

    Failures come first, each cause once, with the number of checks that fail for the same reason.
    """
    try:
        registry().find(kind, name)
    except UsageError:
        for plugin in registry().plugins if with_traceback else ():
            click.echo(plugin.traceback, err=True, nl=False)
        raise

    from facepriv.testing import causes, run_checks

    results = run_checks(name, kind)
    for cause in causes(results):
        _show(cause, with_traceback)
    for result in results:
        if result.passed:
            _line("warn" if result.warned else "ok", result)
    failed = sum(not result.passed for result in results)
    console.note(f"{name}: {len(results) - failed} of {len(results)} checks passed{_warnings(results)}")
    ctx.exit(1 if failed else 0)


def _show(cause: Cause, with_traceback: bool) -> None:
    """Print a failure, the checks that fail for the same reason, and where it was raised."""
    _line("FAIL", cause.result)
    if with_traceback and cause.result.error is not None:
        for text in traceback.format_exception(cause.result.error):
            click.echo("".join(f"     {line}\n" for line in text.splitlines()), nl=False)
    if cause.repeats:
        count = len(cause.repeats)
        checks = "1 further check" if count == 1 else f"{count} further checks"
        click.echo(f"     {checks} failed for the same reason: {', '.join(cause.repeats)}")


def _line(word: str, result: Result) -> None:
    click.echo(f"{word:4} {result.name}{f': {result.detail}' if result.detail else ''}")


def _warnings(results: Sequence[Result]) -> str:
    count = sum(result.warned for result in results)
    return f", {count} of them with a warning" if count else ""
