"""The privacy request: attributes to hide, targets, and random draws."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import UNKNOWN, Labels
from facepriv.contracts.arrays import check_labels
from facepriv.errors import ContractError, UsageError
from facepriv.schema import ATTRIBUTES, attribute

ClassIndices = dict[str, NDArray[np.int64]]

Policy = Literal["flip", "random"]

POLICIES: tuple[Policy, ...] = ("flip", "random")

#: Targets that are not class names: the face's own class, another class as with `flip`, or no class, if supported.
RELATIVE_TARGETS = ("same", "opposite", "neutral")


@dataclass(frozen=True)
class PrivacyRequest:
    """The attributes to hide, and how targets are chosen.

    Parameters
    ----------
    obfuscate : tuple of str
        Attributes to hide; every other attribute is kept (its target is its own label).
    targets : mapping
        Attribute -> class name, or one of `RELATIVE_TARGETS`; implies that the attribute is hidden. ``neutral`` needs
        a method that declares it, see `Perturber.neutral`.
    policy : {"flip", "random"}
        ``flip``: a class other than the own one, drawn if there are several (the paper's policy). ``random``: a class
        drawn uniformly, the own one included, so that the class that the result shows says nothing about the own one.
    strength : float
        0 (the photo unchanged) to 1 (the method's full effect).
    seed : int
        The user's seed.
    pairs : mapping
        Attribute -> {class: class}, the fixed targets of `flip` (the evaluation preset's race pairs).

    Examples
    --------
    >>> PrivacyRequest(obfuscate=("gender",), targets={"age": "old"}).strength
    1.0
    >>> PrivacyRequest(targets={"age": "ancient"})
    Traceback (most recent call last):
        ...
    facepriv.errors.UsageError: unknown target 'age=ancient': one of young, middle, old, same, opposite, neutral
    """

    obfuscate: tuple[str, ...] = ("gender",)
    targets: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = "flip"
    strength: float = 1.0
    seed: int = 0
    pairs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: object = self.obfuscate  # to a type checker, a str is a sequence of str
        if isinstance(given, str):
            raise UsageError(f"obfuscate: expected a tuple of attributes, got a text; write ('{self.obfuscate}',)")
        for name in (*self.obfuscate, *self.targets):
            attribute(name)
        for name, label in self.targets.items():
            if label not in (*attribute(name).classes, *RELATIVE_TARGETS):
                known = (*attribute(name).classes, *RELATIVE_TARGETS)
                raise UsageError(f"unknown target '{name}={label}': one of {', '.join(known)}")
        for name, pairs in self.pairs.items():
            spec = attribute(name)
            for own, other in pairs.items():
                if spec.index(own) == spec.index(other):
                    raise UsageError(f"pairs of {name} turn '{own}' into itself: a flip changes the class")
        if self.policy not in POLICIES:
            raise UsageError(f"unknown policy '{self.policy}': one of {', '.join(POLICIES)}")
        if not 0 <= self.strength <= 1:
            raise UsageError(f"strength must be between 0 and 1, got {self.strength:g}")

    @property
    def hidden(self) -> tuple[str, ...]:
        """The attributes that change, in the schema's order."""
        return tuple(name for name in ATTRIBUTES if name in self.obfuscate or name in self.targets)

    def resolve(self, labels: Labels, rngs: Sequence[np.random.Generator]) -> tuple[ClassIndices, ClassIndices]:
        """Convert the request into class indices for each face.

        Parameters
        ----------
        labels : mapping
            Attribute -> (N,) int64, the faces' own classes, -1 unknown.
        rngs : sequence of Generator
            One per face. They draw targets, so third parties must not be able to reproduce them.

        Returns
        -------
        source, target : dict of str to (N,) int64
            For every attribute in `labels`. A kept attribute's target is its source. A hidden attribute of unknown
            source is drawn from all classes. The target ``neutral`` is -1.

        Raises
        ------
        ContractError
            If labels and `rngs` differ in number, a label is not a class, or a hidden attribute has no labels.
        """
        source = {name: np.asarray(values, dtype=np.int64) for name, values in labels.items()}
        target = {name: values.copy() for name, values in source.items()}
        for name, values in source.items():
            check_labels(name, values, len(rngs))
        for name in self.hidden:
            if name not in source:
                raise ContractError(f"no labels for '{name}', which is to be hidden")
        for face, rng in enumerate(rngs):
            # One draw per attribute, hidden or not, so that the choice of one does not shift the draws of another.
            draws = dict(zip(ATTRIBUTES, rng.random(len(ATTRIBUTES)), strict=True))
            for name in self.hidden:
                target[name][face] = self._target(name, int(source[name][face]), float(draws[name]))
        return source, target

    def _target(self, name: str, own: int, draw: float) -> int:
        """Choose the target class of one face of class `own`; `draw` is uniform in [0, 1)."""
        spec = attribute(name)
        wanted = self.targets.get(name, "")
        if wanted in spec.classes:
            return spec.index(wanted)
        if wanted == "neutral":
            return UNKNOWN
        if wanted == "same":
            return own
        if (wanted == "opposite" or self.policy == "flip") and own != UNKNOWN:
            paired = self.pairs.get(name, {}).get(spec.classes[own])
            if paired is not None:
                return spec.index(paired)
            others = [i for i in range(len(spec.classes)) if i != own]
            return others[int(draw * len(others))]
        return int(draw * len(spec.classes))


def face_rng(content: str, face: int, purpose: str, seed: int, key: bytes = b"") -> np.random.Generator:
    """Return the generator of one face.

    Parameters
    ----------
    content : str
        Hash of the original file or pixels.
    face : int
        Index of the face in its photo.
    purpose : str
        The method's name, or the purpose of the draw.
    seed : int
        The user's seed.
    key : bytes
        A secret of the run; empty if the draw may be reproduced by others.
    """
    message = f"{content}/{face}/{purpose}/{seed}".encode()
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
