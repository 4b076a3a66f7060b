"""Averages of the faces of a training pack: mean shape and mean picture of each group that is large enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.pack import Pack
from facepriv.errors import DataError
from facepriv.faces import morph
from facepriv.faces.align import TEMPLATE
from facepriv.faces.detect import locate
from facepriv.schema import ATTRIBUTES
from facepriv_face_mixing.gallery import Gallery

#: An average of fewer people than this might still resemble one of them.
FEWEST_PEOPLE = 50
#: More people do not improve an average.
MOST_PEOPLE = 400
#: Younger faces are left out: a child's face hardly shows gender, and would blur the averages of adults.
YOUNGEST = 18
#: The part of the crop in an average: the face, and the ring around it that ends the warp.
WINDOW = (0.13, 0.87)

# The attributes that define groups; gender alone is for faces of unknown race and age.
_GROUPS = (("gender",), ("gender", "race"), ("gender", "age"), ("gender", "race", "age"))
# The box of dlib's detector in an aligned crop, as the median of 60 detections. Landmarks are found within it.
_BOX = (0.214, 0.223, 0.786, 0.786)
# Eye corners and nose base among the 68 points, in the order of the alignment's five.
_FIVE = (45, 42, 36, 39, 33)
# Faces are left out if their landmarks differ from the alignment's by more than this share of the crop.
_MISSED = 0.03


def average(
    pack: Pack,
    *,
    people: int = FEWEST_PEOPLE,
    most: int = MOST_PEOPLE,
    size: int = 72,
    progress: Callable[[int, int], None] | None = None,
) -> Gallery:
    """Average the adults of a pack's training part into a gallery, one photo a person.

    Parameters
    ----------
    pack : Pack
    people : int
        Smaller groups get no average.
    most : int
        Larger groups are subsampled evenly to this number.
    size : int
        Side of the pictures, which show `WINDOW` of the crop.
    progress : callable, optional
        Called with the numbers of finished and of all photos.

    Raises
    ------
    DataError
        If `people` is less than `FEWEST_PEOPLE`, or no group is large enough.
    """
    if people < FEWEST_PEOPLE:
        raise DataError(f"an average of {people} people would show them: take at least {FEWEST_PEOPLE}")
    rows = _one_photo_a_person(pack)
    groups = {labels: _spread(chosen, most) for labels, chosen in _groups(pack, rows) if len(chosen) >= people}
    used = np.unique(np.concatenate(list(groups.values()))) if groups else []
    total, done = len(used) + sum(map(len, groups.values())), 0

    def advance(count: int = 1) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    points = _landmarks(pack, used, advance)
    found = []
    for labels, chosen in groups.items():
        known = [n for n in chosen if n in points]
        if len(known) >= people:
            found.append((labels, len(known), *_mean(pack, known, points, size, advance)))
        advance(len(chosen) - len(known))
    if not found:
        raise DataError(f"no group of the pack's training part has {people} people: nothing to average")
    return Gallery(
        np.stack([image for *_, image in found]),
        np.stack([shape for *_, shape, _ in found]).astype(np.float32),
        {a: np.array([dict(labels).get(a, -1) for labels, *_ in found], dtype=np.int64) for a in ATTRIBUTES},
        np.array([count for _, count, *_ in found], dtype=np.int64),
        WINDOW,
    )


def _one_photo_a_person(pack: Pack) -> NDArray[np.int64]:
    """Return adults' training rows, the first of each person; each unidentified photo counts as its own person."""
    rows = pack.where(part="train")
    rows = rows[~(pack.years[rows] < YOUNGEST)]  # unknown ages stay
    names = [f"{pack.columns['set'][n]}/{pack.columns['subject'][n] or pack.columns['name'][n]}" for n in rows]
    return rows[np.sort(np.unique(names, return_index=True)[1])]


def _groups(pack: Pack, rows: NDArray[np.int64]) -> Iterator[tuple[tuple[tuple[str, int], ...], NDArray[np.int64]]]:
    """Yield each group: its classes as (attribute, class) pairs, and its rows."""
    for names in _GROUPS:
        for classes in product(*(range(len(ATTRIBUTES[name].classes)) for name in names)):
            fits = np.ones(len(rows), bool)
            for name, label in zip(names, classes, strict=True):
                fits &= pack.labels[name][rows] == label
            yield tuple(zip(names, classes, strict=True)), rows[fits]


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def _landmarks(pack: Pack, rows: NDArray[np.int64], advance: Callable[[], None]) -> dict[int, NDArray[np.float64]]:
    """Return row -> landmarks (68, 2) in the crop of side 1, for faces whose landmarks agree with the alignment."""
    size, found = pack.crops.shape[1], {}
    left, top, right, bottom = (size * edge for edge in _BOX)
    for n in rows:
        dense = locate(np.ascontiguousarray(pack.crops[n]), (left, top, right, bottom), dense=True).dense
        assert dense is not None
        points = dense / size
        if np.abs(points[list(_FIVE)] - TEMPLATE).mean() <= _MISSED:
            found[int(n)] = points
        advance()
    return found


def _mean(
    pack: Pack, rows: list[int], points: dict[int, NDArray[np.float64]], size: int, advance: Callable[[], None]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the mean shape (68, 2) of some faces, in the crop of side 1, and the mean of their pictures in it."""
    side = pack.crops.shape[1]
    shape = np.mean([points[n] for n in rows], axis=0)
    start, stop = WINDOW
    target = (shape - start) / (stop - start) * size - 0.5
    total = np.zeros((size, size, 3))
    low, high = round(start * side), round(stop * side)
    mesh = morph.mesh(target, size)
    for n in rows:
        window = pack.crops[n][low:high, low:high].astype(np.float32)
        total += morph.warp(window, points[n] * side - 0.5 - low, target, mesh, size)
        advance()
    return shape, np.rint(total / len(rows)).astype(np.uint8)
