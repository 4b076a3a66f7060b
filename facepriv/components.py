"""What a pipeline is made of: methods and the estimators that tell a face's own classes, built by name and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import UNKNOWN, AttributeEstimator, Images, Perturber
from facepriv.errors import FaceprivError, PluginError, UsageError, WeightsError, one_line
from facepriv.registry import Registry
from facepriv.schema import ATTRIBUTES, attribute

#: The estimators that tell a face's own classes where the caller does not.
DEFAULT_ESTIMATOR = "family-a-{attribute}"
ESTIMATOR_PACKAGE = "facepriv-estimators"


@dataclass(frozen=True)
class Method:
    """A perturber under the name that its plugin gave it; `distribution_version` stands in where it has no own."""

    name: str
    perturber: Perturber
    distribution_version: str = ""

    def info(self) -> dict[str, Any]:
        """Return what ``run.json`` records: ``name``, ``version``, ``weights`` (hash), ``seen``, ``dtype``."""
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
    """An attribute estimator under its name."""

    name: str
    model: AttributeEstimator

    @property
    def weights(self) -> str:
        """The hash of its weights where its ``info`` tells one, as a method's does; else empty."""
        info = getattr(self.model, "info", dict)()
        return str(info.get("weights") or "")

    def classes(self, crops: Images) -> NDArray[np.int64]:
        """Estimate classes (N,), face by face, so that no face's label hangs on its neighbours in a batch.

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
            raise  # no photo can be done
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
    """Raise `UsageError` if an attribute is to be neutral and a method that changes it cannot show it so."""
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
    descriptor = registry.find("perturber", name)
    version = registry.owner(descriptor).version
    perturber = registry.create("perturber", name)
    try:
        return Method(name, perturber.to(device), version)
    except FaceprivError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise PluginError(f"method '{name}' cannot be moved to {device}: {one_line(error)}") from error


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
        raise UsageError(f"estimator '{wanted}' tells {model.attribute}, not {name}")
    return Estimator(wanted, model)
