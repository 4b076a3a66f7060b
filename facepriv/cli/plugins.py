"""``facepriv plugins``: list the installed plugins, their components and their errors."""

from __future__ import annotations

import json

import click

from facepriv.cli import console
from facepriv.registry import Plugin, registry


@click.command("plugins", short_help="List the installed plugins, and what is wrong with any.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--strict", is_flag=True, help="Exit with 1 if a plugin is broken or names clash.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, strict: bool) -> None:
    """List the installed plugins and their components; a broken plugin is shown with its error and affects no other."""
    found = registry()
    if as_json:
        content = {"plugins": [_as_dict(plugin) for plugin in found.plugins], "clashes": found.clashes()}
        click.echo(json.dumps(content, indent=1))
    elif found.plugins:
        rows = [
            (plugin.distribution, plugin.version, *component)
            for plugin in found.plugins
            for component in _components(plugin)
        ]
        console.table(("plugin", "version", "kind", "names"), rows)
    else:
        console.note("no plugin is installed: pip install facepriv-privacynet, or another")
    for text in found.problems():
        console.error(text)
    ctx.exit(1 if strict and found.problems() else 0)


def _components(plugin: Plugin) -> list[tuple[str, str]]:
    """Return (kind, names) for each kind of component, or the reason if there are none."""
    if plugin.error:
        return [("not loaded", plugin.error)]
    names: dict[str, list[str]] = {}
    for descriptor in plugin.components:
        names.setdefault(descriptor.kind, []).append(descriptor.name)
    return [(kind, ", ".join(found)) for kind, found in names.items()]


def _as_dict(plugin: Plugin) -> dict[str, object]:
    components = [{"kind": d.kind, "name": d.name, "summary": d.summary} for d in plugin.components]
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "components": components,
        "error": plugin.error,
    }
