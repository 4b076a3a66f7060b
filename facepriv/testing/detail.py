"""Checks that a method's paste mode suits its changes to a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceBatch, Perturber, resize_images
from facepriv.faces import Face, paste
from facepriv.faces.align import TEMPLATE
from facepriv.testing.core import Advice, Make, NotApplicable
from facepriv.testing.faces import specimens
from facepriv.testing.running import faces_for, run

#: Size of the face in the photo relative to the crop.
LARGER = 2
#: Standard deviation of the grain added to the faces, since real photos of this size have detail at every pixel.
GRAIN = 0.04
#: A method counts as removing detail if less than this fraction of it is left in the crop.
REMOVED = 1 / 3
#: Pasting counts as restoring it if the fraction left in the photo is larger by this value.
BROUGHT_BACK = 1 / 3


def paste_suits_the_change(make: Make) -> None:
    """A method that mainly removes detail does not leave `paste` at its default; warns where it does.

    A residual holds nothing finer than the crop: added to a larger photo, it leaves the finer detail as it was.
    """
    method = make()
    if method.paste != "residual":
        raise NotApplicable("its pixels replace those of the photo")
    if any("paste" in vars(owner) for owner in (method, *type(method).__mro__) if owner is not Perturber):
        raise NotApplicable("its class says paste = 'residual' itself")
    crop, photo = detail_left(method)
    if crop < REMOVED and photo > crop + BROUGHT_BACK:
        raise Advice(
            f"of a face's fine detail, {crop:.0%} is left in the crop, but {photo:.0%} in a photo in which the face is "
            f"{LARGER} times as large: set paste = 'replacement' (or paste = 'residual', if this is meant)"
        )


def detail_left(method: Perturber) -> tuple[float, float]:
    """Return the fraction of fine detail left in the crop, and in a larger photo after pasting residuals."""
    faces = faces_for(method)
    size = faces.images.shape[1]
    side = LARGER * size
    smooth = specimens(side, landmarks=False).images
    grain = np.random.default_rng(0).normal(0, GRAIN, (side, side, 1))
    photos = np.rint(np.clip(smooth + grain, 0, 1) * np.iinfo(np.uint16).max).astype(np.uint16)
    before = np.clip(resize_images((photos / np.iinfo(np.uint16).max).astype(np.float32), size), 0, 1)
    after = run(method, FaceBatch(before, faces.landmarks, faces.labels))
    pasted = photos.copy()
    whole = Face((0, 0, side, side), TEMPLATE * side)
    for photo, old, new in zip(pasted, before, after, strict=True):
        paste(photo, whole, old, new, "residual")
    return _left(before, after), _left(photos, pasted)


def _left(before: NDArray[np.generic], after: NDArray[np.generic]) -> float:
    """Return the fine detail of `after` relative to `before`, both (N, S, S, 3): the median of the faces' ratios.

    The detail is a median over pixels, because a mosaic has sharp edges and no detail between them.
    """
    return float(np.median(_fineness(after) / _fineness(before)))


def _fineness(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the difference of pixels from the mean of their neighbours, in the middle of each image, (N,)."""
    x = images.astype(np.float64)
    around = (x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]) / 4
    rim = x.shape[1] // 4
    return np.median(np.abs(x[:, 1:-1, 1:-1] - around)[:, rim:-rim, rim:-rim], axis=(1, 2, 3))
