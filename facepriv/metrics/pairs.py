"""All comparisons of a set of photos, and their rates under resampling of people.

With S people resampled, a genuine comparison counts as often as its person was drawn, an impostor comparison the
product of its two people's counts (two copies of one person are no impostors). Impostor scores are sorted once; a low
FMR then needs only the top of that list, so a resample of 5 million comparisons costs a millisecond. A comparison
takes 8 bytes, and some 30 while the list is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError, DataError
from facepriv.metrics.verification import check_count

Float = NDArray[np.float64]
#: Compares rows of two (K, D) arrays of descriptors, returns (K,) similarities: `FaceMatcher.score`.
Score = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

_MAX_SUBJECTS = 2**16


@dataclass(frozen=True)
class Comparisons:
    """Scores of all comparisons of two sets of the same photos.

    Parameters
    ----------
    genuine : ndarray
        (G,) float32, NaN = failure.
    genuine_subject : ndarray
        (G,) index of the subject.
    impostor : ndarray
        (I,) float32, descending, failures last as -infinity.
    first, second : ndarray
        (I,) uint16 subjects of each impostor comparison.
    photos : ndarray
        (S,) photos of each subject.
    """

    genuine: NDArray[np.float32]
    genuine_subject: NDArray[np.int64]
    impostor: NDArray[np.float32]
    first: NDArray[np.uint16]
    second: NDArray[np.uint16]
    photos: NDArray[np.int64]

    @property
    def subjects(self) -> int:
        """Number of people."""
        return len(self.photos)

    def ones(self) -> Float:
        """The weighting (1, S) of the set as it is."""
        return np.ones((1, self.subjects))


@dataclass(frozen=True)
class Points:
    """Operating points of R weightings: thresholds, true and false match rates, each (R,)."""

    threshold: Float
    tmr: Float
    fmr: Float


def compare_all(
    first: NDArray[np.float32], second: NDArray[np.float32], subjects: NDArray[np.int64], score: Score
) -> Comparisons:
    """Compare every photo of `first` with every later photo of `second`: each pair of different photos once.

    Parameters
    ----------
    first, second : ndarray
        (N, D) descriptors of the same N photos, as taken and as protected, in either order or twice the same; an
        all-NaN row is a failure to acquire.
    subjects : ndarray
        (N,) index of the person, 0 to S - 1.
    score : callable
        Similarity of rows, higher = more likely the same person.

    Raises
    ------
    DataError
        If there is no genuine or no impostor comparison.
    """
    photos = np.bincount(subjects)
    if first.shape != second.shape or len(first) != len(subjects):
        raise ContractError(
            f"descriptors: expected two (N, D) for {len(subjects)} photos, got {first.shape} and {second.shape}"
        )
    if len(photos) > _MAX_SUBJECTS:
        raise DataError(f"{len(photos)} people are more than the {_MAX_SUBJECTS} that all comparisons are made for")
    count = len(first)
    scores = np.empty(count * (count - 1) // 2, dtype=np.float32)
    a, b = np.empty((2, len(scores)), dtype=np.uint16)
    failed_first, failed_second = (np.asarray(np.isnan(d).all(axis=1)) for d in (first, second))
    start = 0
    for i in range(count - 1):
        rest = second[i + 1 :]
        row = slice(start, start + len(rest))
        scores[row] = score(np.broadcast_to(first[i], rest.shape), rest)
        scores[row][failed_second[i + 1 :] | failed_first[i]] = np.nan
        a[row], b[row] = subjects[i], subjects[i + 1 :]
        start = row.stop
    same = np.equal(a, b)
    if not same.any() or same.all():
        raise DataError(
            f"{count} photos of {len(photos)} people hold no {'impostor' if same.any() else 'genuine'} pair"
        )
    genuine, genuine_subject = scores[same], a[same].astype(np.int64)
    impostor, a, b = scores[~same], a[~same], b[~same]
    impostor[np.isnan(impostor)] = -np.inf
    order = np.argsort(-impostor, kind="stable")
    return Comparisons(genuine, genuine_subject, impostor[order], a[order], b[order], photos)


def at_fmr(pairs: Comparisons, fmr: float, weights: Float, *, check: bool = True) -> Points:
    """Return the points (R,) with the lowest threshold whose own FMR is at most `fmr`.

    Parameters
    ----------
    weights : ndarray
        (R, S) how often each subject counts.
    check : bool
        Refuse an FMR that allows fewer than 30 false matches in the set as it is.
    """
    if check:
        check_count(len(pairs.impostor), fmr)
    thresholds = np.array([_threshold(pairs, w, fmr) for w in weights])
    return at_thresholds(pairs, thresholds, weights)


def at_thresholds(pairs: Comparisons, thresholds: Float, weights: Float) -> Points:
    """Return the points (R,) at given thresholds, one a weighting; NaN gives NaN."""
    genuine_weights = weights[:, pairs.genuine_subject]
    total = genuine_weights.sum(axis=1)
    matched = (genuine_weights * (pairs.genuine >= thresholds[:, None])).sum(axis=1)
    # In ascending order of the negated scores: how many lie at or above each threshold.
    above = np.searchsorted(-pairs.impostor, -thresholds, side="right")
    false = np.array([_impostor_weight(pairs, w, stop) for w, stop in zip(weights, above, strict=True)])
    known = np.where(np.isnan(thresholds), np.nan, 1.0)
    return Points(thresholds, known * _share(matched, total), known * _share(false, _impostor_totals(pairs, weights)))


def _threshold(pairs: Comparisons, weights: Float, fmr: float) -> float:
    """Return the lowest threshold that keeps within `fmr` under one weighting (S,); just above a refused score."""
    allowed = fmr * _impostor_totals(pairs, weights[None])[0] * (1 + 1e-12)
    count = len(pairs.impostor)
    stop = min(count, 1024 + int(2 * fmr * count))
    while True:
        running = np.cumsum(weights[pairs.first[:stop]] * weights[pairs.second[:stop]])
        over = int(np.searchsorted(running, allowed, side="right"))
        if over < stop:
            refused = float(pairs.impostor[over])
            return float(np.nextafter(refused, np.inf))
        if stop == count:
            return float("nan")  # no impostor comparison was drawn
        stop = min(count, 2 * stop)


def _impostor_weight(pairs: Comparisons, weights: Float, stop: int) -> float:
    """Return the weight of the `stop` highest impostor scores, 65,536 at a time."""
    total, block = 0.0, 2**16
    for start in range(0, int(stop), block):
        part = slice(start, min(start + block, int(stop)))
        total += float(weights[pairs.first[part]] @ weights[pairs.second[part]])
    return total


def _impostor_totals(pairs: Comparisons, weights: Float) -> Float:
    """Return the weight (R,) of all impostor comparisons, failures included."""
    drawn = weights * pairs.photos
    return (drawn.sum(axis=1) ** 2 - (drawn**2).sum(axis=1)) / 2


def _share(part: Float, whole: Float) -> Float:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
