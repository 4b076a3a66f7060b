"""Finds plugins through entry points, isolates broken ones, loads a component on first use.

With pluggy's own entry-point loader one broken plugin ends the program; here each is loaded in its own ``try``.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np
import pluggy
from numpy.typing import NDArray

from facepriv import hookspecs
from facepriv.contracts import (
    CONTRACT_VERSION,
    UNKNOWN,
    Attack,
    AttributeEstimator,
    FaceDetector,
    FaceMatcher,
    Images,
    Perturber,
)
from facepriv.errors import FaceprivError, PluginError, UsageError, WeightsError, one_line
from facepriv.hookspecs import KINDS, Descriptor, Kind
from facepriv.schema import ATTRIBUTES, attribute, nearest

GROUP = "facepriv"
_CLASSES: dict[Kind, type] = {
    "method": Perturber,
    "estimator": AttributeEstimator,
    "matcher": FaceMatcher,
    "detector": FaceDetector,
    "attack": Attack,
}


@dataclass(frozen=True)
class Plugin:
    """One entry point: its distribution, its components, or the reason why it was not loaded."""

    name: str
    distribution: str
    version: str
    components: tuple[Descriptor, ...] = ()
    error: str = ""
    traceback: str = field(default="", compare=False, repr=False)
    module: str = ""  # that its entry point names


@dataclass
class Registry:
    """All plugins of an environment and their components."""

    plugins: list[Plugin] = field(default_factory=list)
    #: Kind and name of an alias -> the plugin's name of the component.
    aliases: dict[tuple[Kind, str], str] = field(default_factory=dict)

    @classmethod
    def discover(cls, found: list[EntryPoint] | None = None) -> Registry:
        """Load every plugin of the entry-point group ``facepriv``; a broken one is kept with its error."""
        points = entry_points(group=GROUP) if found is None else found
        return cls([_load(point) for point in sorted(points, key=lambda p: (p.name, p.value))])

    def descriptors(self, kind: Kind) -> dict[str, Descriptor]:
        """Return the components of `kind` by name, in order; conflicting names are left out (`find` reports them)."""
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
        """Return one line for each plugin that could not be loaded and each name conflict."""
        broken = [f"plugin '{p.name}' of {p.distribution} was not loaded: {p.error}" for p in self.plugins if p.error]
        return broken + self.clashes()

    def owner(self, descriptor: Descriptor) -> Plugin:
        """Return the plugin of `descriptor`, which comes from `descriptors` or `find`."""
        return next(plugin for plugin in self.plugins if descriptor in plugin.components)

    def find(self, kind: Kind, name: str) -> Descriptor:
        """Return the descriptor of `name`.

        Raises
        ------
        UsageError
            If no plugin provides it; the text lists the most similar names and the plugins that failed to load.
        PluginError
            If two distributions claim the name; the text lists both.
        """
        owners = self._owners(kind).get(name, [])
        if len(owners) == 1:
            return owners[0][1]
        if owners:
            raise PluginError(_clash_text(kind, name, [plugin for plugin, _ in owners]))
        known = self.descriptors(kind)
        hint = "".join(f"; not loaded: {p.distribution}: {p.error}" for p in self.plugins if p.error)
        listed = f"known are {', '.join(known)}" if known else "none is installed"
        raise UsageError(f"unknown {kind} '{name}'{nearest(name, known)}: {listed}{hint}")

    def with_options(self, kind: Kind, name: str, options: Mapping[str, object]) -> Registry:
        """Return a registry in which `name` is built with `options` on top of its own; raises what `find` raises."""
        descriptor = self.find(kind, name)
        other = replace(descriptor, options={**descriptor.options, **options})
        plugins = [
            replace(p, components=tuple(other if d is descriptor else d for d in p.components)) for p in self.plugins
        ]
        return Registry(plugins, self.aliases)

    def with_alias(self, kind: Kind, alias: str, name: str) -> Registry:
        """Return a registry with a component under a second name, so that it can have two sets of settings.

        Raises
        ------
        UsageError
            If no plugin provides `name`, or `alias` is empty or taken.
        """
        descriptor = self.find(kind, name)
        if not alias or alias in self._owners(kind):
            raise UsageError(f"'{alias}={name}': '{alias}' is no free name for a {kind}; choose another")
        owner = self.owner(descriptor)
        other = replace(owner, components=(*owner.components, replace(descriptor, name=alias)))
        plugins = [other if plugin is owner else plugin for plugin in self.plugins]
        return Registry(plugins, {**self.aliases, (kind, alias): self.component(kind, name)})

    def component(self, kind: Kind, name: str) -> str:
        """Return the plugin's name of a component; it differs from an alias."""
        return self.aliases.get((kind, name), name)

    def create(self, kind: Kind, name: str, **options: Any) -> Any:
        """Import the target of `name` and build it with its descriptor's options, then `options`.

        Raises
        ------
        UsageError
            If no plugin provides it.
        PluginError
            If two claim the name, or the target cannot be imported or built, or has the wrong class for its kind.
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
    """Import the target of a descriptor; raises `PluginError` with the cause as one line."""
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
        return Plugin(point.name, distribution, version, components, module=point.module)
    except PluginError as error:
        return Plugin(point.name, distribution, version, error=str(error), module=point.module)
    except (Exception, SystemExit) as error:  # one broken plugin must not end the program
        shown = "".join(traceback.format_exception(error))
        return Plugin(point.name, distribution, version, (), one_line(error), shown, point.module)


def _components(module: Any) -> tuple[Descriptor, ...]:
    """Return the components of a plugin's module; raises `PluginError` if it does not follow the contract."""
    if not hasattr(module, "FACEPRIV_CONTRACT"):
        raise PluginError(f"names no contract version: add FACEPRIV_CONTRACT = {CONTRACT_VERSION} to the plugin")
    if module.FACEPRIV_CONTRACT != CONTRACT_VERSION:
        raise PluginError(
            f"built for contract version {module.FACEPRIV_CONTRACT}, this facepriv supports {CONTRACT_VERSION}: "
            "update the older of the two"
        )
    # A separate manager, so that a failing hook cannot hide another plugin's components.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()  # finds misspelt hooks, which would never be called
    answers = manager.hook.facepriv_components()
    if not answers:
        raise PluginError("provides nothing: its hook facepriv_components is missing or returned None")
    if isinstance(answers[0], str) or not isinstance(answers[0], Iterable):
        raise PluginError(f"its hook facepriv_components returned {_shown(answers[0])}, expected Descriptors")
    descriptors = tuple(answers[0])
    for item in descriptors:
        if not isinstance(item, Descriptor):
            raise PluginError(f"its hook facepriv_components returned {_shown(item)}, expected Descriptors")
    return descriptors


