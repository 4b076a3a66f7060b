"""Verification: how well a matcher's scores separate genuine from impostor comparisons (ISO/IEC 19795-1).

A score is a similarity, higher = more likely the same person; a comparison matches if its score is at or above the
threshold. NaN is a failure to detect or acquire: a genuine comparison then never matches, an impostor comparison is
never a false match, and both stay in the denominators.

Rates are shares in [0, 1]. TMR: true match rate, the share of genuine comparisons that match. FMR: false match rate,
the share of impostor comparisons that match.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import ContractError, DataError
from facepriv.metrics.curve import Curve, curve

#: A rate is only reported if the comparisons allow this many errors (about +-37 % at 95 %).
MIN_ERRORS = 30


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and the rates reached there."""

    threshold: float
    tmr: float
    fmr: float


def roc(genuine: ArrayLike, impostor: ArrayLike) -> Curve:
    """Return the ROC, with one point for each distinct score: ``.false`` is FMR, ``.true`` is TMR, both (1, T).

    Parameters
    ----------
    genuine, impostor : array
        (G,) and (I,) scores, NaN = failure.

    Raises
    ------
    DataError
        If either is empty.
    """
    genuine, impostor = _scores(genuine, "genuine"), _scores(impostor, "impostor")
    scores = np.concatenate([genuine, impostor])
    positive = np.arange(len(scores)) < len(genuine)
    return curve(np.where(np.isnan(scores), -np.inf, scores), positive)


