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
from PIL import Image, ImageFilter, ImageOps

from facepriv.faces.align import Face, invert

#: Width of the feathered rim, as a share of the crop's side.
FEATHER = 0.12
# Luma of ITU-R BT.601, what Pillow makes grey with.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Rows worked on at once, so that a face of many megapixels needs little memory.
_STRIP = 256
# Samples to a pixel of the crop, at least, where the photo is finer: a change is smooth, a face is not.
_SAMPLES = {"residual": 2, "replacement": 4}


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
    planes = [_Plane(change[:, :, c] * mask * top, face, rows, columns, _SAMPLES[mode]) for c in range(channels)]
    weight = _Plane(mask, face, rows, columns, _SAMPLES[mode]) if mode == "replacement" else None
    view = photo if photo.ndim == 3 else photo[:, :, None]
    height = planes[0].step * max(1, _STRIP // planes[0].step)
    for start in range(rows.start, rows.stop, height):
        strip = slice(start, min(start + height, rows.stop))
        kept = 1 if weight is None else 1 - weight.rows(strip)
        for c, plane in enumerate(planes):
            new = view[strip, columns, c] * kept + plane.rows(strip)
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


class _Plane:
    """One plane of a crop, to be read at the pixels of a region of the photo; 0 outside the crop.

    A crop finer than the photo is averaged down, or it would alias; a coarser one is enlarged smoothly, four times at
    most: beyond that bilinear and bicubic look alike. What is then turned into the photo's directions is a grid of
    every `step`-th pixel, at least `samples` of them to a pixel of the crop; between them it is linear, too.
    """

    def __init__(self, plane: NDArray[np.float32], face: Face, rows: slice, columns: slice, samples: int) -> None:
        size = plane.shape[0]
        self.start, self.width = rows.start, columns.stop - columns.start
        self.step = max(1, int(face.scale / (samples * size)))
        side = math.ceil(face.scale) if face.scale < size else size * min(4, math.ceil(face.scale / size))
        image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
        image = image.resize((side, side), Image.Resampling.BICUBIC)
        if self.step > 1:  # a sample inside must not reach pixels outside
            rim = math.ceil(1.5 * self.step * side / face.scale)
            image = ImageOps.expand(image.crop((rim, rim, side - rim, side - rim)), rim)
        # Sample (i, j) is the photo's pixel (start + i * step, columns.start + j * step); half a pixel is its middle.
        matrix = invert(face.to_photo) * side
        middle = np.array((columns.start, rows.start)) + 0.5 * (1 - self.step)
        matrix[:, 2] += matrix[:, :2] @ middle
        matrix[:, :2] *= self.step
        shape = tuple(-(-(s.stop - s.start) // self.step) + 1 for s in (columns, rows))
        self.samples = image.transform(shape, Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR)

    def rows(self, strip: slice) -> NDArray[np.float32]:
        """Return the plane at a strip of the region's rows, which begins at a multiple of `step` in it."""
        first, last = strip.start - self.start, strip.stop - self.start
        found = np.asarray(self.samples)[first // self.step : -(-last // self.step) + 1]
        if self.step == 1:
            return found[: last - first, : self.width]
        wide = _between(found.T, self.step)[: self.width].T
        return _between(np.ascontiguousarray(wide), self.step)[: last - first]


def _between(samples: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return (N, M) samples with `step` - 1 rows between any two, linearly: ((N - 1) * step, M)."""
    here, rise = samples[:-1], np.diff(samples, axis=0)
    out = np.empty((len(here) * step, samples.shape[1]), dtype=np.float32)
    for n in range(step):
        out[n::step] = here + rise * np.float32(n / step) if n else here
    return out