def _clash_text(kind: str, name: str, plugins: list[Plugin]) -> str:
    owners = sorted({plugin.distribution for plugin in plugins})
    if len(owners) == 1:
        return f"{kind} '{name}' is provided twice by {owners[0]}: rename one of them there"
    return f"{kind} '{name}' is claimed by {' and '.join(owners)}: uninstall one of them"


def _shown(item: object) -> str:
    return f"{type(item).__name__} {item!r:.60}"


#: The default estimators of a face's own classes.
DEFAULT_ESTIMATOR = "family-a-{attribute}"

ESTIMATOR_PACKAGE = "facepriv-estimators"


@dataclass(frozen=True)
class Method:
    """A perturber with its name in this run.

    Parameters
    ----------
    name : str
    perturber : Perturber
    distribution_version : str
        Used if the perturber has no version of its own.
    component : str
        The name given by its plugin, if `name` is an alias.
    """

    name: str
    perturber: Perturber
    distribution_version: str = ""
    component: str = ""

    def info(self) -> dict[str, Any]:
        """Return the entries of ``run.json``: ``name``, ``version``, ``weights`` (hash), ``seen``, ``dtype``."""
        own = self.perturber.info()
        return {
            "name": self.name,
            "version": str(own.get("version") or self.distribution_version),
            "weights": str(own.get("weights") or ""),
            "seen": list(own.get("seen") or []),
            "dtype": str(own.get("dtype") or ""),
        }


