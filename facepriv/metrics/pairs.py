"""All comparisons of a set of photos, and their rates under resampling of people.

With S people resampled, a genuine comparison is weighted by its person's count. An impostor comparison is weighted by
the product of its two people's counts (two copies of one person are no impostors). Impostor scores are sorted once. A
low FMR needs only the top of that list, so a resample of 5 million comparisons costs a millisecond. Only the top is
stored, at most `KEPT` comparisons of 8 bytes, so memory is bounded. Figures that need all scores (AUC, d') are
computed in a stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError, DataError
from facepriv.metrics.arrays import Float
from facepriv.metrics.curve import Curve
from facepriv.metrics.stream import ScoreStream
from facepriv.metrics.verification import check_count

#: Compares every row of (K, D) with every row of (M, D), returns (K, M) similarities: `FaceMatcher.score_all`.
Score = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

_MAX_SUBJECTS = 2**16
#: Number of stored highest impostor comparisons: all of 4,000 photos, 8 % of 10^8.
KEPT = 2**23
_ROWS = 2**20


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
        (K,) float32, descending: the highest of the I impostor comparisons, failures last as -infinity.
    first, second : ndarray
        (K,) uint16 subjects of these comparisons.
    photos : ndarray
        (S,) number of photos of each subject.
    stream : ScoreStream
        Statistics of all scores.
    """

    genuine: NDArray[np.float32]
    genuine_subject: NDArray[np.int64]
    impostor: NDArray[np.float32]
    first: NDArray[np.uint16]
    second: NDArray[np.uint16]
    photos: NDArray[np.int64]
    stream: ScoreStream

    @property
    def impostors(self) -> int:
        """Number of all impostor comparisons, I."""
        return self.stream.impostors

    @property
    def whole(self) -> bool:
        """Whether all impostor comparisons are stored."""
        return len(self.impostor) == self.impostors

    @cached_property
    def negated(self) -> NDArray[np.float32]:
        """`impostor` negated, ascending."""
        return -self.impostor

    @property
    def subjects(self) -> int:
        """Number of people."""
        return len(self.photos)

    def ones(self) -> Float:
        """The weighting (1, S) of the full set."""
        return np.ones((1, self.subjects))


@dataclass(frozen=True)
class Points:
    """Operating points of R weightings: thresholds, true and false match rates, each (R,)."""

    threshold: Float
    tmr: Float
    fmr: Float


