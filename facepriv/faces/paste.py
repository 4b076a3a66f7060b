"""Puts a changed crop back into the photo, under a feathered mask; outside it every pixel stays as it was.

*Residual*: the difference between changed and original crop is enlarged and added, so that a 12-megapixel photo keeps
its own detail. *Replacement*: the changed crop itself is blended in, for methods that paint a new face; pixels of the
crop that the method left alone leave the photo alone, too.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facepriv.faces.align import Face, invert

#: Width of the feathered rim, as a share of the crop's side.
FEATHER = 0.12
# Luma of ITU-R BT.601, what Pillow makes grey with.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Rows worked on at once, so that a face of many megapixels needs little memory.
_STRIP = 256


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
    photo: NDArray[Any],
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
    rows, columns = _region(photo.shape[:2], face)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    channels = 1 if photo.ndim == 2 else photo.shape[2]
    change = after - before if mode == "residual" else after
    if channels == 1:
        change = (change @ _LUMA)[:, :, None]
    mask = feather_mask(before.shape[0])
    if mode == "replacement":
        mask = mask * _changed(before, after)
    top = np.float32(np.iinfo(photo.dtype).max)
    # The mask is laid on before resampling, so that change and weight fade out alike, to exactly 0 outside the crop.
    planes = [_fitted(change[:, :, c] * mask * top, face) for c in range(channels)]
    weight = _fitted(mask, face) if mode == "replacement" else None
    view = photo if photo.ndim == 3 else photo[:, :, None]
    for start in range(rows.start, rows.stop, _STRIP):
        strip = slice(start, min(start + _STRIP, rows.stop))
        kept = 1 if weight is None else 1 - _to_photo(weight, face, strip, columns)
        for c, plane in enumerate(planes):
            new = view[strip, columns, c] * kept + _to_photo(plane, face, strip, columns)
            view[strip, columns, c] = np.clip(np.rint(new, out=new), 0, top, out=new)


def _changed(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where two crops differ, (S, S) float32: 0 where they do not, rising to 1 within a hundredth of a side."""
    same = Image.fromarray((before == after).all(axis=2).astype(np.uint8) * 255)
    # Specks in which nothing happened to change count as changed.
    same = same.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.MaxFilter(5))
    blurred = np.asarray(same.filter(ImageFilter.BoxBlur(same.width / 100)), dtype=np.float32) / 255
    # Stretched, so that it is 0 at the edge of what changed: resampling must not carry it beyond.
    return np.where(np.asarray(same) > 0, np.float32(0), np.clip(1 - 2 * blurred, 0, 1))


def _region(shape: tuple[int, ...], face: Face) -> tuple[slice, slice]:
    """Return the rows and columns of the photo that the crop's square can touch."""
    matrix = face.to_photo
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) @ matrix[:, :2].T + matrix[:, 2]
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int), (shape[1], shape[0]))
    return slice(low[1], high[1]), slice(low[0], high[0])


def _fitted(plane: NDArray[np.float32], face: Face) -> Image.Image:
    """Resize a crop's plane (S, S) to the photo's scale, where bilinear sampling suffices: it is three times as fast.

    A crop finer than the photo is averaged down, or it would alias; a coarser one is enlarged smoothly, four times at
    most: beyond that bilinear and bicubic look alike.
    """
    size = plane.shape[0]
    side = math.ceil(face.scale) if face.scale < size else size * min(4, math.ceil(face.scale / size))
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return image.resize((side, side), Image.Resampling.BICUBIC)


def _to_photo(plane: Image.Image, face: Face, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Sample a crop's plane at the pixels of a region of the photo; 0 outside the crop."""
    matrix = invert(face.to_photo) * plane.width
    matrix[:, 2] += matrix[:, :2] @ (columns.start, rows.start)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    return np.asarray(plane.transform(shape, Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR))