@dataclass(frozen=True)
class Estimator:
    """An attribute estimator with its name."""

    name: str
    model: AttributeEstimator

    @property
    def weights(self) -> str:
        """The hash of its weights if its ``info`` has one, as for a method; else empty."""
        info: Mapping[str, Any] = getattr(self.model, "info", dict)()
        return str(info.get("weights") or "")

    def classes(self, crops: Images) -> NDArray[np.int64]:
        """Estimate classes (N,), face by face, so that labels do not depend on other faces in a batch.

        Raises
        ------
        PluginError
            If the estimator fails; the text names it.
        WeightsError
            If its weights are missing or damaged.
        """
        known = len(attribute(self.model.attribute).classes)
        try:
            each = [int(self.model.classes(crops[n : n + 1])[0]) for n in range(len(crops))]
        except WeightsError:
            raise  # no photo can be processed
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            raise PluginError(f"estimator '{self.name}': {one_line(error)}") from error
        if any(not UNKNOWN <= value < known for value in each):
            raise PluginError(f"estimator '{self.name}': gave class {max(each)}, there are {known}")
        return np.array(each, dtype=np.int64)


def wanted_labels(methods: Iterable[Method]) -> tuple[str, ...]:
    """Return the attributes whose own classes the methods need, in the schema's order."""
    needed = {a for m in methods if "labels" in m.perturber.needs for a in m.perturber.attributes}
    return tuple(name for name in ATTRIBUTES if name in needed)


def check_changeable(methods: Mapping[str, Sequence[str]], hidden: Sequence[str]) -> None:
    """Raise `UsageError` if none of `methods` (name -> attributes that it can change) can change a hidden attribute."""
    for name in hidden:
        if not any(name in attributes for attributes in methods.values()):
            can = "; ".join(f"{method} changes {', '.join(own) or 'nothing'}" for method, own in methods.items())
            raise UsageError(f"no method here can change '{name}': {can}")


def check_neutral(methods: Iterable[Method], targets: Mapping[str, str]) -> None:
    """Raise `UsageError` if a target is neutral and a method that changes this attribute does not support it."""
    for name in (name for name, wanted in targets.items() if wanted == "neutral"):
        for method in methods:
            if name in method.perturber.attributes and name not in method.perturber.neutral:
                raise UsageError(f"'{method.name}' cannot make {name} neutral: name a class, same or opposite")


def check_device(device: str) -> None:
    """Raise `UsageError` if torch cannot use `device`; the CPU needs no torch."""
    if device == "cpu":
        return
    try:
        import torch
    except ImportError:
        raise UsageError(f"device '{device}' needs torch, which is not installed; leave out --device") from None
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device '{device}' cannot be used: {one_line(error)}") from error


def build_method(registry: Registry, name: str, device: str) -> Method:
    """Build one method; raises `UsageError` or `PluginError`."""
    descriptor = registry.find("method", name)
    version = registry.owner(descriptor).version
    perturber = registry.create("method", name)
    try:
        return Method(name, perturber.to(device), version, registry.component("method", name))
    except FaceprivError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise PluginError(f"method '{name}' cannot be moved to {device}: {one_line(error)}") from error


def build_detector(name: str, *, thorough: bool = False) -> FaceDetector:
    """Build an installed detector; ``thorough`` is for those with dlib's search.

    Raises
    ------
    UsageError
        If no plugin provides it, or it has no thorough search.
    PluginError
        If it cannot be built.
    """
    detector: FaceDetector = registry().create("detector", name)
    if thorough:
        if not hasattr(detector, "thorough"):
            raise UsageError(f"detector '{name}' always searches the whole photo: leave out --thorough")
        detector = registry().create("detector", name, thorough=True)
    return detector


def build_estimator(registry: Registry, name: str, chosen: str = "") -> Estimator:
    """Build the estimator of attribute `name`, `chosen` or the default; raises `UsageError` or `PluginError`."""
    default = DEFAULT_ESTIMATOR.format(attribute=name)
    wanted = chosen or default
    if wanted == default and not any(
        d.kind == "estimator" and d.name == default for p in registry.plugins for d in p.components
    ):
        raise PluginError(
            f"the faces' own {name} must be estimated, and '{default}' is not installed: "
            f"pip install {ESTIMATOR_PACKAGE}, or name another with --estimator {name}=NAME"
        )
    model = registry.create("estimator", wanted)
    if model.attribute != name:
        raise UsageError(f"estimator '{wanted}' estimates {model.attribute}, not {name}")
    return Estimator(wanted, model)
