"""Face detection with MTCNN: three small networks, each of which checks and refines the boxes of the one before.

Source: K. Zhang, Z. Zhang, Z. Li and Y. Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", IEEE Signal Processing Letters 23(10), 2016.

`facepriv.faces.search` proposes boxes in place of the first network, which takes several times as long. If the other
two confirm no sure face, the first network searches carefully. `facepriv.faces.propose` uses the first two in another
way, on few small copies of a photo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter

from facepriv.faces.boxes import Floats, shared_of_smaller, square, suppress
from facepriv.faces.confirm import opinions
from facepriv.faces.networks import first, second, third
from facepriv.faces.propose import tones
from facepriv.faces.search import SMALLEST, proposals

# Side of the smallest windows, as a multiple of the width of the smallest faces. A face is 1.25 times as high as wide,
# and the first network finds faces that fill only a part of a window: 1.4 takes four fifths of the time of 1.25, and
# finds as many faces of 16 pixels and more in composed crowds. At 1.6, half of those of 16 pixels are lost.
_SMALLEST = 1.4
#: Minimum score of a face at the end, as log-odds; of a sure one; and of one that only a careful search finds.
THIRD, SURE, VERY_SURE = 0.0, 0.85, 3.0
#: Log-odds from which a proposal is certain, and the second network's minimum score for such a one.
CERTAIN, DOUBTED = 8.0, -1.5
#: Minimum log-odds of the second opinion on a box that the third network rejects, and the score that it then gets.
CONVINCED, SECOND_OPINION = 2.0, 1.0
#: Intersection over union above which two boxes of the first or second network show the same face.
SAME = 0.7
#: The contrast of a photo as it is.
PLAIN = np.arange(256, dtype=np.uint8)
#: Share of the smaller of two final boxes above which both show the same face.
NESTED = 0.6

# Window of the first network and its stride, in pixels; patch sides of the second and the third.
_WINDOW, _STRIDE, _SECOND_SIDE, _THIRD_SIDE = 12, 2, 24, 48
# Size of the tiles that the first network searches at once, in windows: a whole photo would need much memory.
_ROWS, _COLUMNS = 128, 512
# Number of patches processed at once.
_BATCH = 16
# Minimum scores, as log-odds of a face: of a proposal and of the second network's boxes in a quick search; of a window
# of the first network and of the second network's boxes in a careful one.
_PROPOSED, _CONFIRMED = -2.0, 0.4
_WINDOW_CAREFUL, _CONFIRMED_CAREFUL = 0.4, -1.0
# Size of a copy of the photo in a careful search, as a share of the one before.
_STEP = 0.709


def find(rgb: NDArray[np.uint8], min_face: float) -> tuple[Floats, Floats, Floats]:
    """Return the faces of a photo (H, W, 3) uint8, the surest first.

    Parameters
    ----------
    rgb : ndarray
        (H, W, 3) uint8.
    min_face : float
        Width of the smallest faces to search for, in pixels.

    Returns
    -------
    boxes : ndarray
        (N, 4) left, top, right, bottom in pixels; they may extend over the photo's border.
    scores : ndarray
        (N,) probabilities of a face.
    points : ndarray
        (N, 5, 2) centres of the eyes, tip of the nose and corners of the mouth, left in the picture first.
    """
    contrast = tones(rgb[::4, ::4])
    boxes, scores, points = _confirmed(candidates(rgb, contrast, min_face, _PROPOSED, _CONFIRMED), again=True)
    if not (scores > SURE).any():
        more = search_carefully(Image.fromarray(contrast[rgb]), min_face)
        # More windows give more false boxes.
        sure = more[1] > VERY_SURE
        if sure.any():
            boxes, scores, points = more[0][sure], more[1][sure], more[2][sure]
    return boxes, 1 / (1 + np.exp(-scores)), points


@dataclass(frozen=True)
class Candidates:
    """Boxes that the second network confirmed, and the copies of the photo that patches are cut from.

    Parameters
    ----------
    copies : sequence of ndarray
        The photo, then smaller copies, (H, W, 3) uint8.
    boxes : ndarray
        (N, 4) squares in pixels of the photo.
    contrast : ndarray
        (256,) uint8, the values that patches get in place of those of the copies.
    """

    copies: Sequence[NDArray[np.uint8]]
    boxes: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    contrast: NDArray[np.uint8] = field(default_factory=lambda: PLAIN)

    @property
    def zooms(self) -> Floats:
        """Number of the photo's pixels that a pixel of each copy is wide."""
        return np.array([self.copies[0].shape[1] / copy.shape[1] for copy in self.copies])

    def run(self, network: Callable[[NDArray[np.float32]], Any], side: int) -> list[Any]:
        """Run a network on patches (n, side, side, 3) of the boxes, N >= 1, some at a time; returns its outputs.

        A hostile photo has as many boxes as it has pixels to hold them: their patches are never in memory together.
        """
        # The coarsest copy in which a box nearly fills the patch.
        wide = (self.boxes[:, 2] - self.boxes[:, 0])[:, None] >= 0.85 * side * self.zooms
        levels = np.maximum(wide.sum(1) - 1, 0)
        corners, values = self.boxes / self.zooms[levels, None], self.contrast.astype(np.float32)

        def patches(part: slice) -> NDArray[np.float32]:
            pairs = zip(levels[part], corners[part], strict=True)
            return np.stack([_patch(self.copies[level], values, box, side) for level, box in pairs])

        return [network(patches(slice(start, start + _BATCH))) for start in range(0, len(self.boxes), _BATCH)]

    def outputs(self, network: Callable[[NDArray[np.float32]], tuple[Floats, ...]], side: int) -> list[Floats]:
        """Run a network with several outputs; returns each for all boxes."""
        return [np.concatenate(each) for each in zip(*self.run(network, side), strict=True)]

    def take(self, rows: NDArray[np.intp]) -> Candidates:
        """Return some of the boxes."""
        return replace(self, boxes=self.boxes[rows])


