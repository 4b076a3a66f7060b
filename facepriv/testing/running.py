"""Helpers that run a method in the checks: faces, targets and generators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facepriv.contracts import FaceBatch, Images, Labels, Perturber, resized
from facepriv.protection.request import face_rng
from facepriv.schema import ATTRIBUTES
from facepriv.testing.core import Finding, require
from facepriv.testing.faces import specimens


def faces_for(method: Perturber, size: int = 0) -> FaceBatch:
    """Return the specimens at `size`, or the method's own crop size, with landmarks and labels if needed."""
    return specimens(size or method.crop_size or 128, landmarks="landmarks" in method.needs)


def targets_for(method: Perturber, faces: FaceBatch) -> dict[str, np.ndarray]:
    """Return labels in which every attribute that the method declares changes to the next class."""
    return {
        name: (own + 1) % len(ATTRIBUTES[name].classes) if name in method.attributes else own.copy()
        for name, own in faces.labels.items()
    }


def rngs_for(count: int, seed: int = 0) -> list[np.random.Generator]:
    """Return one generator per face; another `seed` gives others."""
    return [face_rng("conformance", face, "testing", seed) for face in range(count)]


def run(
    method: Perturber,
    faces: FaceBatch | None = None,
    *,
    target: Labels | None = None,
    strength: float = 1.0,
    rngs: Sequence[Any] | None = None,
) -> Images:
    """Perturb `faces`, by default the specimens with every declared attribute changed."""
    faces = faces_for(method) if faces is None else faces
    target = targets_for(method, faces) if target is None else target
    rngs = rngs_for(len(faces)) if rngs is None else rngs
    return method.perturb(faces, faces.labels, target, strength=strength, rngs=rngs)


def raw(method: Perturber) -> tuple[Any, FaceBatch]:
    """Return the unchecked result of the method's own `_perturb`, and the faces passed to it."""
    faces = faces_for(method)
    faces = resized(faces, method.crop_size or faces.images.shape[1])
    target = targets_for(method, faces)
    return method._perturb(faces, dict(faces.labels), target, 1.0, rngs_for(len(faces))), faces


def refused(what: str, errors: type[Exception], call: Callable[[], object]) -> None:
    """Raise unless `call` raises one of `errors`."""
    try:
        call()
    except errors:
        return
    except Exception as error:
        raise Finding(f"{what}: expected {errors.__name__}, got {type(error).__name__}: {error}") from error
    # Invalid input passes the core's checks only if `perturb` is overridden.
    raise Finding(f"{what}: accepted, expected {errors.__name__}", follows="declarations")


def same(a: Images, b: Images, what: str) -> None:
    """Raise unless `a` and `b` are bitwise equal; outputs of a non-repeatable method never are."""
    require(a.shape == b.shape, f"{what}: shape {a.shape} against {b.shape}")
    differs = f"{what}: differs by up to {np.abs(a - b).max() if a.size else 0:.3g}"
    require(np.array_equal(a, b), differs, follows="same_seed_same_bytes")
