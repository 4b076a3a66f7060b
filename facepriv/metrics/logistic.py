"""Multinomial logistic regression with an L2 penalty chosen by cross-validation over people; used by most attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.arrays import Float

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
        return _softmax(_with_one((x - self.centre) / self.scale) @ self.weights)


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
    folds = people_folds(subjects, classes, _FOLDS)
    tried: list[tuple[float, float]] = []
    for penalty in penalties if len(penalties) > 1 and len(np.unique(folds)) == _FOLDS else ():
        loss = 0.0
        for fold in range(_FOLDS):
            out = folds == fold
            p = _fit(x[~out], classes[~out], count, penalty)(x[out])
            share = balance(classes[out], count)
            loss -= float(share @ np.log(np.maximum(p[np.arange(out.sum()), classes[out]], 1e-12)))
        tried.append((loss, penalty))
    return _fit(x, classes, count, min(tried)[1] if tried else penalties[len(penalties) // 2])


def people_folds(subjects: NDArray[np.str_], classes: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Assign people to folds round-robin within each class, in the order of a hash of their names; returns (N,) index.

    A person with several classes (age may differ between photos) counts in the first.
    """
    from facepriv.files import digest

    people, first, index = np.unique(subjects, return_index=True, return_inverse=True)
    order = sorted(range(len(people)), key=lambda p: (int(classes[first[p]]), digest(["fold", str(people[p])])))
    fold = np.empty(len(people), np.int64)
    fold[order] = np.arange(len(people)) % folds
    return fold[index]


def balance(classes: NDArray[np.int64], count: int) -> Float:
    """Return weights (N,) that sum to 1, with equal totals for all classes present."""
    sizes = np.bincount(classes, minlength=count)
    return 1 / (sizes[classes] * np.count_nonzero(sizes))


def _fit(x: NDArray[Any], classes: NDArray[np.int64], count: int, penalty: float) -> Logistic:
    from scipy.optimize import minimize

    centre, spread = x.mean(axis=0), x.std(axis=0)
    # A constant feature carries no information.
    scale = np.where(spread > 1e-9, spread, np.inf)
    design = _with_one((x - centre) / scale)
    truth = np.eye(count)[classes]
    share = balance(classes, count)[:, None]
    free = np.ones((design.shape[1], 1))
    free[-1] = 1e-3  # a weak penalty on the intercept: without one it diverges for a class without samples

    def loss(flat: Float) -> tuple[float, Float]:
        weights = flat.reshape(-1, count)
        p = _softmax(design @ weights)
        value = -float((share * truth * np.log(np.maximum(p, 1e-300))).sum())
        held = penalty * free * weights
        return value + 0.5 * float((held * weights).sum()), (design.T @ (share * (p - truth)) + held).ravel()

    found = minimize(loss, np.zeros(design.shape[1] * count), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return Logistic(centre, scale, found.x.reshape(-1, count))


def _with_one(x: Float) -> Float:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _softmax(x: Float) -> Float:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
