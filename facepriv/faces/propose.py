"""Face proposals: the first two networks of MTCNN.

They run fast, on small copies of a photo. Their proposals are rough and include false positives, so a detector checks
them (`facepriv.faces.detect`). Source: K. Zhang, Z. Zhang, Z. Li and Y. Qiao, "Joint Face Detection and Alignment Using
Multitask Cascaded Convolutional Networks", IEEE Signal Processing Letters 23(10), 2016; the weights are the authors'
(see `mtcnn-LICENSE.txt` and the file's provenance). The third network is in `facepriv.faces.mtcnn`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.faces.boxes import Floats, square, suppress
from facepriv.faces.networks import first, second

#: Side of the smallest target faces, in pixels; most slightly smaller faces are proposed too.
SMALLEST = 80
#: Minimum scores of a window, as log-odds of a face, in the first and the second network.
FIRST, SECOND = 2.0, 0.5
#: Fraction of burnt-out pixels above which a photo counts as overexposed: two of their channels (red and green for
#: skin) are at `_FULL`. A white wall or a bright sky is enough for that.
BURNT = 0.06
#: Intersection over union above which two boxes show the same face: in one copy, over all copies, after the second
#: network.
SAME_HERE, SAME, SAME_AT_LAST = 0.4, 0.5, 0.5

_FULL = 250
# Target mean of a photo.
_LIGHT = 0.42
# Window sides of the two networks, and the stride of the first in pixels.
_WINDOW, _PATCH, _STRIDE = 12, 24, 2


def propose(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return boxes of possible faces, the likeliest first.

    Parameters
    ----------
    rgb : ndarray
        (H, W, 3) uint8.

    Returns
    -------
    ndarray
        (N, 4) float64, pixels of the photo: left, top, right, bottom of squares, which may extend over its border.
        Their sides are 1.0 to 1.4 times the width of dlib's box of the same face. Empty if more than `BURNT` of the
        photo is burnt out, since too many faces would be missed.
    """
    copies = _copies(rgb)
    widths = np.array([rgb.shape[1] / copy.shape[1] for copy in copies])
    scanned = [_scan(copy, zoom) for copy, zoom in zip(copies[1:], widths[1:], strict=True)]
    boxes, scores = (np.concatenate(parts) for parts in zip(*scanned, strict=True)) if scanned else _NOTHING
    boxes = square(boxes[suppress(boxes, scores, SAME)])
    if not len(boxes):
        return boxes
    sides = boxes[:, 2:3] - boxes[:, :1]
    # The coarsest copy in which the box nearly fills the patch.
    levels = np.maximum((sides >= 0.85 * _PATCH * widths).sum(1) - 1, 0)
    shifts, scores = second(_patches(copies, levels, boxes / widths[levels, None]))
    boxes = boxes + shifts * sides
    # Shifts are unbounded: a crafted photo could invert a box.
    kept = (scores > SECOND) & (boxes[:, 2:] - boxes[:, :2] > 1).all(1)
    return square(boxes[kept][suppress(boxes[kept], scores[kept], SAME_AT_LAST)])


_NOTHING = (np.zeros((0, 4)), np.zeros(0))


def _copies(rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return copies (h, w, 3) with good contrast, each half the size of the one before; all but the finest are scanned.
    The list is empty for an overexposed photo.
    """
    copies = [_smaller(Image.fromarray(rgb), _PATCH / SMALLEST)]
    some = np.asarray(copies[0])[::4, ::4]
    if ((some >= _FULL).sum(2) >= 2).mean() > BURNT:
        return []
    copies[0] = copies[0].point(3 * tones(some).tolist())
    while min(copies[-1].size) >= 2 * _WINDOW:
        copies.append(_smaller(copies[-1], 0.5))
    return [np.asarray(copy) for copy in copies]


def _smaller(image: Image.Image, scale: float) -> Image.Image:
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)


def tones(some: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a lookup table (256,) that gives a photo the contrast and medium brightness that the networks need."""
    # Pillow counts faster than NumPy.
    counts = np.reshape(Image.fromarray(some).histogram(), (3, 256)).sum(0)
    low, high = _percentiles(counts, (1, 99))
    values = np.clip((np.arange(256) - low) / max(high - low, 16), 0, 1)
    mean = np.clip(values @ counts / some.size, 0.05, 0.95)
    return (255 * values ** np.clip(np.log(_LIGHT) / np.log(mean), 0.6, 4)).astype(np.uint8)


def _percentiles(counts: NDArray[np.intp], shares: tuple[float, ...]) -> list[float]:
    """Return what `numpy.percentile` returns of values whose counts (256,) are given; sorting takes longer."""
    below = np.cumsum(counts)
    places = [share / 100 * (below[-1] - 1) for share in shares]
    low, high = (np.searchsorted(below, [side(place) for place in places], "right") for side in (np.floor, np.ceil))
    return [float(a + (b - a) * (place % 1)) for a, b, place in zip(low, high, places, strict=True)]


def _scan(copy: NDArray[np.uint8], zoom: float) -> tuple[Floats, Floats]:
    """Return boxes (N, 4) in pixels of the photo, and scores (N,), of the windows with a possible face."""
    scores, rows, columns, shifts = first(copy, FIRST)
    corners = _STRIDE * np.stack((columns, rows), 1)
    boxes = zoom * (np.concatenate((corners, corners + _WINDOW), 1) + _WINDOW * shifts)
    scores = scores[rows, columns]
    sound = (boxes[:, 2:] - boxes[:, :2] > 1).all(1)
    boxes, scores = boxes[sound], scores[sound]
    kept = suppress(boxes, scores, SAME_HERE)
    return boxes[kept], scores[kept]


def _patches(copies: list[NDArray[np.uint8]], levels: NDArray[np.intp], boxes: Floats) -> NDArray[np.float32]:
    """Return (N, 24, 24, 3): each box (in pixels of the copy of its level) cut out, with the border repeated."""
    patches = np.empty((len(boxes), _PATCH, _PATCH, 3), np.float32)
    places = (np.arange(_PATCH) + 0.5) / _PATCH
    for level in np.unique(levels):
        mine, copy = np.flatnonzero(levels == level), copies[level]
        left, top, right, _ = boxes[mine].T[..., None]
        columns = np.clip((left + places * (right - left)).astype(int), 0, copy.shape[1] - 1)
        rows = np.clip((top + places * (right - left)).astype(int), 0, copy.shape[0] - 1)
        patches[mine] = copy[rows[:, :, None], columns[:, None, :]]
    return patches