def candidates(
    rgb: NDArray[np.uint8], contrast: NDArray[np.uint8], min_face: float, proposed: float, confirmed: float
) -> Candidates:
    """Return what the third network gets in a quick search.

    Parameters
    ----------
    rgb : ndarray
        (H, W, 3) uint8.
    contrast : ndarray
        (256,) uint8, the values that the networks get in place of the photo's.
    min_face : float
        As for `find`.
    proposed, confirmed : float
        Minimum scores of proposals and of the second network's boxes, as log-odds.
    """
    halves = _halves(Image.fromarray(rgb), SMALLEST / min_face)
    found = Candidates([rgb, *map(np.asarray, halves)], contrast=contrast)
    boxes, scores = [found.boxes], [np.zeros(0)]
    for copy, zoom in zip(found.copies[1:], found.zooms[1:], strict=True):
        own, how_well = proposals(contrast[copy], proposed)
        boxes.append(zoom * own)
        scores.append(how_well)
    merged, how_sure = np.concatenate(boxes), np.concatenate(scores)
    kept = suppress(merged, how_sure, SAME)
    # The second network, whose patches are half as wide as the third's, must not overrule a certain proposal.
    least = np.where(how_sure[kept] > CERTAIN, min(confirmed, DOUBTED), confirmed)
    return _refined(replace(found, boxes=merged[kept]), least)


def search_carefully(photo: Image.Image, min_face: float) -> tuple[Floats, Floats, Floats]:
    """Search with the first network and lower thresholds.

    Returns what `find` does, but scores as log-odds. The photo should have good contrast.
    """
    found = Candidates([np.asarray(photo), *_smaller(photo, _WINDOW / (_SMALLEST * min_face))])
    boxes = _scanned(found.copies[1:], found.zooms[1:], _WINDOW_CAREFUL)
    return _confirmed(_refined(replace(found, boxes=boxes), _CONFIRMED_CAREFUL))


def _confirmed(found: Candidates, *, again: bool = False) -> tuple[Floats, Floats, Floats]:
    """Return the faces among candidates as `find` does, by the third network, but scores as log-odds.

    `again` asks for a second opinion on what it rejects, in photos with a sure face: a photo without one may lie on
    its side, and a false box would end the search.
    """
    boxes = found.boxes
    if not len(boxes):
        return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
    shifts, scores, points = found.outputs(third, _THIRD_SIDE)
    rejected = np.flatnonzero(scores <= THIRD)
    if again and len(rejected) and (scores > SURE).any():
        convinced = np.concatenate(found.take(rejected).run(opinions, _THIRD_SIDE)) > CONVINCED
        scores[rejected[convinced]] = SECOND_OPINION
    points = boxes[:, None, :2] + (boxes[:, 2] - boxes[:, 0])[:, None, None] * points
    boxes = _shifted(boxes, shifts)
    kept = np.flatnonzero((scores > THIRD) & _sound(boxes))
    kept = kept[suppress(boxes[kept], scores[kept], NESTED, shared_of_smaller)]
    return boxes[kept], scores[kept].astype(np.float64), points[kept].astype(np.float64)


def _scanned(copies: Sequence[NDArray[np.uint8]], zooms: Floats, least: float) -> Floats:
    """Return square boxes (N, 4) of possible faces, in pixels of the photo, by the first network."""
    if not copies:
        return np.zeros((0, 4))
    found = [_scan(copy, zoom, least) for copy, zoom in zip(copies, zooms, strict=True)]
    boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return square(boxes[suppress(boxes, scores, SAME)])