def eer(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Return the equal error rate, FMR = 1 - TMR, linearly interpolated between the two thresholds around it.

    Examples
    --------
    >>> eer([0.9, 0.8, 0.6], [0.1, 0.2, 0.3, 0.7])
    0.25
    """
    return float(roc(genuine, impostor).equal_error()[0])


def eer_fvc(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Return the EER as defined by FVC2000, without interpolation, for comparison with tools that use it.

    The threshold is the one of the two observed scores around the crossing of FMR and FNMR with the smaller sum of
    both; the EER is their mean there (Maio et al., FVC2000: Fingerprint verification competition, IEEE TPAMI 24(3),
    2002). It is 1 if they do not cross: even the highest score accepts more impostors than it rejects genuine.

    Examples
    --------
    >>> eer_fvc([0.9, 0.8, 0.6], [0.1, 0.2, 0.3, 0.7])
    0.125
    """
    points = roc(genuine, impostor)
    # Use counts: 1 - 2/3 is not 1/3 in floating point, and exact equality matters here.
    false, true = points.false[0, -2:0:-1], points.true[0, -2:0:-1]
    fmr = np.rint(false * np.size(impostor)) / np.size(impostor)
    fnmr = np.rint((1 - true) * np.size(genuine)) / np.size(genuine)
    crossed = np.flatnonzero(fmr <= fnmr)
    if not len(crossed):
        return 1.0
    after = int(crossed[0])
    before = after if fmr[after] == fnmr[after] or after == 0 else after - 1
    return float(min(fmr[before] + fnmr[before], fmr[after] + fnmr[after]) / 2)


def det(points: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a curve as DET: FMR and FNMR, each (R, T), as normal deviates (Martin et al., Eurospeech 1997).

    Rates of 0 and 1 become -infinity and infinity, which cannot be plotted.
    """
    from scipy.special import ndtri

    return ndtri(points.false), ndtri(1 - points.true)


def auc(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Return the probability that a genuine score exceeds an impostor score; ties count half, genuine failures 0.

    Examples
    --------
    >>> auc([0.9, 0.8, 0.6], [0.1, 0.2, 0.3, 0.7])
    0.9166666666666666
    """
    return float(roc(genuine, impostor).area()[0])


def d_prime(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Return the distance of the two means over the root of their mean variance.

    Failures have no score and are left out, in this figure only.

    Raises
    ------
    DataError
        If fewer than two scores of a kind remain, or all are equal.

    Examples
    --------
    >>> round(d_prime([0.8, 0.9, 1.0], [0.1, 0.2, 0.3]), 3)
    7.0
    """
    kept = [scores[~np.isnan(scores)] for scores in (_scores(genuine, "genuine"), _scores(impostor, "impostor"))]
    if min(map(len, kept)) < 2:
        raise DataError("d' needs at least two genuine and two impostor scores")
    spread = math.sqrt(sum(float(scores.var(ddof=1)) for scores in kept) / 2)
    if spread == 0:
        raise DataError("d' is undefined where all genuine and all impostor scores are equal")
    return float(kept[0].mean() - kept[1].mean()) / spread


def threshold_at_fmr(impostor: ArrayLike, fmr: float, *, min_errors: int = MIN_ERRORS) -> float:
    """Return the lowest threshold whose FMR is at most `fmr`.

    Parameters
    ----------
    impostor : array
        (I,) scores, NaN = failure.
    fmr : float
        In (0, 1).
    min_errors : int
        Number of false matches that `fmr` must allow.

    Raises
    ------
    DataError
        If there are too few impostor comparisons for this rate; the message includes the required number.

    Examples
    --------
    >>> impostor = np.arange(1000) / 1000
    >>> (impostor >= threshold_at_fmr(impostor, 0.1)).mean()
    np.float64(0.1)
    >>> threshold_at_fmr(impostor, 0.001)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    facepriv.errors.DataError: 1,000 impostor comparisons are too few for an FMR of 0.1 %, which needs ...
    """
    impostor = _scores(impostor, "impostor")
    check_count(len(impostor), fmr, min_errors)
    allowed = allowed_errors(len(impostor), fmr)
    real = np.where(np.isnan(impostor), -np.inf, impostor)
    # Score of the first false match that is not allowed; the threshold is just above it and its ties.
    refused = np.partition(real, len(real) - 1 - allowed)[len(real) - 1 - allowed]
    return float(np.nextafter(refused, np.inf))


def rates_at(genuine: ArrayLike, impostor: ArrayLike, threshold: float) -> OperatingPoint:
    """Return TMR and FMR at a given threshold, for example the one set by the unprotected photos.

    Examples
    --------
    >>> rates_at([0.9, 0.8, 0.6], [0.1, 0.2, 0.3, 0.7], 0.65)
    OperatingPoint(threshold=0.65, tmr=0.6666666666666666, fmr=0.25)
    """
    genuine, impostor = _scores(genuine, "genuine"), _scores(impostor, "impostor")
    return OperatingPoint(threshold, float((genuine >= threshold).mean()), float((impostor >= threshold).mean()))


def tmr_at_fmr(genuine: ArrayLike, impostor: ArrayLike, fmr: float, *, min_errors: int = MIN_ERRORS) -> OperatingPoint:
    """Return the operating point at the set's own `fmr`: `rates_at` the threshold of `threshold_at_fmr`."""
    return rates_at(genuine, impostor, threshold_at_fmr(impostor, fmr, min_errors=min_errors))


def check_count(impostors: int, fmr: float, min_errors: int = MIN_ERRORS) -> None:
    """Raise `DataError` unless `impostors` comparisons at `fmr` allow at least `min_errors` false matches."""
    if not 0 < fmr < 1:
        raise ContractError(f"fmr: expected a share between 0 and 1, got {fmr}")
    if allowed_errors(impostors, fmr) < min_errors:
        raise DataError(
            f"{impostors:,} impostor comparisons are too few for an FMR of {100 * fmr:g} %, "
            f"which needs at least {math.ceil(min_errors / fmr - 1e-9):,} ({min_errors} false matches)"
        )


def allowed_errors(comparisons: float, rate: float) -> int:
    """Return the largest number of errors with a share of at most `rate`."""
    # 0.001 x 30,000 is slightly below 30 in floating point.
    return math.floor(comparisons * rate + 1e-9)


def _scores(scores: ArrayLike, what: str) -> NDArray[np.float64]:
    array = check_scores(np.asarray(scores, dtype=np.float64), what)
    if not len(array):
        raise DataError(f"there is no {what} comparison")
    return array


def check_scores(scores: NDArray[Any], what: str) -> NDArray[Any]:
    """Return scores (N,); raises `ContractError` on another shape or on infinite values."""
    if scores.ndim != 1:
        raise ContractError(f"{what} scores: expected shape (N,), got {scores.shape}")
    if np.isinf(scores).any():
        raise ContractError(f"{what} scores: expected finite values or NaN, got infinity")
    return scores
