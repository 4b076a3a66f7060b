"""Face detection with dlib's HOG detector, and the landmarks for alignment and methods."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.faces import models
from facepriv.faces.align import Face
from facepriv.faces.boxes import overlap, square, suppress
from facepriv.faces.propose import propose

#: Long side, in pixels, of the copy that is searched. The detector's smallest face is about 60 pixels wide there (brow
#: to chin), so in a larger photo faces narrower than 2.5 % of the long side are not found. With 1600 the limit would be
#: 4 %, which would leave the back rows of a group photo unprotected.
SEARCH_SIDE = 2400
#: Photos above `SEARCH_SIDE` whose long side is more than this many times the short one, such as panoramas, are also
#: searched in overlapping parts: most faces would be lost in a reduced copy of the whole.
LONG = 2.5
#: Photos whose short side is below this are searched at twice their size: HOG finds no face in 89x109 thumbnails.
SMALL_SIDE = 160

#: Photos up to this long side are searched whole, and again at twice the size if no face is found. In larger photos the
#: detector searches only the regions from `propose`, which takes a fifth of the time. It searches the whole photo if it
#: finds no face there, if there is no proposal, or if the proposals cover more pixels than the photo.
WHOLE_SIDE = SEARCH_SIDE // 3
# The region searched around a proposal: a square this many times as wide, moved down by a fraction of the side (dlib's
# boxes are lower than MTCNN's), scaled so that the proposal is at least this many pixels wide, if the photo allows it.
_SEEN, _LOWER, _FINE = 1.45, 0.075, 104
# Side of the smallest proposals from outside that are searched, in pixels; the detector's smallest face is larger.
_LEAST_PROPOSAL = 64
# Tolerance of the detector's score for a face at a proposed position: a copy of another size or offset changes the
# score by about this much.
_LENIENT = -0.2
# Scale step between copies, as in dlib's own pyramid, and size of a HOG cell in pixels.
_STEP, _CELL = 5 / 6, 8
# Intersection over union above which two boxes belong to the same face.
_SAME = 0.4

# Position of the detector's box in an aligned crop, as fractions of its side: x and y of the centre, and width. These
# are medians over photos of CelebA and UTKFace.
_BOX_IN_CROP = (0.508, 0.508, 0.618)

Box = tuple[float, float, float, float]


def detect_boxes(rgb: NDArray[np.uint8], proposals: NDArray[np.floating] | None = None) -> list[Box]:
    """Return the faces' boxes (left, top, right, bottom), in pixels of the photo, largest first.

    Parameters
    ----------
    rgb : ndarray
        (H, W, 3) uint8.
    proposals : ndarray, optional
        As for `find_faces`.
    """
    # A larger photo is searched in a smaller copy, and a panorama in parts: the boxes would lie elsewhere there.
    if proposals is None or max(rgb.shape[:2]) > SEARCH_SIDE:
        return _search_parts(rgb, _search_fast)
    squares = square(proposals)
    given = squares[squares[:, 2] - squares[:, 0] >= _LEAST_PROPOSAL]
    return _search_parts(rgb, lambda part: _search_fast(part, given))


def search_whole(rgb: NDArray[np.uint8]) -> list[Box]:
    """Return the faces' boxes as `detect_boxes` does, but always search the whole photo."""
    return _search_parts(rgb, _search_all)


def _search_parts(rgb: NDArray[np.uint8], search: Callable[[NDArray[np.uint8]], list[Box]]) -> list[Box]:
    """Search a photo, a long one also in parts; returns boxes in pixels of the photo, largest first."""
    boxes = _search_bounded(rgb, search)
    axis = int(rgb.shape[1] > rgb.shape[0])
    for start, stop in _parts(rgb.shape[axis], rgb.shape[1 - axis]):
        part = rgb[:, start:stop] if axis else rgb[start:stop]
        margin = (stop - start) / 8
        low = start + margin if start else -math.inf
        high = stop - margin if stop < rgb.shape[axis] else math.inf
        for box in _search_bounded(part, search):
            moved = np.array(box) + start * np.tile((axis, 1 - axis), 2)
            # A face that is cut here lies entirely in the next part.
            inside = low <= (moved[1 - axis] + moved[3 - axis]) / 2 < high
            if inside and (overlap(moved, np.array(boxes).reshape(-1, 4)) < _SAME).all():
                boxes.append(tuple(moved.tolist()))
    return sorted(boxes, key=lambda b: (-(b[2] - b[0]) * (b[3] - b[1]), b))


