"""Exact verification figures from impostor scores in blocks, for more scores than fit in memory.

The TMR is constant between two genuine scores, so the corners of the ROC are at the genuine scores. It is enough to
count, for each, the impostor scores at or above it and above it. This needs one pass, and memory for the genuine
scores, one block, and the highest impostor scores (for thresholds).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import DataError
from facepriv.metrics.curve import Curve
from facepriv.metrics.verification import MIN_ERRORS, OperatingPoint, allowed_errors, check_count, check_scores

#: Number of impostor scores sorted at once.
BLOCK = 2**22
#: Number of stored highest impostor scores: an FMR of 1 % of 4 x 10^8 comparisons.
KEPT = 2**22


class ScoreStream:
    """Genuine scores, and impostor scores block by block.

    Parameters
    ----------
    genuine : array
        (G,) scores, NaN = failure; float32 is kept, other types become float64.
    keep : int
        Number of stored highest impostor scores: the maximum number of false matches for a threshold. With 0 there are
        no thresholds; all other figures are available.

    Raises
    ------
    DataError
        If there is no genuine comparison.

    Examples
    --------
    >>> stream = ScoreStream([0.9, 0.8, 0.6])
    >>> for block in ([0.1, 0.2], [0.3, 0.7]):
    ...     stream.add(block)
    >>> round(stream.eer(), 3), round(stream.auc(), 3)
    (0.25, 0.917)
    """

    def __init__(self, genuine: ArrayLike, *, keep: int = KEPT) -> None:
        scores = _real(genuine, "genuine")
        if not len(scores):
            raise DataError("there is no genuine comparison")
        self._genuine = scores
        self._steps, counts = np.unique(scores[~np.isnan(scores)], return_counts=True)
        self._matched = np.cumsum(counts[::-1])[::-1]
        self._reached = np.zeros(len(self._steps), dtype=np.int64)
        self._exceeded = np.zeros(len(self._steps), dtype=np.int64)
        self._keep = keep
        self._top: NDArray[np.floating] = np.empty(0, dtype=np.float32)
        self._dropped = False
        self.impostors = 0
        self._scored, self._mean, self._square = 0, 0.0, 0.0

    def add(self, impostor: ArrayLike) -> None:
        """Add a block of impostor scores (I,), NaN = failure; blocks of any length are split."""
        scores = _real(impostor, "impostor")
        for start in range(0, len(scores), BLOCK):
            self._add(scores[start : start + BLOCK])

    def _add(self, scores: NDArray[np.floating]) -> None:
        self.impostors += len(scores)
        ordered = np.sort(scores)  # NaN comes last
        ordered = ordered[: len(ordered) - int(np.isnan(scores).sum())]
        if not len(ordered):
            return
        self._reached += len(ordered) - np.searchsorted(ordered, self._steps, side="left")
        self._exceeded += len(ordered) - np.searchsorted(ordered, self._steps, side="right")
        self._moments(ordered)
        floor = self._top.min(initial=np.inf) if len(self._top) >= self._keep else -np.inf
        fresh = ordered[max(np.searchsorted(ordered, floor, side="right"), len(ordered) - self._keep) :]
        self._dropped |= len(fresh) < len(ordered)
        if len(fresh):
            self._top = np.concatenate([self._top, fresh])
        if len(self._top) > self._keep:
            self._top = np.partition(self._top, len(self._top) - self._keep)[-self._keep :]
            self._dropped = True

    def _moments(self, scores: NDArray[np.floating]) -> None:
        """Update the running mean and sum of squares (Chan, Golub, LeVeque 1979)."""
        count, mean = len(scores), float(scores.mean(dtype=np.float64))
        total, apart = self._scored + count, mean - self._mean
        self._square += float(((scores - mean) ** 2).sum(dtype=np.float64)) + apart**2 * self._scored * count / total
        self._mean += apart * count / total
        self._scored = total

    def curve(self) -> Curve:
        """Return the ROC's corners; they give the same EER and area as all points.

        Raises
        ------
        DataError
            If no impostor score was added.
        """
        if not self.impostors:
            raise DataError("there is no impostor comparison")
        matched = self._matched[::-1] / len(self._genuine)
        # Just above a genuine score, and at it.
        false = np.stack([self._exceeded[::-1], self._reached[::-1]], axis=1).ravel() / self.impostors
        true = np.stack([np.append(0.0, matched)[:-1], matched], axis=1).ravel()
        at = self._steps[::-1].astype(np.float64)
        thresholds = np.stack([np.nextafter(at, np.inf), at], axis=1).ravel()
        level = matched[-1] if len(matched) else 0.0
        return Curve(
            np.concatenate([[np.inf], thresholds, [-np.inf]]),
            np.concatenate([[0.0], false, [1.0]])[None],
            np.concatenate([[0.0], true, [level]])[None],
        )

    @property
    def impostor_mean(self) -> float:
        """The mean impostor score, failures left out; NaN where there is none."""
        return self._mean if self._scored else math.nan

    def eer(self) -> float:
        """Return the equal error rate, see `facepriv.metrics.verification.eer`."""
        return float(self.curve().equal_error()[0])

    def auc(self) -> float:
        """Return the area under the ROC, see `facepriv.metrics.verification.auc`."""
        return float(self.curve().area()[0])

    def d_prime(self) -> float:
        """Return the distance of the means over the root mean variance; see `facepriv.metrics.verification.d_prime`."""
        real = self._genuine[~np.isnan(self._genuine)].astype(np.float64)
        if len(real) < 2 or self._scored < 2:
            raise DataError("d' needs at least two genuine and two impostor scores")
        spread = math.sqrt((float(real.var(ddof=1)) + self._square / (self._scored - 1)) / 2)
        if spread == 0:
            raise DataError("d' is undefined where all genuine and all impostor scores are equal")
        return (float(real.mean()) - self._mean) / spread

    def threshold_at_fmr(self, fmr: float, *, min_errors: int = MIN_ERRORS) -> float:
        """Return the lowest threshold whose FMR is at most `fmr`.

        Raises
        ------
        DataError
            If there are too few comparisons for this rate, or more false matches are allowed than are stored.
        """
        check_count(self.impostors, fmr, min_errors)
        allowed = allowed_errors(self.impostors, fmr)
        if allowed >= len(self._top):
            if self._dropped:
                raise DataError(
                    f"an FMR of {100 * fmr:g} % allows {allowed} false matches, more than the {self._keep} kept"
                )
            return float(np.nextafter(-np.inf, np.inf))  # the other scores are failures: no threshold accepts more
        return float(np.nextafter(float(np.sort(self._top)[-1 - allowed]), np.inf))

    def tmr_at_fmr(self, fmr: float, *, min_errors: int = MIN_ERRORS) -> OperatingPoint:
        """Return the operating point at `fmr`, exact, ties included."""
        threshold = self.threshold_at_fmr(fmr, min_errors=min_errors)
        tmr = float((self._genuine.astype(np.float64) >= threshold).mean())
        reached = int((self._top.astype(np.float64) >= threshold).sum()) / self.impostors
        return OperatingPoint(threshold, tmr, reached)


def _real(scores: ArrayLike, what: str) -> NDArray[np.floating]:
    array = np.asarray(scores)
    return check_scores(array if array.dtype == np.float32 else array.astype(np.float64), what)
