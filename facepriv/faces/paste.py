"""Pastes a changed crop into the photo under a feathered mask; pixels outside the mask do not change.

*Residual*: the difference between changed and original crop is enlarged and added, so that a 12-megapixel photo keeps
its own detail; small faces get more of it (`emphasis`). *Replacement*: the changed crop itself is blended in, for
methods that generate a new face. Where the method did not change the crop, the photo does not change either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facepriv.faces.align import Face, invert

#: Width of the feathered border, as a fraction of the crop's side.
FEATHER = 0.12
# Luma of ITU-R BT.601, as in Pillow's conversion to grey.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Number of rows processed at once; small, so that a face of many megapixels needs little memory and fits the CPU cache.
_STRIP = 64
#: Crops with a side of fewer pixels in the photo get more of a change, by this power of the ratio. Small faces are soft
#: there, so the same change misleads unseen classifiers less (benchmarks/small_faces.py).
SMALL, POWER = 80.0, 0.55
# Minimum number of samples per crop pixel where the photo is finer: a residual is smooth, a face is not.
_SAMPLES = {"residual": 2, "replacement": 4}


@cache
def feather_mask(size: int) -> NDArray[np.float32]:
    """Return the mask (size, size) float32: 1 inside, falling smoothly to 0 at the crop's border, rounded corners."""
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
        The face that the crop shows.
    before, after : ndarray
        (S, S, 3) float32 RGB in [0, 1], the original and the changed crop. Equal crops do not change the photo.
    mode : {"residual", "replacement"}
        See the module docstring.
    """
    if np.array_equal(before, after):
        return
    grey = photo.ndim == 2 or photo.shape[2] == 1
    change = emphasis(face.scale) * (after - before) if mode == "residual" else after
    if grey:
        change = (change @ _LUMA)[:, :, None]
    mask = feather_mask(before.shape[0])[:, :, None]
    if mode == "replacement":
        mask = mask * _changed(before, after)[:, :, None]
    top = np.float32(np.iinfo(photo.dtype).max)
    # The mask is applied before resampling, so that change and weight both fade to exactly 0 outside the crop.
    planes = change * mask * top
    samples = _SAMPLES[mode]
    rows, columns = _region(photo.shape[:2], face, mask if mode == "replacement" else planes, samples)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    added = _Spread(planes, face, rows, columns, samples)
    weight = _Spread(mask, face, rows, columns, samples) if mode == "replacement" else None
    view = photo if photo.ndim == 3 else photo[:, :, None]
    height = added.step * max(1, _STRIP // added.step)
    for start in range(rows.start, rows.stop, height):
        strip = slice(start, min(start + height, rows.stop))
        new = view[strip, columns].astype(np.float32)
        if weight is not None:
            new *= 1 - weight.rows(strip)
        new += added.rows(strip)
        view[strip, columns] = np.clip(np.rint(new, out=new), 0, top, out=new)


def emphasis(scale: float) -> np.float32:
    """Return the factor on the change of a crop whose side is so many pixels in the photo: 1 but for small faces."""
    return np.float32(max(1.0, SMALL / scale) ** POWER)


def _changed(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where two crops differ, (S, S) float32: 0 where equal, rising to 1 within a hundredth of the side."""
    same = Image.fromarray((before == after).all(axis=2).astype(np.uint8) * 255)
    # Isolated unchanged specks count as changed.
    same = same.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.MaxFilter(5))
    blurred = np.asarray(same.filter(ImageFilter.BoxBlur(same.width / 100)), dtype=np.float32) / 255
    # Stretched to be 0 at the edge of the changed region, so that resampling does not extend it.
    return np.where(np.asarray(same) > 0, np.float32(0), np.clip(1 - 2 * blurred, 0, 1))


