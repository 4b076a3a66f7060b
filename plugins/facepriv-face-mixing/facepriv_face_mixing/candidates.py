"""Selection of the gallery face to mix with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError
from facepriv.faces import morph
from facepriv.schema import ATTRIBUTES, attribute
from facepriv_face_mixing.gallery import Gallery
from facepriv_face_mixing.mixing import mean_colour

Policy = Literal["shape", "tone", "prototype", "random"]

# Cost of a class that does not match; an average of all classes costs half of it. Race outweighs age: a face of another
# race changes the result more than one of another age.
_PRICE = {"gender": 4.0, "race": 2.0, "age": 1.0}

Classes = Mapping[str, int]


def matching(gallery: Gallery, own: Classes, wanted: Classes) -> NDArray[np.intp]:
    """Return the gallery's faces that match all classes to change, or the best partial matches.

    Parameters
    ----------
    gallery : Gallery
    own, wanted : mapping
        Attribute -> class of one face, -1 unknown. Where they differ, the gallery's face must be of the wanted class.
        It may be an average of all classes if another such attribute has the wanted class. Its gender must always be
        the wanted one.

    Raises
    ------
    DataError
        If the gallery has no such face.
    """
    changes = {name for name in ATTRIBUTES if wanted.get(name, -1) not in (-1, own.get(name, -1))}
    fixed = changes | {"gender"} if wanted.get("gender", -1) >= 0 else changes
    must = {name: wanted[name] for name in ATTRIBUTES if name in fixed}
    cost, hits = np.zeros(len(gallery)), np.full(len(gallery), not changes)
    for name, label in must.items():
        has = gallery.labels[name]
        hits |= (has == label) & (name in changes)
        cost += np.where(has == label, 0.0, np.where((has < 0) & (name != "gender"), _PRICE[name] / 2, np.inf))
    cost[~hits] = np.inf
    if not np.isfinite(cost).any():
        asked = ", ".join(f"{name} {attribute(name).classes[label]}" for name, label in must.items())
        raise DataError(f"there is no face to mix with of {asked}: add some to the gallery")
    return np.flatnonzero(cost == cost.min())


def closest(gallery: Gallery, found: NDArray[np.intp], wanted: Classes) -> NDArray[np.intp]:
    """Return those of `found` that best match the wanted classes, including the unchanged ones."""
    cost = np.zeros(len(found))
    for name, price in _PRICE.items():
        label, has = wanted.get(name, -1), gallery.labels[name][found]
        if label >= 0:
            cost += price * np.where(has == label, 0.0, np.where(has < 0, 0.5, 1.0))
    return found[cost == cost.min()]


def nearest_shape(gallery: Gallery, found: NDArray[np.intp], points: NDArray[np.floating]) -> int:
    """Return the one of `found` with the landmarks nearest to `points`, (68, 2) in the crop of side 1."""
    return int(found[((gallery.points[found] - points) ** 2).sum(axis=(1, 2)).argmin()])


def nearest_tone(
    gallery: Gallery, found: NDArray[np.intp], image: NDArray[np.float32], points: NDArray[np.floating]
) -> int:
    """Return the one of `found` with the mean colour nearest, in CIE Lab, to that of a face; `points` in pixels."""
    from skimage.color import rgb2lab

    own = rgb2lab(mean_colour(image, points))  # type: ignore[no-untyped-call]
    return int(found[((rgb2lab(gallery.tones[found]) - own) ** 2).sum(axis=1).argmin()])  # type: ignore[no-untyped-call]


def prototype(gallery: Gallery, found: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the mean of all `found`, weighted by people: picture in mean shape, landmarks in the crop of side 1."""
    return _prototype(gallery, tuple(int(n) for n in found))


@cache
def _prototype(gallery: Gallery, found: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    chosen = list(found)
    share = gallery.people[chosen] / gallery.people[chosen].sum()
    points = np.tensordot(share, gallery.points[chosen].astype(np.float64), axes=1)
    size = gallery.images.shape[1]
    target = gallery.in_window(points)
    mesh = morph.mesh(target, size)
    image = np.zeros((size, size, 3), np.float32)
    for part, n in zip(share.astype(np.float32), found, strict=True):
        image += part * morph.warp(gallery.picture(n), gallery.in_window(gallery.points[n]), target, mesh, size)
    image.setflags(write=False)  # the cache returns it again
    return image, points
