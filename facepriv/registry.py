"""Finds plugins through entry points, isolates broken ones, loads a component on first use.

pluggy's own entry-point loader lets one broken plugin end the program; here each is loaded in its own try.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from facepriv import hookspecs
from facepriv.contracts import CONTRACT_VERSION
from facepriv.errors import PluginError, UsageError
from facepriv.hookspecs import Descriptor, Kind
from facepriv.schema import nearest

GROUP = "facepriv"


@dataclass(frozen=True)
class Plugin:
    """One entry point: its distribution, what it brings, or why it was not loaded."""

    name: str
    distribution: str
    version: str
    components: tuple[Descriptor, ...] = ()
    error: str = ""


@dataclass
class Registry:
    """All plugins of an environment and the components they bring."""

    plugins: list[Plugin] = field(default_factory=list)

    @classmethod
    def discover(cls, found: list[EntryPoint] | None = None) -> Registry:
        """Load every plugin of the entry-point group ``facepriv``; a broken one is kept with its error."""
        points = entry_points(group=GROUP) if found is None else found
        return cls([_load(point) for point in sorted(points, key=lambda p: p.name)])

    def descriptors(self, kind: Kind) -> dict[str, Descriptor]:
        """Return the components of `kind` by name, in order; a clashing name is left out (`find` says why)."""
        owners = self._owners(kind)
        return {name: plugins[0][1] for name, plugins in sorted(owners.items()) if len(plugins) == 1}

    def clashes(self) -> list[str]:
        """Return one line for each name that two distributions claim."""
        kinds: tuple[Kind, ...] = ("perturber", "estimator", "matcher", "trainer")
        return [
            _clash_text(kind, name, [plugin for plugin, _ in owners])
            for kind in kinds
            for name, owners in sorted(self._owners(kind).items())
            if len(owners) > 1
        ]

    def find(self, kind: Kind, name: str) -> Descriptor:
        """Return the descriptor of `name`.

        Raises
        ------
        UsageError
            If no plugin brings it; the nearest names are given, and plugins that failed to load are named.
        PluginError
            If two distributions claim the name; both are named.
        """
        owners = self._owners(kind).get(name, [])
        if len(owners) == 1:
            return owners[0][1]
        if owners:
            raise PluginError(_clash_text(kind, name, [plugin for plugin, _ in owners]))
        known = self.descriptors(kind)
        word = "method" if kind == "perturber" else kind
        broken = [plugin.distribution for plugin in self.plugins if plugin.error]
        hint = f"; not loaded: {', '.join(broken)} (see 'facepriv plugins')" if broken else ""
        listed = ", ".join(known) or "none installed"
        raise UsageError(f"unknown {word} '{name}'{nearest(name, known)}: known are {listed}{hint}")

    def create(self, kind: Kind, name: str, **options: Any) -> Any:
        """Import the target of `name` and build it with its descriptor's options, then `options`."""
        descriptor = self.find(kind, name)
        target = load_target(descriptor)
        return target(**{**descriptor.options, **options})

    def _owners(self, kind: Kind) -> dict[str, list[tuple[Plugin, Descriptor]]]:
        owners: dict[str, list[tuple[Plugin, Descriptor]]] = {}
        for plugin in self.plugins:
            for descriptor in plugin.components:
                if descriptor.kind == kind:
                    owners.setdefault(descriptor.name, []).append((plugin, descriptor))
        return owners


def load_target(descriptor: Descriptor) -> Any:
    """Import what a descriptor points at; raises `PluginError` with the cause in one line."""
    module, _, name = descriptor.target.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # a plugin may raise anything; the user gets one line, not its traceback
        raise PluginError(
            f"{descriptor.kind} '{descriptor.name}' cannot be loaded from {descriptor.target}: {_line(error)}"
        ) from error


@cache
def registry() -> Registry:
    """Return the registry of this environment, discovered once."""
    return Registry.discover()


def _load(point: EntryPoint) -> Plugin:
    dist = point.dist
    distribution, version = (dist.name, dist.version) if dist else (point.value, "")
    try:
        module = point.load()
        wanted = getattr(module, "FACEPRIV_CONTRACT", None)
        if wanted != CONTRACT_VERSION:
            text = f"built for contract version {wanted}, this facepriv speaks {CONTRACT_VERSION}: update the plugin"
            return Plugin(point.name, distribution, version, error=text)
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(module)
        brought = [d for components in manager.hook.facepriv_components() for d in components]
        return Plugin(point.name, distribution, version, tuple(brought))
    except (Exception, SystemExit) as error:  # one broken plugin must not end the program
        return Plugin(point.name, distribution, version, error=_line(error))


def _clash_text(kind: str, name: str, plugins: list[Plugin]) -> str:
    owners = " and ".join(sorted(plugin.distribution for plugin in plugins))
    return f"{kind} '{name}' is claimed by {owners}: uninstall one of them"


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
