"""Attribute metrics: how well an estimator separates classes and predicts years.

A face without a prediction (not detected, NaN, or class -1) counts as an error of either class. Note that such a
failure favours a method that hides attributes, so reports give the count beside the rate.

Every function takes `weights`, (R, N) counts of R resamples (see `facepriv.metrics.bootstrap`), and then returns (R,);
without them it returns (1,). Rates are shares in [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import ContractError, DataError
from facepriv.metrics.arrays import Float
from facepriv.metrics.curve import Curve, check_weights, curve


def binary_curve(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> Curve:
    """Return the error curve of a binary attribute.

    Parameters
    ----------
    scores : array
        (N,) score of the positive class, higher = more likely positive; NaN = the face was not seen.
    positive : array
        (N,) bool, the truth.

    Raises
    ------
    DataError
        If only one class is present.
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive)
    if positive.shape != scores.shape or positive.dtype != bool:
        raise ContractError(f"truth: expected bool {scores.shape}, got {positive.dtype} {positive.shape}")
    wrong = np.where(positive, -np.inf, np.inf)
    return curve(np.where(np.isnan(scores), wrong, scores), positive, weights)


def binary_eer(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Return the equal error rate of a binary attribute, (R,); see `binary_curve` and `Curve.equal_error`.

    0.5 means that the score carries no information; 1 means that it is always wrong, so its inverse is always right.

    Examples
    --------
    >>> binary_eer([0.9, 0.6, 0.7, 0.2], [True, True, False, False])
    array([0.5])
    >>> binary_eer([0.1, 0.2, 0.8, 0.9], [True, True, False, False])  # always wrong
    array([1.])
    """
    return binary_curve(scores, positive, weights).equal_error()


def flip_aware_eer(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Return the EER of an adversary that may invert the classifier, (R,).

    min(EER, 1 - EER) if every face was seen; an unseen face is an error either way.

    Examples
    --------
    >>> flip_aware_eer([0.1, 0.2, 0.8, 0.9], [True, True, False, False])  # always wrong, so its inverse is right
    array([0.])
    """
    scores = np.asarray(scores, dtype=np.float64)
    return np.minimum(binary_eer(scores, positive, weights), binary_eer(-scores, positive, weights))


def one_against_one(
    probabilities: ArrayLike, truth: ArrayLike, positive: int, negative: int
) -> tuple[Float, NDArray[np.bool_], NDArray[np.bool_]]:
    """Reduce several classes to two: the probability of one class, given that it is one of the two.

    Parameters
    ----------
    probabilities : array
        (N, K); NaN where no face was seen.
    truth : array
        (N,) class index, -1 unknown.

    Returns
    -------
    scores, is_positive, which
        For the M faces of either class: (M,) P(positive) / (P(positive) + P(negative)), NaN where no face was seen, and
        (M,) bool. `which`: (N,) bool mask of these faces. For `binary_eer(scores, is_positive, weights[:, which])`.

    Examples
    --------
    >>> scores, positive, which = one_against_one([[0.6, 0.2, 0.2], [0.1, 0.3, 0.6], [0.2, 0.6, 0.2]], [0, 2, 1], 0, 1)
    >>> scores, positive, which
    (array([0.75, 0.25]), array([ True, False]), array([ True, False,  True]))
    """
    probabilities, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(truth)
    which = (truth == positive) | (truth == negative)
    one, other = probabilities[which, positive], probabilities[which, negative]
    total = one + other
    # If both probabilities are 0, the score is neutral.
    scores = np.where(total == 0, 0.5, one / np.where(total == 0, 1, total))
    return scores, truth[which] == positive, which


def shift_towards(before: ArrayLike, after: ArrayLike, direction: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Return the mean change of an estimate in a wanted direction, in the estimate's unit, (R,).

    Parameters
    ----------
    before, after : array
        (N,) estimates of the same faces. A face that is lost afterwards (NaN) counts as a change of 0; a face that was
        not seen before is left out.
    direction : array
        (N,) 1 for an increase, -1 for a decrease; faces with 0 are left out.

    Raises
    ------
    DataError
        If no face remains.

    Examples
    --------
    >>> shift_towards([30.0, 40.0], [36.0, 38.0], [1, 1])  # years, both wanted older
    array([2.])
    """
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    direction = np.asarray(direction, dtype=np.float64)
    if not before.shape == after.shape == direction.shape or before.ndim != 1:
        raise ContractError(f"shift: expected three (N,), got {before.shape}, {after.shape} and {direction.shape}")
    counted = ~np.isnan(before) & (direction != 0)
    if not counted.any():
        raise DataError("there is no face that should have moved")
    moved = np.where(np.isnan(after), 0, direction * (after - before))
    return _mean(moved[counted], check_weights(weights, len(before))[:, counted])


def error_share(
    scores: ArrayLike, positive: ArrayLike, thresholds: ArrayLike, weights: ArrayLike | None = None
) -> Float:
    """Return the share of faces that fall on the wrong side of a threshold set elsewhere, (R,).

    For faces of a single class, where an EER does not exist. A score at or above the threshold counts as positive.

    Parameters
    ----------
    thresholds : array
        (R,), one per resample, or a single value; NaN gives NaN.

    Examples
    --------
    >>> error_share([0.9, 0.6, 0.2], [True, True, True], 0.5)
    array([0.33333333])
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive)
    thresholds = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    right = np.where(positive, scores >= thresholds[:, None], scores < thresholds[:, None])
    share = 1 - _mean(right.astype(np.float64), check_weights(weights, len(scores)))
    return np.where(np.isnan(thresholds), np.nan, share)


def accuracy(predicted: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Return the share of correct classes (N,), (R,); a predicted -1 is wrong, a true -1 raises an error.

    Examples
    --------
    >>> accuracy([0, 1, 1, -1], [0, 1, 0, 1])
    array([0.5])
    """
    predicted, truth = _classes(predicted, truth)
    return _mean((predicted == truth).astype(np.float64), check_weights(weights, len(truth)))


def balanced_accuracy(predicted: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Return the mean recall over the classes in `truth`, (R,).

    A resample without a face of some class gives NaN.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 1, 1])
    array([0.75])
    """
    predicted, truth = _classes(predicted, truth)
    w = check_weights(weights, len(truth))
    right = (predicted == truth).astype(np.float64)
    recalls = [_mean(right[truth == label], w[:, truth == label]) for label in np.unique(truth)]
    return np.mean(recalls, axis=0)


def mean_absolute_error(predicted: ArrayLike, years: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Return the mean absolute error in years, (R,).

    Faces that were not seen (NaN in `predicted`) have no error in years; they are left out, and the caller must count
    them. An unknown age (NaN in `years`) raises an error.

    Examples
    --------
    >>> mean_absolute_error([30.0, 41.0, float("nan")], [28.0, 40.0, 55.0])  # the third face was not seen
    array([1.5])
    """
    predicted, years = np.asarray(predicted, dtype=np.float64), np.asarray(years, dtype=np.float64)
    if predicted.shape != years.shape or years.ndim != 1:
        raise ContractError(f"years: expected two arrays (N,), got {predicted.shape} and {years.shape}")
    if np.isnan(years).any():
        raise ContractError("years: the truth holds NaN; leave out faces of unknown age")
    seen = ~np.isnan(predicted)
    if not seen.any():
        raise DataError("there is no face with a known and an estimated age")
    w = check_weights(weights, len(years))
    return _mean(np.abs(predicted - years)[seen], w[:, seen])


def _classes(predicted: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    if predicted.shape != truth.shape or truth.ndim != 1:
        raise ContractError(f"classes: expected two arrays (N,), got {predicted.shape} and {truth.shape}")
    if not len(truth):
        raise DataError("there is no labelled face")
    if (truth < 0).any():
        raise ContractError("classes: the truth holds -1; leave out faces without a label")
    return predicted, truth


def _mean(values: Float, weights: Float) -> Float:
    """Return weighted means (R,) of values (N,) or (R, N); NaN where a resample is empty."""
    total = weights.sum(axis=1)
    summed = (weights * values).sum(axis=1)
    return np.where(total > 0, summed / np.where(total > 0, total, 1), np.nan)
