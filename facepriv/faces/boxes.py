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
    by_left = np.argsort(boxes[:, 0], kind="stable")
    lefts, left_over, kept = boxes[by_left, 0], np.ones(len(boxes), bool), []
    for n in np.argsort(-scores, kind="stable").tolist():
        if not left_over[n]:
            continue
        kept.append(n)
        left, _, right, _ = boxes[n].tolist()
        # A box with an intersection over union above `most` is at most so many times as wide.
        first = np.searchsorted(lefts, left - (right - left) / most) if measure is overlap else 0
        near = by_left[first : np.searchsorted(lefts, right, "right")]
        left_over[near[measure(boxes[n], boxes[near]) > most]] = False
    return kept


def square(boxes: Floats) -> NDArray[np.float64]:
    """Return boxes (N, 4) as squares around their centres."""
    centres, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate((centres - half, centres + half), 1).astype(np.float64)
