"""The classifiers used to compute a perturbation: found by name, loaded once, one pass per shared network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from facepriv.errors import PluginError, UsageError
from facepriv.hookspecs import Descriptor
from facepriv.registry import load_target, registry
from facepriv.schema import ATTRIBUTES


@dataclass(frozen=True)
class Classifier:
    """One network and its attributes in use.

    Parameters
    ----------
    name : str
        The estimators that it represents, for messages.
    attributes : tuple of str
    logits : callable
        (N, 3, S, S) in [0, 1] -> attribute -> (N, classes) logits, with gradients.
    """

    name: str
    attributes: tuple[str, ...]
    logits: Callable[[Tensor], Mapping[str, Tensor]]


def changeable(against: tuple[str, ...]) -> tuple[str, ...]:
    """Return the attributes of `against`, in the schema's order; raise `UsageError` for an unknown name."""
    try:
        told = {attribute for name in against for attribute in registry().find("estimator", name).attributes}
    except UsageError as error:
        hint = "" if registry().descriptors("estimator") else "; pip install facepriv-estimators brings some"
        raise UsageError(f"k-attribute.against: {error}{hint}") from error
    return tuple(name for name in ATTRIBUTES if name in told)


def seen(against: tuple[str, ...]) -> list[str]:
    """Return all installed estimators that share a network with one of `against`; these are not unseen."""
    known = registry().descriptors("estimator")
    networks = {_network(registry().find("estimator", name)) for name in against}
    return [name for name, descriptor in known.items() if _network(descriptor) in networks]


@cache
def load_classifiers(against: tuple[str, ...]) -> tuple[Classifier, ...]:
    """Load the classifiers called `against`.

    Raises
    ------
    UsageError
        If a name is unknown, or an estimator offers no torch module.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in dict.fromkeys(against):
        groups.setdefault(_network(registry().find("estimator", name)), []).append(name)
    return tuple(classifier for names in groups.values() for classifier in _load_group(names))


@cache
def load_matcher(name: str, file: Path | None) -> nn.Module:
    """Load a matcher's differentiable module, (N, 3, S, S) in [0, 1] -> (N, D); `file` is its option ``path``.

    Raises
    ------
    UsageError
        If the name is unknown, the matcher needs a file that is not given, or it offers no torch module.
    """
    descriptor = registry().find("matcher", name)
    path = signature(load_target(descriptor)).parameters.get("path")
    if file is None and path is not None and path.default is path.empty and "path" not in descriptor.options:
        raise UsageError(f"k-attribute.matcher: '{name}' needs its file: name it as k-attribute.matcher_file")
    if file is not None and path is None:
        raise UsageError(f"k-attribute.matcher_file: '{name}' takes no file; leave it out")
    matcher = registry().create("matcher", name, **({"path": file} if file else {}))
    return _frozen(matcher.torch_module(), name)


def _network(descriptor: Descriptor) -> tuple[object, ...]:
    """Return a key that identifies a network: estimators that differ only in their attribute share one."""
    options = sorted((key, repr(value)) for key, value in descriptor.options.items() if key != "attribute")
    return descriptor.target, *options


def _load_group(names: list[str]) -> list[Classifier]:
    """Load estimators that share a network: jointly if they offer the joint module, otherwise each separately."""
    estimators = {name: registry().create("estimator", name) for name in names}
    told = tuple(estimator.attribute for estimator in estimators.values())
    first = estimators[names[0]]
    if hasattr(first, "joint_module"):
        return [Classifier(", ".join(names), told, _frozen(first.joint_module(), names[0]))]
    return [
        Classifier(name, (estimator.attribute,), _single(name, estimator)) for name, estimator in estimators.items()
    ]


def _single(name: str, estimator: Any) -> Callable[[Tensor], Mapping[str, Tensor]]:
    module = _frozen(estimator.torch_module(), name)
    classes = len(ATTRIBUTES[estimator.attribute].classes)

    def logits(x: Tensor) -> Mapping[str, Tensor]:
        out = module(x)
        if out.shape != (len(x), classes):
            raise PluginError(
                f"estimator '{name}': its torch module gave {tuple(out.shape)}, expected {(len(x), classes)} logits"
            )
        return {estimator.attribute: out}

    return logits


def _frozen(module: Any, name: str) -> nn.Module:
    """Return a copy of a module with fixed weights; raise `UsageError` if there is none."""
    if not isinstance(module, nn.Module):
        raise UsageError(f"k-attribute: '{name}' offers no torch module, so nothing can be made with it; name another")
    return deepcopy(module).eval().requires_grad_(False)