def _refined(found: Candidates, least: float | Floats) -> Candidates:
    """Return the candidates that the second network confirms, moved; `least` is the minimum score, or each box's."""
    if not len(found.boxes):
        return found
    shifts, scores = found.outputs(second, _SECOND_SIDE)
    boxes = _shifted(found.boxes, shifts)
    kept = (scores > least) & _sound(boxes)
    boxes, scores = boxes[kept], scores[kept]
    return replace(found, boxes=square(boxes[suppress(boxes, scores, SAME)]))


def _halves(photo: Image.Image, scale: float) -> list[Image.Image]:
    """Return a copy of a photo at a scale, and further ones, each half the size of the one before."""
    copies = []
    factor = 1 / scale
    if factor >= 2 and factor.is_integer():
        copy = photo.reduce(int(factor))
    else:
        copy = photo.resize([max(1, round(side * scale)) for side in photo.size], Image.Resampling.BOX)
    while min(copy.size) >= SMALLEST:
        copies.append(copy)
        copy = copy.reduce(2)
    return copies


def _smaller(photo: Image.Image, scale: float) -> list[NDArray[np.uint8]]:
    """Return a copy of a photo at a scale, and further ones for a careful search."""
    copies = [photo]
    while min(photo.size) * scale >= _WINDOW:
        size = [max(_WINDOW, round(side * scale)) for side in photo.size]
        copies.append(copies[-1].resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0))
        scale *= _STEP
    return [np.asarray(copy) for copy in copies[1:]]


def _scan(copy: NDArray[np.uint8], zoom: float, least: float) -> tuple[Floats, Floats]:
    """Return boxes (N, 4) in pixels of the photo, and scores (N,), of the windows with a possible face."""
    scores = np.empty([(side - _WINDOW) // _STRIDE + 1 for side in copy.shape[:2]], np.float32)
    found = []
    for row in range(0, scores.shape[0], _ROWS):
        for column in range(0, scores.shape[1], _COLUMNS):
            tile = scores[row : row + _ROWS, column : column + _COLUMNS]
            height, width = (_STRIDE * (side - 1) + _WINDOW for side in tile.shape)
            part = copy[_STRIDE * row :, _STRIDE * column :][:height, :width]
            tile[:], rows, columns, shifts = first(part, least)
            found.append(np.column_stack((rows + row, columns + column, shifts)))
    windows = np.concatenate(found)
    rows, columns = windows[:, 0].astype(int), windows[:, 1].astype(int)
    best = scores[rows, columns] >= maximum_filter(scores, 3)[rows, columns]
    rows, columns, shifts = rows[best], columns[best], windows[best, 2:]
    corners = _STRIDE * np.column_stack((columns, rows, columns, rows)) + (0, 0, _WINDOW, _WINDOW)
    boxes = zoom * (corners + _WINDOW * shifts)
    sound = _sound(boxes)
    return boxes[sound], scores[rows, columns][sound]


def _sound(boxes: Floats) -> NDArray[np.bool_]:
    """Return which boxes have an area. Shifts are unbounded: a crafted photo could invert a box."""
    return (boxes[:, 2:] - boxes[:, :2] > 1).all(1)


def _patch(copy: NDArray[np.uint8], values: NDArray[np.float32], box: Floats, side: int) -> NDArray[np.float32]:
    """Return a square box of a copy (H, W, 3), through a table, interpolated bilinearly to (side, side, 3).

    The copy's border is repeated.
    """
    places = (np.arange(side) + 0.5) / side * (box[2] - box[0]) - 0.5
    (x, across), (y, down) = (_between(box[axis] + places, copy.shape[1 - axis]) for axis in (0, 1))
    # A copy of one row or column has no second one.
    part = values[copy[y[0] : y[-1] + 2, x[0] : x[-1] + 2]]
    x, y = x - x[0], y - y[0]
    rows = part[y]
    rows += down[:, None, None] * (part[np.minimum(y + 1, len(part) - 1)] - rows)
    found = rows[:, x]
    found += across[:, None] * (rows[:, np.minimum(x + 1, rows.shape[1] - 1)] - found)
    return found


def _between(places: Floats, length: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the pixel before each place and the weight of the next."""
    places = np.clip(places, 0, length - 1)
    low = np.minimum(places.astype(int), max(0, length - 2))
    return low, (places - low).astype(np.float32)


def _shifted(boxes: Floats, shifts: Floats) -> Floats:
    return boxes + shifts * (boxes[:, 2:3] - boxes[:, :1])