def _region(shape: tuple[int, ...], face: Face, planes: NDArray[np.float32], samples: int) -> tuple[slice, slice]:
    """Return the rows and columns of the photo that the non-zero part of a crop's planes (S, S, C) can reach.

    They begin at a sample of the grid that `_Spread` would have for the whole crop, so that its values are the same.
    """
    size = len(planes)
    step = _step(face, size, samples)
    filled = planes.any(axis=2)
    if not filled.any():
        return slice(0, 0), slice(0, 0)
    # Bicubic and bilinear resampling reach 3 pixels of the crop, or of a smaller copy for a small face.
    margin = 5 * max(1.0, size / face.scale)
    across, down = (np.flatnonzero(filled.any(axis=axis))[[0, -1]] + (-margin, 1 + margin) for axis in (0, 1))
    low, high = _bounds(face, np.clip(across / size, 0, 1), np.clip(down / size, 0, 1))
    start = np.maximum(_bounds(face, (0, 1), (0, 1))[0], 0)
    start += np.maximum(low - start, 0) // step * step
    stop = np.minimum(high, (shape[1], shape[0]))
    return slice(start[1], stop[1]), slice(start[0], stop[0])


def _bounds(face: Face, x: Iterable[float], y: Iterable[float]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the corners (x, y) of the pixels of the photo that cover a rectangle of a crop of side 1."""
    matrix = face.to_photo
    corners = np.array(list(product(x, y))) @ matrix[:, :2].T + matrix[:, 2]
    return np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)


def _step(face: Face, size: int, samples: int) -> int:
    """Return the distance of grid samples in pixels of the photo, see `_Spread`."""
    return max(1, int(face.scale / (samples * size)))


class _Spread:
    """The planes of a crop (S, S, C), sampled at the pixels of a region of the photo; 0 outside the crop.

    A crop finer than the photo is averaged down to avoid aliasing. A coarser one is enlarged smoothly, at most four
    times: beyond that bilinear and bicubic look the same. The rotation to the photo is computed on a grid of every
    `step`-th pixel, with at least `samples` samples per crop pixel; values between them are interpolated linearly.
    """

    def __init__(self, planes: NDArray[np.float32], face: Face, rows: slice, columns: slice, samples: int) -> None:
        size = planes.shape[0]
        self.start, self.width = rows.start, columns.stop - columns.start
        self.step = _step(face, size, samples)
        # Values between grid samples are linear in any case, so a finer enlargement would have no effect.
        most = 4 if self.step == 1 else samples
        side = math.ceil(face.scale) if face.scale < size else size * min(most, math.ceil(face.scale / size))
        # Sample (i, j) is the photo's pixel (start + i * step, columns.start + j * step); half a pixel is its middle.
        matrix = invert(face.to_photo) * side
        middle = np.array((columns.start, rows.start)) + 0.5 * (1 - self.step)
        matrix[:, 2] += matrix[:, :2] @ middle
        matrix[:, :2] *= self.step
        shape = tuple(-(-(s.stop - s.start) // self.step) + 1 for s in (columns, rows))
        # A sample inside must not affect pixels outside.
        rim = math.ceil(1.5 * self.step * side / face.scale) if self.step > 1 else 0
        self.samples = []
        for plane in np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float32):
            image = Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC)
            for box in ((0, 0, side, rim), (0, 0, rim, side), (0, side - rim, side, side), (side - rim, 0, side, side)):
                image.paste(0, box)
            turned = image.transform(shape, Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR)
            self.samples.append(np.asarray(turned))

    def rows(self, strip: slice) -> NDArray[np.float32]:
        """Return (rows, columns, C) at a strip of the region's rows, which begins at a multiple of `step` in it."""
        first, last = strip.start - self.start, strip.stop - self.start
        found = [plane[first // self.step : -(-last // self.step) + 1] for plane in self.samples]
        if self.step == 1:
            return np.stack([plane[: last - first, : self.width] for plane in found], axis=2)
        wide = np.empty((len(found[0]), (found[0].shape[1] - 1) * self.step, len(found)), np.float32)
        for c, plane in enumerate(found):
            _between(plane.T, self.step, wide[:, :, c].T)
        out = np.empty(((len(wide) - 1) * self.step, *wide.shape[1:]), np.float32)
        _between(wide, self.step, out)
        return out[: last - first, : self.width]


def _between(samples: NDArray[np.float32], step: int, out: NDArray[np.float32]) -> None:
    """Interpolate (N, ...) samples linearly into `out` ((N - 1) * step, ...), with `step` - 1 rows between any two."""
    here, rise = samples[:-1], np.diff(samples, axis=0)
    out[::step] = here
    for n in range(1, step):
        np.multiply(rise, np.float32(n / step), out=out[n::step])
        out[n::step] += here
