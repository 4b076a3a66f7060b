"""``facepriv weights``: list the weights files that installed plugins ship, and verify them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from facepriv.cli import console
from facepriv.errors import WeightsError
from facepriv.registry import Plugin, registry
from facepriv.weights import HASH_SUFFIX, SUFFIX, Provenance, load_weights, stored_sha256

#: The keys of `provenance`.
PROVENANCE = ("file", "bytes", "sha256", *(field.name for field in fields(Provenance)))


@click.command("weights", short_help="List the weights that installed plugins ship, and verify them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List every weights file of the installed plugins with its licence, training data and evaluators seen in training.

    Each file is compared with the SHA-256 beside it; exits with 1 if any is damaged, missing or without provenance.
    """
    found = registry()
    rows = [_verified(*one) for one in shipped(found.plugins)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    elif rows:
        head = ("file", "plugin", "size", "SHA-256", "licence", "seen", "trained on")
        console.records(head, map(_shown, rows))
    for text in found.problems():
        console.note(f"warning: {text}")
    failed = [row for row in rows if row["error"]]
    for row in failed:
        console.error(f"{row['error']}; pip install --force-reinstall {row['plugin']}")
    console.note(f"{len(rows)} weights files, {f'{len(failed)} failed' if failed else 'all as their SHA-256 states'}")
    ctx.exit(1 if failed else 0)


def shipped(plugins: Sequence[Plugin]) -> Iterator[tuple[Plugin, str, Path]]:
    """Yield each weights file of the plugins' packages once: plugin, place in the installation, path.

    A missing file is among them if its hash file, or the record of the installation, is still there.
    """
    known = set()
    for plugin in plugins:
        # An editable installation records no file of its package.
        found = {str(file): Path(str(file.locate())) for file in distribution(plugin.distribution).files or ()}
        for folder in _folders(plugin):
            found |= {str(file.relative_to(folder.parent)): file for file in folder.rglob(f"*{SUFFIX}*")}
        names = {name.removesuffix(HASH_SUFFIX): Path(str(f).removesuffix(HASH_SUFFIX)) for name, f in found.items()}
        for name, file in sorted(names.items()):
            if file.suffix == SUFFIX and file.resolve() not in known:
                known.add(file.resolve())
                yield plugin, name, file


def provenance(file: Path, expected_sha256: str | None = None) -> dict[str, Any]:
    """Return size, hash and provenance of a weights file; raises `WeightsError` as `load_weights` does."""
    weights = load_weights(file, expected_sha256)
    origin = asdict(weights.metadata.provenance)
    return {"file": str(file), "bytes": file.stat().st_size, "sha256": weights.sha256, **origin}


def _folders(plugin: Plugin) -> list[Path]:
    """Return where the package of a plugin's module lies, without importing it; a single module has no folder."""
    spec = find_spec(plugin.module.partition(".")[0]) if plugin.module else None
    return [Path(place) for place in (spec and spec.submodule_search_locations) or ()]


def _verified(plugin: Plugin, name: str, file: Path) -> dict[str, Any]:
    row = {"plugin": plugin.distribution, "version": plugin.version, "name": name}
    try:
        return {**row, **provenance(file, stored_sha256(file)), "error": ""}
    except WeightsError as error:
        return {**row, **dict.fromkeys(PROVENANCE), "file": str(file), "error": str(error)}


def _shown(row: dict[str, Any]) -> tuple[str, ...]:
    plugin = f"{row['plugin']} {row['version']}"
    if row["error"]:
        return row["name"], plugin, "", "FAILED", "", "", ""
    size = f"{row['bytes'] / 1e6:.2f} MB"
    seen = ", ".join(row["seen"]) or "no evaluator"
    return row["name"], plugin, size, row["sha256"][:12], row["licence"], seen, row["trained_on"]
