"""Groups of commands provided by plugins: trainers, converters, exporters."""

from __future__ import annotations

from collections.abc import Mapping

import click

from facepriv.cli import LazyGroup
from facepriv.hookspecs import Kind
from facepriv.registry import load_target, registry


class PluginGroup(LazyGroup):
    """Lists the click commands of one kind by their descriptors; only the command that runs is imported.

    Parameters
    ----------
    kind : str
        ``trainer``, ``converter`` or ``exporter``.
    name : str
        Name of the group.
    about : str
        Help text of the group.
    """

    def __init__(self, kind: Kind, name: str, about: str) -> None:
        super().__init__(name, help=about, short_help=about)
        self.kind = kind

    def summaries(self) -> Mapping[str, str]:
        """Return component -> one line."""
        return {name: descriptor.summary for name, descriptor in registry().descriptors(self.kind).items()}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; raises `UsageError` with the most similar names."""
        command: click.Command = load_target(registry().find(self.kind, cmd_name))
        return command