def compare_all(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    subjects: NDArray[np.int64],
    score: Score,
    *,
    own: NDArray[np.float32] | None = None,
) -> Comparisons:
    """Compare every photo of `first` with every later photo of `second`: each pair of different photos once.

    Parameters
    ----------
    first, second : ndarray
        (N, D) descriptors of the same N photos, original and protected in either order, or the same twice; an all-NaN
        row is a failure to acquire.
    subjects : ndarray
        (N,) index of the person, 0 to S - 1.
    score : callable
        Similarity (K, M) of all rows with all rows, higher = more likely the same person.
    own : ndarray, optional
        (N,) scores of each photo of `first` with the same photo of `second`; these are then the genuine comparisons,
        so that no person needs two photos.

    Raises
    ------
    DataError
        If there is no genuine or no impostor comparison.

    Examples
    --------
    >>> photos = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> found = compare_all(photos, photos, np.array([0, 0, 1]), lambda a, b: a @ b.T)
    >>> found.genuine, found.impostor
    (array([0.8], dtype=float32), array([0.6, 0. ], dtype=float32))
    """
    photos = np.bincount(subjects)
    if first.shape != second.shape or len(first) != len(subjects):
        raise ContractError(
            f"descriptors: expected two (N, D) for {len(subjects)} photos, got {first.shape} and {second.shape}"
        )
    if len(photos) > _MAX_SUBJECTS:
        raise DataError(f"{len(photos)} people are more than the {_MAX_SUBJECTS} that all comparisons are made for")
    if (photos > 0).sum() < 2:
        raise DataError(f"{len(first)} photos of {(photos > 0).sum()} people hold no impostor pair: add other people")
    if own is None and photos.max() < 2:
        raise DataError(f"{len(first)} photos of {len(first)} people hold no genuine pair: add second photos of people")
    genuine, genuine_subject = _genuine(first, second, subjects, score) if own is None else (own, subjects)
    stream = ScoreStream(genuine, keep=0)  # `_Top` stores the highest scores with their subjects
    top = _Top()
    height = max(1, _ROWS // len(first))
    for start in range(0, len(first) - 1, height):
        block = _impostors(first, second, subjects, score, slice(start, min(start + height, len(first) - 1)))
        stream.add(block[0])
        top.add(*block)
    return Comparisons(genuine, genuine_subject, *top.sorted(), photos, stream)


def _genuine(
    first: NDArray[np.float32], second: NDArray[np.float32], subjects: NDArray[np.int64], score: Score
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the scores of all pairs of photos of the same person, and their subjects."""
    scores, people = [], []
    for person in np.flatnonzero(np.bincount(subjects) > 1):
        own = np.flatnonzero(subjects == person)
        scores.append(_scores(first[own], second[own], score)[np.triu_indices(len(own), 1)])
        people.append(np.full(len(scores[-1]), person, dtype=np.int64))
    return np.concatenate(scores), np.concatenate(people)


def _impostors(
    first: NDArray[np.float32], second: NDArray[np.float32], subjects: NDArray[np.int64], score: Score, rows: slice
) -> tuple[NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint16]]:
    """Return the scores of some photos with all later photos of other people, NaN = failure, and both subjects."""
    after = rows.start + 1
    scores = _scores(first[rows], second[after:], score)
    one, other = np.arange(rows.start, rows.stop)[:, None], np.arange(after, len(second))[None]
    wanted = (other > one) & (subjects[one] != subjects[other])
    people = (np.broadcast_to(subjects[side], wanted.shape)[wanted].astype(np.uint16) for side in (one, other))
    return scores[wanted], *people


def _scores(first: NDArray[np.float32], second: NDArray[np.float32], score: Score) -> NDArray[np.float32]:
    """Return all scores (K, M), NaN if either photo failed."""
    failed = (np.isnan(side).all(axis=1) for side in (first, second))
    return np.where(np.logical_or.outer(*failed), np.float32(np.nan), score(first, second))


class _Top:
    """Collects comparisons and keeps the highest."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint16]]] = []
        self._held = 0

    def add(self, scores: NDArray[np.float32], first: NDArray[np.uint16], second: NDArray[np.uint16]) -> None:
        self._parts.append((np.where(np.isnan(scores), np.float32(-np.inf), scores), first, second))
        self._held += len(scores)
        if self._held > 2 * KEPT:
            self._cut()

    def sorted(self) -> tuple[NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint16]]:
        """Return the highest comparisons, descending."""
        if self._held > KEPT:
            self._cut()
        scores, first, second = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = descending(scores)
        return scores[order], first[order], second[order]

    def _cut(self) -> None:
        whole = [np.concatenate(part) for part in zip(*self._parts, strict=True)]
        self._parts = []
        chosen = np.argpartition(whole[0], len(whole[0]) - KEPT)[-KEPT:]
        self._parts = [(whole[0][chosen], whole[1][chosen], whole[2][chosen])]
        self._held = KEPT


def descending(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return the stable descending order (N,) of float32 scores; N below 2^32.

    Score and index are sorted as one integer, which is several times as fast as an argsort.
    """
    bits = (-scores + np.float32(0)).view(np.uint32)  # no negative zero
    # Floats sort as integers after this transformation of the sign.
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(len(scores), dtype=np.uint64)
    keys.sort()
    return keys.astype(np.uint32)


def at_fmr(pairs: Comparisons, fmr: float, weights: Float, *, check: bool = True) -> Points:
    """Return the points (R,) with the lowest threshold whose own FMR is at most `fmr`.

    Parameters
    ----------
    weights : ndarray
        (R, S) counts of the subjects.
    check : bool
        Raise an error for an FMR that allows fewer than 30 false matches in the full set.
    """
    if check:
        check_count(pairs.impostors, fmr)
    thresholds = np.array([_threshold(pairs, w, fmr) for w in weights])
    return at_thresholds(pairs, thresholds, weights)


def at_thresholds(pairs: Comparisons, thresholds: Float, weights: Float) -> Points:
    """Return the points (R,) at given thresholds, one per weighting; NaN gives NaN."""
    genuine_weights = weights[:, pairs.genuine_subject]
    total = genuine_weights.sum(axis=1)
    matched = (genuine_weights * (pairs.genuine >= thresholds[:, None])).sum(axis=1)
    tmr = np.where(np.isnan(thresholds), np.nan, _share(matched, total))
    return Points(thresholds, tmr, false_match_rates(pairs, thresholds, weights))


def false_match_rates(pairs: Comparisons, thresholds: Float, weights: Float) -> Float:
    """Return the FMR (R,) at given thresholds, one per weighting; NaN gives NaN."""
    if not pairs.whole and (thresholds <= pairs.impostor[-1]).any():
        raise DataError(_too_many(pairs))
    # In ascending order of the negated scores: how many lie at or above each threshold.
    above = np.searchsorted(pairs.negated, -thresholds, side="right")
    false = np.array([_impostor_weight(pairs, w, stop) for w, stop in zip(weights, above, strict=True)])
    return np.where(np.isnan(thresholds), np.nan, _share(false, _impostor_totals(pairs, weights)))


def equal_errors(pairs: Comparisons, weights: Float) -> Float:
    """Return the equal error rate (R,) of each weighting (R, S), see `facepriv.metrics.verification.eer`.

    NaN where no genuine or no impostor comparison was drawn.

    Raises
    ------
    DataError
        If it lies beyond the stored impostor comparisons.
    """
    real = ~np.isnan(pairs.genuine)
    steps, place = np.unique(pairs.genuine[real], return_inverse=True)
    people = pairs.genuine_subject[real]
    # Number of impostor comparisons above each genuine score, and at or above it; highest score first.
    counts = np.stack([np.searchsorted(pairs.negated, -steps, side=side) for side in ("left", "right")], axis=1)[::-1]
    totals = _impostor_totals(pairs, weights)
    # Resamples cross near the crossing of the full set.
    start = int(1.25 * pairs.stream.eer() * pairs.impostors) + 1024
    rates = []
    for w, total in zip(weights, totals, strict=True):
        drawn = w[pairs.genuine_subject].sum()
        if not drawn or not total:
            rates.append(np.nan)
            continue
        matched = np.cumsum(np.bincount(place, w[people], len(steps))[::-1]) / drawn
        rates.append(_crossing(pairs, w, matched, counts, total, start))
    return np.array(rates)


def _crossing(
    pairs: Comparisons, weights: Float, matched: Float, counts: NDArray[np.int64], total: float, start: int
) -> float:
    """Return the equal error rate of one weighting from the TMR at each genuine score, descending."""
    false = np.zeros(len(matched) * 2 + 1)
    true = np.concatenate([[0.0], np.stack([np.append(0.0, matched)[:-1], matched], axis=1).ravel()])
    kept = len(pairs.impostor)
    stop = min(kept, start)
    while True:
        running = np.append(0.0, np.cumsum(weights[pairs.first[:stop]] * weights[pairs.second[:stop]])) / total
        within = int((counts[:, 1] <= stop).sum())
        false[1 : 1 + 2 * within] = running[counts[:within].ravel()]
        crossed = np.flatnonzero(false[: 1 + 2 * within] + true[: 1 + 2 * within] >= 1)
        if len(crossed) or stop == kept:
            break
        stop = min(kept, 2 * stop)
    if not len(crossed) and not pairs.whole:
        raise DataError(_too_many(pairs))
    ends = 1 + 2 * within
    points = Curve(np.empty(ends + 1), np.append(false[:ends], 1.0)[None], np.append(true[:ends], true[ends - 1])[None])
    return float(points.equal_error()[0])


def _too_many(pairs: Comparisons) -> str:
    kept = f"the {len(pairs.impostor)} of {pairs.impostors} comparisons that are kept"
    return f"more false matches than {kept}: use fewer photos"


def _threshold(pairs: Comparisons, weights: Float, fmr: float) -> float:
    """Return the lowest threshold with FMR at most `fmr` under one weighting (S,); just above a rejected score."""
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
            if not pairs.whole:
                raise DataError(_too_many(pairs))
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
