"""Puts a changed crop back into the photo, under a feathered mask; outside it every pixel stays as it was.

*Residual*: the difference between changed and original crop is enlarged and added, so that a 12-megapixel photo keeps
its own detail. *Replacement*: the changed crop itself is blended in, for methods that paint a new face.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.faces.align import Face, invert

#: Width of the feathered rim, as a share of the crop's side.
FEATHER = 0.12


@cache
def feather_mask(size: int) -> NDArray[np.float32]:
    """Return the mask (size, size) float32: 1 inside, falling smoothly to 0 at the crop's rim, corners rounded."""
    axis = (np.arange(size) + 0.5) / size
    edge = np.minimum(axis, 1 - axis) / (2 * FEATHER)
    inset = np.clip(1 - edge, 0, 1)
    distance = np.clip(1 - np.hypot(inset[:, None], inset[None, :]), 0, 1) * 2
    ramp = np.clip(distance, 0, 1)
    mask = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    mask.setflags(write=False)
    return mask


def paste(
    photo: NDArray[np.generic],
    face: Face,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    mode: Literal["residual", "replacement"] = "residual",
) -> None:
    """Write one changed face into `photo`, in place.

    Parameters
    ----------
    photo : ndarray
        (H, W) or (H, W, C) of uint8 or uint16, C = 1 or 3 colour channels (no alpha).
    face : Face
        Where the crop came from.
    before, after : ndarray
        (S, S, 3) float32 RGB in [0, 1], the crop as cut and as changed. Equal crops leave the photo untouched.
    mode : {"residual", "replacement"}
        See the module.
    """
    if np.array_equal(before, after):
        return
    size = before.shape[0]
    rows, columns = _region(photo.shape[:2], face)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    view = photo[rows, columns]
    grey = view.ndim == 2 or view.shape[2] == 1
    change = after - before if mode == "residual" else after
    if grey:
        change = (change @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[:, :, None]
    mask = feather_mask(size)
    if mode == "residual":
        change = change * mask[:, :, None]
    planes = [_to_photo(change[:, :, c], face, rows, columns) for c in range(change.shape[2])]
    moved = np.stack(planes, axis=2)
    if view.ndim == 2:
        moved = moved[:, :, 0]
    # Bicubic rings: what the mask's own footprint does not cover must stay bit-identical.
    weight = np.clip(_to_photo(mask, face, rows, columns), 0, 1)
    covered = weight > 1e-3
    top = np.float32(np.iinfo(photo.dtype).max)
    old = view.astype(np.float32)
    if mode == "residual":
        new = old + moved * top
    else:
        w = weight if view.ndim == 2 else weight[:, :, None]
        new = old * (1 - w) + np.clip(moved, 0, 1) * top * w
    new = np.clip(np.rint(new), 0, top).astype(photo.dtype)
    view[covered] = new[covered]


def _region(shape: tuple[int, ...], face: Face) -> tuple[slice, slice]:
    """Return the rows and columns of the photo that the crop's square can touch."""
    matrix = face.to_photo
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) @ matrix[:, :2].T + matrix[:, 2]
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int), (shape[1], shape[0]))
    return slice(low[1], high[1]), slice(low[0], high[0])


def _to_photo(plane: NDArray[np.float32], face: Face, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Resample a crop's plane (S, S) onto the photo's region; 0 outside the crop."""
    size = plane.shape[0]
    inverse = invert(face.to_photo) * size
    inverse[:, 2] += inverse[:, :2] @ (columns.start, rows.start)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    moved = image.transform(shape, Image.Transform.AFFINE, tuple(inverse.ravel()), Image.Resampling.BICUBIC)
    return np.asarray(moved)
