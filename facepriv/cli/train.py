"""``facepriv train``: the trainers that plugins bring, each a click command."""

from __future__ import annotations

from collections.abc import Mapping

import click

from facepriv.cli import LazyGroup
from facepriv.registry import load_target, registry


class _Trainers(LazyGroup):
    """Lists trainers by their descriptors; only the one that runs is imported."""

    def summaries(self) -> Mapping[str, str]:
        """Return trainer -> one line."""
        return {name: descriptor.summary for name, descriptor in registry().descriptors("trainer").items()}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one trainer; raises `UsageError` with the nearest names."""
        command: click.Command = load_target(registry().find("trainer", cmd_name))
        return command


@click.group("train", cls=_Trainers, short_help="Train a method or an estimator that a plugin brings.")
def command() -> None:
    """Train a method or an estimator that an installed plugin brings."""
