"""``facepriv methods``: list the installed methods without importing them."""

from __future__ import annotations

import json

import click

from facepriv.cli import console
from facepriv.registry import registry


@click.command("methods", short_help="List the installed methods.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the installed methods and what each can change."""
    found = registry()
    methods = found.descriptors("method")
    if as_json:
        rows = [
            {
                "name": d.name,
                "attributes": list(d.attributes),
                "summary": d.summary,
                "reference": d.reference,
                "distribution": found.owner(d).distribution,
            }
            for d in methods.values()
        ]
        click.echo(json.dumps(rows, indent=1))
    elif methods:
        console.table(
            ("method", "changes", "what it is"),
            [(d.name, ", ".join(d.attributes), d.summary) for d in methods.values()],
        )
    else:
        console.note("no method is installed: pip install facepriv-privacynet, or another plugin")
    for text in found.problems():
        console.note(f"warning: {text}")
