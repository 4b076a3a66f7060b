"""The hook that a plugin implements: it lists the plugin's components without importing them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

import pluggy

from facepriv.errors import ContractError

PROJECT = "facepriv"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Kind = Literal["method", "estimator", "matcher", "detector", "trainer", "converter", "exporter", "attack", "engine"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Descriptor:
    """A description of one component; its target is imported on first use.

    Parameters
    ----------
    kind : {"method", "estimator", "matcher", "detector", "attack", "trainer", "converter", "exporter", "engine"}
        The type of the target: a class of `facepriv.contracts`; for a trainer, converter or exporter a click command;
        for an engine a function that returns one, see `facepriv.protection.engine.Engine`.
    name : str
        Unique among components of this kind, for example ``privacynet``.
    target : str
        Dotted path, ``package.module:Object``.
    summary : str
        One line for listings.
    reference : str
        The source: paper, venue, year.
    attributes : tuple of str
        The attributes that a perturber changes or an estimator estimates.
    options : dict
        Keyword arguments for the target, so that one class can have several names.

    Raises
    ------
    ContractError
        If the kind is unknown, the name is empty or the target is not a dotted path.
    """

    kind: Kind
    name: str
    target: str
    summary: str
    reference: str = ""
    attributes: tuple[str, ...] = ()
    options: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ContractError(f"descriptor '{self.name}': kind must be one of {', '.join(KINDS)}, got '{self.kind}'")
        if not self.name:
            raise ContractError(f"descriptor of {self.target}: the name is empty")
        module, _, name = self.target.partition(":")
        if not module or not name:
            raise ContractError(
                f"descriptor '{self.name}': target must be 'package.module:Object', got '{self.target}'"
            )


def descriptors(
    package: str, name: str, reference: str, attributes: tuple[str, ...], **components: tuple[str, str]
) -> list[Descriptor]:
    """Return the descriptors of one method and what belongs to it, all of one name and reference.

    Parameters
    ----------
    package, name, reference : str
    attributes : tuple of str
        The attributes that the method changes.
    **components : tuple of str
        Kind -> target without the package, and summary.
    """
    return [
        Descriptor(kind, name, f"{package}.{target}", summary, reference, attributes if kind == "method" else ())  # type: ignore[arg-type]  # checked there
        for kind, (target, summary) in components.items()
    ]


@hookspec
def facepriv_components() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Return descriptors of the plugin's components. Must not import heavy libraries."""
