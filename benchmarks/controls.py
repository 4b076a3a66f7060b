"""Two control methods: one does nothing, the other applies the same invertible recolouring to all faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from facepriv._version import __version__
from facepriv.contracts import FaceBatch, Labels, Perturber
from facepriv.hookspecs import Descriptor
from facepriv.registry import Plugin, Registry


class Nothing(Perturber):
    """Leaves every face unchanged: an adversary learns no more from its outputs than from originals."""

    attributes: ClassVar[tuple[str, ...]] = ("gender", "race", "age")

    def _perturb(
        self,
        faces: FaceBatch,
        source: Labels,
        target: Labels,
        strength: float,
        rngs: Sequence[np.random.Generator],
    ) -> NDArray[Any]:
        return faces.images.copy()


class Recolour(Perturber):
    """Permutes the channels and negates one: it hides nothing from an adversary that learns the map."""

    attributes: ClassVar[tuple[str, ...]] = ("gender", "race", "age")

    def _perturb(
        self,
        faces: FaceBatch,
        source: Labels,
        target: Labels,
        strength: float,
        rngs: Sequence[np.random.Generator],
    ) -> NDArray[Any]:
        red, green, blue = np.moveaxis(faces.images, 3, 0)
        return faces.images + np.float32(strength) * (np.stack([1 - green, blue, red], axis=3) - faces.images)


def with_controls(known: Registry) -> Registry:
    """Return the registry with `nothing` and `recolour` among its methods."""
    methods = tuple(
        Descriptor("method", name, f"controls:{name.title()}", summary, attributes=Nothing.attributes)
        for name, summary in (("nothing", "Changes nothing"), ("recolour", "One invertible change of colours"))
    )
    return Registry([*known.plugins, Plugin("controls", "facepriv-benchmarks", __version__, methods)])
