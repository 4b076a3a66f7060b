"""Operations on boxes (N, 4): left, top, right, bottom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Return the intersection over union of a box (4,) with each of `boxes` (N, 4)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.maximum(high - low, 0).prod(1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared)


def shared_of_smaller(box: Floats, boxes: Floats) -> Floats:
    """Return the intersection of a box (4,) with each of `boxes` (N, 4), as a share of the smaller of the two."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.maximum(high - low, 0).prod(1)
    return shared / np.minimum((box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(1))


def suppress(
    boxes: Floats, scores: Floats, most: float, measure: Callable[[Floats, Floats], Floats] = overlap
) -> list[int]:
    """Return the indices of the boxes (N, 4) that overlap no higher-scoring one by more than `most`, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[measure(boxes[best], boxes[order]) <= most]
    return kept


def square(boxes: Floats) -> NDArray[np.float64]:
    """Return boxes (N, 4) as squares around their centres."""
    centres, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate((centres - half, centres + half), 1).astype(np.float64)
