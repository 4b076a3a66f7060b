"""Closed-set identification: a probe is compared with the photos of all people, ranked by their best score.

The gallery excludes the probe's own photo, original or protected. A person's score is that of their best photo. Ties
count against the probe: people with the same score rank before its own person. A failure is never identified.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import DataError
from facepriv.metrics.arrays import Float
from facepriv.metrics.curve import check_weights
from facepriv.metrics.pairs import Score

#: Scores held at once.
_BLOCK = 2**20


def ranks(
    probes: NDArray[np.float32], gallery: NDArray[np.float32], subjects: NDArray[np.int64], score: Score
) -> NDArray[np.float64]:
    """Return the rank (N,) of each probe's own person, from 1; infinity if it is never found.

    Parameters
    ----------
    probes, gallery : ndarray
        (N, D) descriptors of the same N photos, original or protected; an all-NaN row is a failure.
    subjects : ndarray
        (N,) index of the person. A probe of a person with only one photo has no rank: NaN.
    score : callable
        Similarity (K, M) of all rows with all rows, higher = more likely the same person.

    Raises
    ------
    DataError
        If no person has two photos, or there is only one person.

    Examples
    --------
    >>> photos = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.8, 0.6]], np.float32)
    >>> people = np.array([0, 0, 1, 1])
    >>> found = ranks(photos, photos, people, lambda a, b: a @ b.T)
    >>> found
    array([1., 1., 1., 2.])
    """
    order = np.argsort(subjects, kind="stable")
    people, starts, counts = np.unique(subjects[order], return_index=True, return_counts=True)
    if len(people) < 2 or counts.max() < 2:
        raise DataError("identification needs two people, one of them with two photos")
    failed = np.isnan(gallery).all(axis=1)[order]
    own = np.searchsorted(people, subjects)
    found = np.full(len(subjects), np.nan)
    probes_at = np.flatnonzero(counts[own] > 1)
    height = max(1, _BLOCK // len(subjects))
    for start in range(0, len(probes_at), height):
        some = probes_at[start : start + height]
        scores = np.where(failed, -np.inf, score(probes[some], gallery[order]).astype(np.float64))
        scores[np.isnan(probes[some]).all(axis=1)] = -np.inf
        scores[order[None] == some[:, None]] = -np.inf
        best = np.maximum.reduceat(scores, starts, axis=1)
        reached = best[np.arange(len(some)), own[some]]
        # The count includes the probe's own person.
        found[some] = np.where(reached == -np.inf, np.inf, (best >= reached[:, None]).sum(axis=1))
    return found


def cmc(found: ArrayLike, depth: int, weights: ArrayLike | None = None) -> Float:
    """Return the cumulative match characteristic (R, depth): the share of probes found at rank 1 to `depth`.

    Parameters
    ----------
    found : array
        (N,) ranks from `ranks`; NaN is left out.
    weights : array or None
        (R, N) counts of R resamples; None: each once.

    Examples
    --------
    >>> cmc([1, 1, 1, 2], depth=2)
    array([[0.75, 1.  ]])
    """
    found = np.asarray(found, dtype=np.float64)
    w = check_weights(weights, len(found))[:, ~np.isnan(found)]
    found = found[~np.isnan(found)]
    total = w.sum(axis=1, keepdims=True)
    within = (found[:, None] <= np.arange(1, depth + 1)).astype(np.float64)
    return np.where(total > 0, (w @ within) / np.where(total > 0, total, 1), np.nan)
