"""``facepriv methods``: list the installed methods without importing them, or show what is known about one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import click

from facepriv.cli import console
from facepriv.errors import UsageError
from facepriv.registry import Registry, registry

_NEEDS = {"labels": "the face's own classes (estimated where they are not given)", "landmarks": "68 landmarks"}
_PASTE = {
    "residual": "the difference is added to the photo, which keeps its detail",
    "replacement": "its pixels replace those of the photo",
}
_UNKNOWN = "not known, see the warning"


@click.command("methods", short_help="List the installed methods, or show one in detail.")
@click.argument("name", metavar="[METHOD]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--page", is_flag=True, help="Print the README of METHOD's package.")
def command(name: str | None, as_json: bool, page: bool) -> None:
    """List the installed methods and what each can change.

    With METHOD: what it changes and needs, its settings, its weights with their licence, and its source.
    """
    found = registry()
    if name is not None:
        _show_one(found, name, as_json, page)
    elif page:
        raise UsageError("--page: name a method, facepriv methods METHOD --page")
    else:
        _list(found, as_json)
    for text in found.problems():
        console.note(f"warning: {text}")


def _list(found: Registry, as_json: bool) -> None:
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


def _show_one(found: Registry, name: str, as_json: bool, page: bool) -> None:
    from facepriv.cli.method_facts import method_facts, readme

    if page:
        click.echo(readme(found.owner(found.find("method", name))))
        return
    facts = method_facts(found, name)
    if as_json:
        click.echo(json.dumps(facts, indent=1, default=str))
        return
    console.table((name, facts["summary"]), [row for row in _rows(facts) if row[1]])
    if facts["settings"]:
        click.echo()
        console.table(("setting", f"--set {name}.SETTING=VALUE"), map(_setting, facts["settings"]))
    for text in facts["problems"]:
        console.warning(text)


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and text of each fact; an empty text is not shown."""
    yield "about", facts["about"]
    yield "changes", ", ".join(facts["attributes"]) or "nothing"
    yield "policies", ", ".join(facts["policies"])
    for attribute, targets in facts["targets"].items():
        yield "targets", f"{attribute}={'|'.join(targets)}"
    yield "needs", _known(facts["needs"], lambda needs: ", ".join(_NEEDS.get(n, n) for n in needs) or "nothing")
    yield "crop", _known(facts["crop_size"], lambda size: f"{size} pixels" if size else "any size")
    yield "pasting", _known(facts["paste"], lambda paste: f"{paste}: {_PASTE.get(paste, '')}")
    yield (
        "random",
        _known(facts["stochastic"], lambda drawn: "drawn for each face" if drawn else "no (with the default settings)"),
    )
    yield from _weights(facts["weights"])
    yield "seen", _known(facts["seen"], lambda seen: f"{', '.join(seen) or 'no evaluator'} (in training)")
    yield "source", facts["reference"]
    yield "package", f"{facts['distribution']} {facts['version']}".strip()
    for label, address in facts["links"].items():
        yield label.lower(), address
    yield "page", f"facepriv methods {facts['name']} --page" if facts["has_readme"] else ""


def _weights(files: list[dict[str, Any]] | None) -> Iterator[tuple[str, str]]:
    if not files:
        yield "weights", _UNKNOWN if files is None else "none of its own"
    for weights in files or ():
        size = f"{weights['bytes'] / 1e6:.1f} MB" if weights["bytes"] else "the method names no file"
        yield "weights", ", ".join(filter(None, (weights["file"], size, f"SHA-256 {weights['sha256'][:12]}")))
        yield "licence", f"{weights['licence']} (of the weights)" if weights["licence"] else ""
        yield "trained on", weights["trained_on"] or ""


def _known(value: Any, text: Callable[[Any], str]) -> str:
    return _UNKNOWN if value is None else text(value)


def _setting(setting: dict[str, Any]) -> tuple[str, str]:
    """Return name and meaning of a setting, in the form of click's help."""
    default = "required" if setting["required"] else f"default: {_as_given(setting['default'])}"
    value = ", ".join(filter(None, (setting["type"], setting["limits"])))
    return setting["name"], f"{setting['description']} [{value}; {default}]".strip()


def _as_given(value: Any) -> str:
    """Return a default as ``--set`` would take it."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