def _parts(length: int, width: int) -> list[tuple[int, int]]:
    """Return the ends of parts of a long photo, each twice as long as wide; neighbours overlap by a quarter or more."""
    size = 2 * width
    if length <= SEARCH_SIDE or length <= LONG * width:
        return []
    count = math.ceil((length - size / 4) / (0.75 * size))
    return [(start, start + size) for start in np.linspace(0, length - size, count).round().astype(int).tolist()]


def _search_bounded(rgb: NDArray[np.uint8], search: Callable[[NDArray[np.uint8]], list[Box]]) -> list[Box]:
    """Search a copy of limited size; returns boxes in pixels of the photo."""
    searched = _bounded(rgb)
    sx, sy = rgb.shape[1] / searched.shape[1], rgb.shape[0] / searched.shape[0]
    return [(left * sx, top * sy, right * sx, bottom * sy) for left, top, right, bottom in search(searched)]


def _bounded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a copy whose long side is at most `SEARCH_SIDE`."""
    height, width = rgb.shape[:2]
    scale = SEARCH_SIDE / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(rgb)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def _search_fast(rgb: NDArray[np.uint8], proposals: NDArray[np.float64] | None = None) -> list[Box]:
    """Search the proposed regions of a bounded copy; search all of it if it is small or no face is found."""
    if max(rgb.shape[:2]) <= WHOLE_SIDE or min(rgb.shape[:2]) < SMALL_SIDE:
        return _search_all(rgb)
    return _search_proposed(rgb, propose(rgb) if proposals is None else proposals) or _search_all(rgb)


def _search_all(rgb: NDArray[np.uint8]) -> list[Box]:
    """Search a bounded copy; search a small one again if no face is found."""
    boxes = _search(rgb, upsample=min(rgb.shape[:2]) < SMALL_SIDE)
    return boxes if boxes or max(rgb.shape[:2]) > WHOLE_SIDE else _second_look(rgb)


def _search(rgb: NDArray[np.uint8], upsample: bool) -> list[Box]:
    found = models.detector()(rgb, int(upsample))
    return [(b.left(), b.top(), b.right() + 1, b.bottom() + 1) for b in found]


def _search_proposed(rgb: NDArray[np.uint8], proposals: NDArray[np.float64]) -> list[Box]:
    """Search the proposed regions only; skip the search if they cover more pixels than the whole photo."""
    if len(proposals) * (_SEEN * _FINE) ** 2 > rgb.shape[0] * rgb.shape[1]:
        return []
    boxes, scores = np.zeros((0, 4)), np.zeros(0)
    for proposal in proposals:
        if (overlap(proposal, boxes) < _SAME).all():
            found, how_well = _search_around(rgb, proposal)
            boxes, scores = np.concatenate((boxes, found)), np.concatenate((scores, how_well))
    return [tuple(boxes[n].tolist()) for n in suppress(boxes, scores, _SAME)]


def _search_around(
    rgb: NDArray[np.uint8], proposal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Search a copy of a part of the photo; returns boxes (N, 4) and the detector's scores."""
    side = proposal[2] - proposal[0]
    scale = _STEP ** max(0, math.floor(math.log(_FINE / side, _STEP)))
    centre = (proposal[:2] + proposal[2:]) / 2 + (0, _LOWER * side)
    # Cells are aligned nearly as in a search of the whole photo.
    corner = np.maximum((centre - _SEEN * side / 2) * scale // _CELL * _CELL, 0)
    size = (np.minimum(centre + _SEEN * side / 2, rgb.shape[1::-1]) * scale - corner).astype(int)
    if size.min() < 1:  # a proposal beyond the border
        return np.zeros((0, 4)), np.zeros(0)
    low, high = corner / scale, (corner + size) / scale
    (x, y), (right, bottom) = low.astype(int), np.ceil(high).astype(int)
    part = Image.fromarray(rgb[y:bottom, x:right])
    box = (*(low - (x, y)), *np.minimum(high - (x, y), part.size))
    copy = part.resize(tuple(size.tolist()), Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    found, scores, _ = models.detector().run(np.asarray(copy), 0, _LENIENT)
    boxes = np.array([(b.left(), b.top(), b.right() + 1, b.bottom() + 1) for b in found]).reshape(-1, 4)
    boxes, scores = (boxes + np.tile(corner, 2)) / scale, np.array(scores)
    sure = (scores > 0) | (overlap(proposal, boxes) > _SAME)
    return boxes[sure], scores[sure]


def _second_look(rgb: NDArray[np.uint8]) -> list[Box]:
    """Search at twice the size with the border repeated: finds smaller faces, and faces that fill the frame."""
    rows, columns = (side // 4 for side in rgb.shape[:2])
    padded = np.pad(rgb, ((rows, rows), (columns, columns), (0, 0)), mode="edge")
    return [
        (left - columns, top - rows, right - columns, bottom - rows)
        for left, top, right, bottom in _search(padded, upsample=True)
    ]


def find_faces(
    rgb: NDArray[np.uint8],
    *,
    dense: bool = False,
    thorough: bool = False,
    proposals: NDArray[np.floating] | None = None,
) -> list[Face]:
    """Detect all faces and their landmarks.

    Parameters
    ----------
    rgb : ndarray
        (H, W, 3) uint8.
    dense : bool
        Also find the 68 landmarks that some methods need.
    thorough : bool
        Search the whole photo, and not only the regions proposed by a fast network. Faces that are too small for the
        detector (see `SEARCH_SIDE`) are still not found.
    proposals : ndarray, optional
        (N, 4) boxes of possible faces that another detector found, from brow to chin. In a photo above `WHOLE_SIDE`, up
        to `SEARCH_SIDE`, they stand in for those of the fast network.

    Returns
    -------
    list of Face
        Largest first; empty if none was found.
    """
    rgb = np.ascontiguousarray(rgb)
    boxes = search_whole(rgb) if thorough else detect_boxes(rgb, proposals)
    return [locate(rgb, box, dense=dense) for box in boxes]


def locate(rgb: NDArray[np.uint8], box: Box, *, dense: bool = False) -> Face:
    """Find the landmarks of a face with a known box in a photo (H, W, 3) uint8."""
    return Face(box, _landmarks(rgb, box, models.LANDMARKS_5), dense_landmarks(rgb, box) if dense else None)


def dense_landmarks(rgb: NDArray[np.uint8], box: Box) -> NDArray[np.float64]:
    """Find the 68 landmarks (68, 2) of a face with a known box of dlib's detector."""
    return _landmarks(rgb, box, models.LANDMARKS_68)


def landmarks_of_crop(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Find the 68 landmarks in an aligned crop, without the photo and without face detection.

    Parameters
    ----------
    crop : ndarray
        (S, S, 3) uint8 as `facepriv.faces.align.crop_face` cuts it.

    Returns
    -------
    ndarray
        (68, 2) float32 in pixels of the crop, as in `FaceBatch`. They differ from those of `find_faces` by about 1 % of
        the side.
    """
    x, y, width = (len(crop) * share for share in _BOX_IN_CROP)
    box = (x - width / 2, y - width / 2, x + width / 2, y + width / 2)
    return (_landmarks(np.ascontiguousarray(crop), box, models.LANDMARKS_68) - 0.5).astype(np.float32)


def _landmarks(rgb: NDArray[np.uint8], box: Box, name: str) -> NDArray[np.float64]:
    import dlib

    left, top, right, bottom = (round(v) for v in box)
    shape = models.shape_predictor(name)(rgb, dlib.rectangle(left, top, right - 1, bottom - 1))
    # dlib puts pixel centres at integer coordinates.
    return np.array([(p.x + 0.5, p.y + 0.5) for p in shape.parts()], dtype=np.float64)
