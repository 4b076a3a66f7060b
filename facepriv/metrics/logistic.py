"""Multinomial logistic regression with an L2 penalty chosen by cross-validation over people; used by most attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.metrics.arrays import Float
from facepriv.metrics.folds import people_folds

#: Maps notes (M, D) to probabilities (M, K).
Model = Callable[[NDArray[Any]], Float]
#: Candidate penalties on standardised features, per sample.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
_FOLDS = 4


@dataclass(frozen=True)
class Logistic:
    """A fitted model; calling it returns probabilities.

    Parameters
    ----------
    centre, scale : ndarray
        (D,) standardisation of the notes.
    weights : ndarray
        (D + 1, K); the last row is the intercept.
    """

    centre: Float
    scale: Float
    weights: Float

    def __call__(self, x: NDArray[Any]) -> Float:
        """Return probabilities (N, K) of notes (N, D)."""
        return softmax(with_one((x - self.centre) / self.scale) @ self.weights)


def fit_logistic(
    x: NDArray[Any],
    classes: NDArray[np.int64],
    subjects: NDArray[np.str_],
    count: int,
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Logistic:
    """Fit a class-balanced model, with the penalty that does best on held-out people.

    Parameters
    ----------
    x : ndarray
        (N, D) notes, finite.
    classes : ndarray
        (N,) in 0 to K - 1.
    subjects : ndarray
        (N,) people; no person is in both training and validation when penalties are compared.
    count : int
        K. A class without a sample gets a probability near 0.
    """
    return _fit(x, classes, count, best_penalty(_fit, x, classes, subjects, count, penalties))


def best_penalty(
    fit: Callable[[NDArray[Any], NDArray[np.int64], int, float], Model],
    x: NDArray[Any],
    classes: NDArray[np.int64],
    subjects: NDArray[np.str_],
    count: int,
    penalties: Sequence[float],
) -> float:
    """Return the penalty of a model with the least loss on held-out people; the middle one if they are too few."""
    folds = people_folds(subjects, classes, _FOLDS)
    tried: list[tuple[float, float]] = []
    for penalty in penalties if len(penalties) > 1 and len(np.unique(folds)) == _FOLDS else ():
        loss = 0.0
        for fold in range(_FOLDS):
            out = folds == fold
            p = fit(x[~out], classes[~out], count, penalty)(x[out])
            share = balance(classes[out], count)
            loss -= float(share @ np.log(np.maximum(p[np.arange(out.sum()), classes[out]], 1e-12)))
        tried.append((loss, penalty))
    return min(tried)[1] if tried else penalties[len(penalties) // 2]


def balance(classes: NDArray[np.int64], count: int) -> Float:
    """Return weights (N,) that sum to 1, with equal totals for all classes present."""
    sizes = np.bincount(classes, minlength=count)
    return 1 / (sizes[classes] * np.count_nonzero(sizes))


def _fit(x: NDArray[Any], classes: NDArray[np.int64], count: int, penalty: float) -> Logistic:
    from scipy.optimize import minimize

    centre, scale = standardisation(x)
    design = with_one((x - centre) / scale)
    truth = np.eye(count)[classes]
    share = balance(classes, count)[:, None]
    free = np.ones((design.shape[1], 1))
    free[-1] = 1e-3  # a weak penalty on the intercept: without one it diverges for a class without samples

    def loss(flat: Float) -> tuple[float, Float]:
        weights = flat.reshape(-1, count)
        p = softmax(design @ weights)
        value = -float((share * truth * np.log(np.maximum(p, 1e-300))).sum())
        held = penalty * free * weights
        return value + 0.5 * float((held * weights).sum()), (design.T @ (share * (p - truth)) + held).ravel()

    found = minimize(loss, np.zeros(design.shape[1] * count), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return Logistic(centre, scale, found.x.reshape(-1, count))


def standardisation(x: NDArray[Any]) -> tuple[Float, Float]:
    """Return centre and scale (D,) of features (N, D); a constant feature carries no information and becomes 0."""
    spread = x.std(axis=0)
    return x.mean(axis=0), np.where(spread > 1e-9, spread, np.inf)


def with_one(x: Float) -> Float:
    """Return features (N, D) with a column of ones."""
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def softmax(x: Float) -> Float:
    """Return the softmax of each row (N, K)."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
