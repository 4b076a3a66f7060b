"""``facepriv doctor``: check that the installation is complete and works on a real face."""

from __future__ import annotations

import click

from facepriv.cli import console
from facepriv.registry import registry

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor", short_help="Check this installation, with a self-test on a real face.")
@click.option("--device", default="cpu", show_default=True, help="The torch device to check.")
@click.pass_context
def command(ctx: click.Context, device: str) -> None:
    """Check libraries, models, plugins, weights and device, and protect a real face; exits with 1 on a failure."""
    from facepriv.cli.doctor_checks import examine

    failed = 0
    for finding in examine(registry(), device):
        failed += finding.status == "fail"
        click.echo(
            f"{click.style(f'{finding.status:4}', fg=_COLOURS[finding.status])} {finding.subject}: {finding.text}"
        )
    console.note(f"{failed} failed" if failed else "this installation works")
    ctx.exit(1 if failed else 0)
