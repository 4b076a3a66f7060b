"""What is known about one method: from its descriptor, its class, its weights and the metadata of its package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from email.message import Message
from functools import cached_property
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, cast

from facepriv.cli.weights import PROVENANCE, provenance
from facepriv.contracts import Perturber
from facepriv.errors import DataError, FaceprivError, one_line
from facepriv.protection.request import POLICIES, RELATIVE_TARGETS
from facepriv.registry import Plugin, Registry, load_target
from facepriv.schema import attribute
from facepriv.settings import settings_of

#: What a class declares, see `Perturber`.
_DECLARED = ("needs", "crop_size", "paste", "stochastic", "neutral")


def method_facts(found: Registry, name: str) -> dict[str, Any]:
    """Return the facts of a method, ready for JSON; a value is None where it cannot be read, with the reason.

    Raises
    ------
    UsageError
        If no plugin provides the method.
    PluginError
        If it cannot be imported.
    """
    descriptor = found.find("method", name)
    plugin, target = found.owner(descriptor), load_target(descriptor)
    settings = [asdict(setting) for setting in settings_of(descriptor)]
    reader = _Reader(target)
    try:
        reader.method = found.create("method", name)
    except FaceprivError as error:
        reader.problems.append(str(error))
    declared = {what: reader.read(what) for what in _DECLARED}
    return {
        "name": name,
        "summary": descriptor.summary,
        "about": _about(target),
        "attributes": list(descriptor.attributes),
        "policies": list(POLICIES),
        "targets": {a: _targets(a, declared["neutral"] or ()) for a in descriptor.attributes},
        **declared,
        "needs": None if declared["needs"] is None else sorted(declared["needs"]),
        "settings": settings,
        "seen": reader.seen(),
        "weights": reader.weights(),
        "reference": descriptor.reference,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "links": _links(plugin),
        "has_readme": bool(_readme(plugin)),
        "problems": list(dict.fromkeys(reader.problems)),
    }


def readme(plugin: Plugin) -> str:
    """Return the README that a plugin's package was built with; raises `DataError` if it has none."""
    text = _readme(plugin)
    if not text:
        raise DataError(f"{plugin.distribution} was built without a README: name one in its pyproject.toml")
    return text


class _Reader:
    """Reads a method's own statements; a plugin may raise anything, which becomes a problem and no traceback."""

    def __init__(self, target: Any) -> None:
        #: The class until the method is built.
        self.method: Any = target
        self.problems: list[str] = []

    def read(self, what: str) -> Any:
        """Return a declaration, None if it cannot be read."""
        value = self._attempt(lambda: getattr(self.method, what))
        return None if isinstance(value, property) else value

    def seen(self) -> list[str] | None:
        """Return the evaluators seen in training."""
        return None if self._info is None else list(self._info.get("seen") or ())

    def weights(self) -> list[dict[str, Any]] | None:
        """Return the provenance of the weights in use: of one file, or none for a method without weights."""
        if self._info is None:
            return None
        if hasattr(self.method, "weights_path"):
            return self._attempt(lambda: [provenance(Path(self.method.weights_path()))])
        sha256 = str(self._info.get("weights") or "")
        return [dict.fromkeys(PROVENANCE) | {"sha256": sha256}] if sha256 else []

    @cached_property
    def _info(self) -> dict[str, Any] | None:
        return self._attempt(lambda: self.method.info()) if isinstance(self.method, Perturber) else None

    def _attempt(self, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except (Exception, SystemExit) as error:
            self.problems.append(one_line(error))
            return None


def _about(target: Any) -> str:
    """Return the prose of the target's own docstring, without its sections."""
    from docstring_parser import parse

    found = parse(target.__doc__ or "")
    return " ".join(f"{found.short_description or ''} {found.long_description or ''}".split())


def _targets(name: str, neutral: tuple[str, ...]) -> list[str]:
    """Return what an attribute can be set to with ``--target``."""
    relative = [word for word in RELATIVE_TARGETS if word != "neutral" or name in neutral]
    return [*attribute(name).classes, *relative]


def _links(plugin: Plugin) -> dict[str, str]:
    """Return label -> address, as the package declares them."""
    pairs = (line.partition(",") for line in _metadata(plugin).get_all("Project-URL") or ())
    return {label.strip(): address.strip() for label, _, address in pairs}


def _readme(plugin: Plugin) -> str:
    found = _metadata(plugin)
    return str(found.get("Description") or found.get_payload() or "").strip()


def _metadata(plugin: Plugin) -> Message:
    return cast(Message, metadata(plugin.distribution))
