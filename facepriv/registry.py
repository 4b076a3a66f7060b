"""Finds plugins through entry points, isolates broken ones, loads a component on first use.

pluggy's own entry-point loader lets one broken plugin end the program; here each is loaded in its own try.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from facepriv import hookspecs
from facepriv.attacks.base import Attack
from facepriv.contracts import CONTRACT_VERSION, AttributeEstimator, FaceMatcher, Perturber
from facepriv.errors import FaceprivError, PluginError, UsageError, one_line
from facepriv.hookspecs import KINDS, Descriptor, Kind
from facepriv.schema import nearest

GROUP = "facepriv"
_CLASSES: dict[Kind, type] = {
    "perturber": Perturber,
    "estimator": AttributeEstimator,
    "matcher": FaceMatcher,
    "attack": Attack,
}


@dataclass(frozen=True)
class Plugin:
    """One entry point: its distribution, what it brings, or why it was not loaded."""

    name: str
    distribution: str
    version: str
    components: tuple[Descriptor, ...] = ()
    error: str = ""
    traceback: str = field(default="", compare=False, repr=False)


@dataclass
class Registry:
    """All plugins of an environment and the components they bring."""

    plugins: list[Plugin] = field(default_factory=list)

    @classmethod
    def discover(cls, found: list[EntryPoint] | None = None) -> Registry:
        """Load every plugin of the entry-point group ``facepriv``; a broken one is kept with its error."""
        points = entry_points(group=GROUP) if found is None else found
        return cls([_load(point) for point in sorted(points, key=lambda p: (p.name, p.value))])

    def descriptors(self, kind: Kind) -> dict[str, Descriptor]:
        """Return the components of `kind` by name, in order; a clashing name is left out (`find` says why)."""
        owners = self._owners(kind)
        return {name: plugins[0][1] for name, plugins in sorted(owners.items()) if len(plugins) == 1}

    def clashes(self) -> list[str]:
        """Return one line for each name that two distributions claim."""
        return [
            _clash_text(kind, name, [plugin for plugin, _ in owners])
            for kind in KINDS
            for name, owners in sorted(self._owners(kind).items())
            if len(owners) > 1
        ]

    def problems(self) -> list[str]:
        """Return one line for each plugin that could not be loaded and each clash of names."""
        broken = [f"plugin '{p.name}' of {p.distribution} was not loaded: {p.error}" for p in self.plugins if p.error]
        return broken + self.clashes()

    def owner(self, descriptor: Descriptor) -> Plugin:
        """Return the plugin that brings `descriptor`, one of `descriptors` or `find`."""
        return next(plugin for plugin in self.plugins if descriptor in plugin.components)

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
        hint = "".join(f"; not loaded: {p.distribution}: {p.error}" for p in self.plugins if p.error)
        listed = f"known are {', '.join(known)}" if known else "none is installed"
        raise UsageError(f"unknown {word} '{name}'{nearest(name, known)}: {listed}{hint}")

    def with_options(self, kind: Kind, name: str, options: Mapping[str, object]) -> Registry:
        """Return a registry in which `name` is built with `options` on top of its own; raises what `find` raises."""
        descriptor = self.find(kind, name)
        other = replace(descriptor, options={**descriptor.options, **options})
        return Registry(
            [replace(p, components=tuple(other if d is descriptor else d for d in p.components)) for p in self.plugins]
        )

    def create(self, kind: Kind, name: str, **options: Any) -> Any:
        """Import the target of `name` and build it with its descriptor's options, then `options`.

        Raises
        ------
        UsageError
            If no plugin brings it.
        PluginError
            If two claim the name, or the target cannot be imported or built, or is of another class than its kind's.
        """
        descriptor = self.find(kind, name)
        target = load_target(descriptor)
        keywords = {**descriptor.options, **options}
        try:
            component = target(**keywords)
        except FaceprivError:
            raise
        except Exception as error:  # a plugin may raise anything; the user gets one line, not its traceback
            given = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
            raise PluginError(
                f"{kind} '{name}' cannot be built ({given or 'no options'}): {one_line(error)}"
            ) from error
        wanted = _CLASSES.get(kind)
        if wanted is not None and not isinstance(component, wanted):
            raise PluginError(f"{kind} '{name}' is a {type(component).__name__}, not a {wanted.__name__}")
        return component

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
    except (Exception, SystemExit) as error:  # a plugin may raise anything; the user gets one line, not its traceback
        raise PluginError(
            f"{descriptor.kind} '{descriptor.name}' cannot be loaded from {descriptor.target}: {one_line(error)}"
        ) from error


@cache
def registry() -> Registry:
    """Return the registry of this environment, discovered once."""
    return Registry.discover()


def _load(point: EntryPoint) -> Plugin:
    dist = point.dist
    distribution, version = (dist.name, dist.version) if dist else (point.value, "")
    try:
        components = _components(point.load())
        return Plugin(point.name, distribution, version, components)
    except PluginError as error:
        return Plugin(point.name, distribution, version, error=str(error))
    except (Exception, SystemExit) as error:  # one broken plugin must not end the program
        shown = "".join(traceback.format_exception(error))
        return Plugin(point.name, distribution, version, error=one_line(error), traceback=shown)


def _components(module: Any) -> tuple[Descriptor, ...]:
    """Ask a plugin's module what it brings; raises `PluginError` if it is not of our contract."""
    if not hasattr(module, "FACEPRIV_CONTRACT"):
        raise PluginError(f"names no contract version: add FACEPRIV_CONTRACT = {CONTRACT_VERSION} to the plugin")
    if module.FACEPRIV_CONTRACT != CONTRACT_VERSION:
        raise PluginError(
            f"built for contract version {module.FACEPRIV_CONTRACT}, this facepriv speaks {CONTRACT_VERSION}: "
            "update the older of the two"
        )
    # A manager of its own, so that a hook that raises cannot hide another plugin's answer.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()  # a misspelt hook would never be called
    answers = manager.hook.facepriv_components()
    if not answers:
        raise PluginError("brings nothing: its hook facepriv_components is missing or returned None")
    if isinstance(answers[0], str) or not isinstance(answers[0], Iterable):
        raise PluginError(f"its hook facepriv_components returned {_shown(answers[0])}, expected Descriptors")
    brought = tuple(answers[0])
    for item in brought:
        if not isinstance(item, Descriptor):
            raise PluginError(f"its hook facepriv_components returned {_shown(item)}, expected Descriptors")
    return brought


def _clash_text(kind: str, name: str, plugins: list[Plugin]) -> str:
    owners = sorted({plugin.distribution for plugin in plugins})
    if len(owners) == 1:
        return f"{kind} '{name}' is brought twice by {owners[0]}: rename one of them there"
    return f"{kind} '{name}' is claimed by {' and '.join(owners)}: uninstall one of them"


def _shown(item: object) -> str:
    return f"{type(item).__name__} {item!r:.60}"
