"""Error rates of a score over all its thresholds, for many weightings of the same samples at once.

Verification (genuine against impostor) and binary attributes (one class against the other) use the same arithmetic;
`facepriv.metrics.verification` and `facepriv.metrics.attributes` define how failures count in each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import ContractError, DataError
from facepriv.metrics.arrays import Float


@dataclass(frozen=True)
class Curve:
    """A score's error rates, from accepting nothing to accepting everything.

    A sample is accepted if its score is at or above the threshold. Equal scores form one step. Samples with score
    -infinity are never accepted, samples with +infinity always. Beyond the last finite threshold the curve is level, as
    no lower threshold can recover a failure.

    Parameters
    ----------
    thresholds : ndarray
        (T,) descending; the first is +infinity (nothing is accepted), the last -infinity (the level end).
    false, true : ndarray
        (R, T) share of the negatives, and of the positives, that is accepted; one row per weighting. NaN where a
        weighting leaves a class empty.
    """

    thresholds: Float
    false: Float
    true: Float

    def equal_error(self) -> Float:
        """Return (R,) the rate at which false accepts and false rejects are equal, in [0, 1].

        The curve is interpolated linearly between the two thresholds around its crossing with the diagonal.
        """
        before, after, share = self._crossing()
        rows = np.arange(len(self.false))
        return self.false[rows, before] + share * (self.false[rows, after] - self.false[rows, before])

    def equal_error_threshold(self) -> Float:
        """Return (R,) the threshold, an observed score, at which the two error rates differ least."""
        before, after, share = self._crossing()
        nearest = np.where(share < 0.5, before, after)
        # The two ends are not observed scores.
        nearest = np.clip(nearest, 1, max(1, len(self.thresholds) - 2))
        return np.where(np.isnan(share), np.nan, self.thresholds[nearest])

    def area(self) -> Float:
        """Return (R,) the area under the curve: the probability that a positive outscores a negative, ties half."""
        return np.asarray(np.trapezoid(self.true, self.false, axis=1))

    def _crossing(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
        """Return the steps around the crossing and its relative position; the difference rises from -1 to >= 0."""
        difference = self.false + self.true - 1
        after = np.maximum((difference >= 0).argmax(axis=1), 1)
        before = after - 1
        rows = np.arange(len(difference))
        low, high = difference[rows, before], difference[rows, after]
        with np.errstate(invalid="ignore"):
            share = np.where(high > low, -low / np.where(high > low, high - low, 1), 0.0)
        return before, after, np.where(np.isnan(low), np.nan, share)


def curve(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> Curve:
    """Return the curve of `scores` for telling positives from negatives.

    Parameters
    ----------
    scores : array
        (N,), higher = more likely positive; not NaN.
    positive : array
        (N,) bool.
    weights : array or None
        (R, N) counts of the samples in each of R weightings (resamples); None: each once.

    Raises
    ------
    DataError
        If there is no positive or no negative sample.
    ContractError
        If shapes differ or a score is NaN.

    Examples
    --------
    >>> found = curve([0.9, 0.7, 0.6, 0.2], [True, False, True, False])
    >>> found.thresholds
    array([ inf,  0.9,  0.7,  0.6,  0.2, -inf])
    >>> found.true
    array([[0. , 0.5, 0.5, 1. , 1. , 1. ]])
    >>> found.equal_error(), found.area()
    (array([0.5]), array([0.75]))
    """
    scores = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(positive)
    if scores.ndim != 1 or positive.shape != scores.shape or positive.dtype != bool:
        raise ContractError(
            f"curve: expected scores (N,) and bool (N,), got {scores.shape} and {positive.dtype} {positive.shape}"
        )
    if np.isnan(scores).any():
        raise ContractError("curve: scores hold NaN; say first what a failure counts as")
    if not positive.any() or positive.all():
        missing = "negative" if positive.any() else "positive"
        raise DataError(f"error rates need both classes, there is no {missing} sample")
    w = check_weights(weights, len(scores))
    order = np.argsort(-scores, kind="stable")
    ordered, truth, w = scores[order], positive[order], w[:, order]
    ends = np.append(np.flatnonzero(ordered[:-1] != ordered[1:]), len(ordered) - 1)
    true, all_true = _cumulated(w * truth, ends)
    false, all_false = _cumulated(w * ~truth, ends)
    # Failed samples have score -infinity; no threshold accepts them.
    real = ordered[ends] > -np.inf
    empty = (all_true == 0) | (all_false == 0)
    true = np.where(empty, np.nan, true[:, real] / np.where(empty, 1, all_true))
    false = np.where(empty, np.nan, false[:, real] / np.where(empty, 1, all_false))
    nothing = np.where(empty, np.nan, 0.0)
    level = true[:, -1:] if true.shape[1] else nothing
    return Curve(
        np.concatenate([[np.inf], ordered[ends][real], [-np.inf]]),
        np.hstack([nothing, false, nothing + 1]),
        np.hstack([nothing, true, level]),
    )


def check_weights(weights: ArrayLike | None, count: int) -> Float:
    """Return weights as (R, count) float64, one row of ones for None; raises `ContractError` on another shape."""
    if weights is None:
        return np.ones((1, count))
    w = np.asarray(weights, dtype=np.float64)
    if w.ndim != 2 or w.shape[1] != count:
        raise ContractError(f"weights: expected (R, {count}), got {w.shape}")
    return w


def _cumulated(weights: Float, ends: NDArray[np.int64]) -> tuple[Float, Float]:
    """Return the cumulative sums (R, T) at the steps' ends, and the totals (R, 1)."""
    running = np.cumsum(weights, axis=1)
    return running[:, ends], running[:, -1:]
