"""Classifiers that read an attribute off descriptors: a vote of nearest neighbours, and a small network.

Together with `facepriv.metrics.logistic` they state what a matcher's embedding gives away: a matcher that works has to
tell people apart, and women from men with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.metrics.arrays import Float
from facepriv.metrics.logistic import balance, best_penalty, softmax, standardisation, with_one

#: Voters for a face.
NEIGHBOURS = 15
#: Candidate penalties of the network, per sample.
NETWORK_PENALTIES = (1e-2, 1e-1)

#: Similarities (M, N) of all rows of two sets of descriptors: `FaceMatcher.score_all`.
Score = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Neighbours:
    """A vote of the nearest faces, each weighted by how much nearer it is than the first one that has no vote.

    Parameters
    ----------
    known : ndarray
        (N, D) descriptors of known class.
    votes : ndarray
        (N, K) one in the column of the class, divided by the class's size.
    score : callable
        Similarity of descriptors.
    count : int
        Voters for a face.
    """

    known: NDArray[np.float32]
    votes: Float
    score: Score
    count: int

    def __call__(self, x: NDArray[Any]) -> Float:
        """Return the shares of the vote (M, K) for descriptors (M, D)."""
        near = np.asarray(self.score(x.astype(np.float32), self.known), np.float64)
        # A score that is not finite is no neighbour. A stable order keeps equal scores reproducible.
        order = np.argsort(-np.where(np.isfinite(near), near, -np.inf), axis=1, kind="stable")
        last = min(self.count, near.shape[1] - 1)
        ranked = np.take_along_axis(near, order[:, : last + 1], axis=1)
        weights = np.nan_to_num(ranked[:, :last] - ranked[:, last:]) + 1e-9
        sums = np.einsum("mk,mkc->mc", weights, self.votes[order[:, :last]])
        return sums / sums.sum(axis=1, keepdims=True)


def fit_neighbours(
    x: NDArray[Any],
    classes: NDArray[np.int64],
    subjects: NDArray[np.str_],
    classes_count: int,
    *,
    score: Score,
    count: int = NEIGHBOURS,
) -> Neighbours:
    """Return the vote of the `count` nearest of the descriptors (N, D); votes of a rare class weigh more.

    The parameters are those of `facepriv.metrics.logistic.fit_logistic`, and `score`, see `Neighbours`.
    """
    return Neighbours(
        x.astype(np.float32), np.eye(classes_count)[classes] * balance(classes, classes_count)[:, None], score, count
    )


@dataclass(frozen=True)
class Network:
    """A network with one hidden layer; calling it returns probabilities.

    Parameters
    ----------
    centre, scale : ndarray
        (D,) standardisation of the features.
    first : ndarray
        (D + 1, H) weights of the hidden layer; the last row is the intercept.
    second : ndarray
        (H + 1, K)
    """

    centre: Float
    scale: Float
    first: Float
    second: Float

    def __call__(self, x: NDArray[Any]) -> Float:
        """Return probabilities (N, K) of features (N, D)."""
        hidden = np.tanh(with_one((x - self.centre) / self.scale) @ self.first)
        return softmax(with_one(hidden) @ self.second)


def fit_network(
    x: NDArray[Any],
    classes: NDArray[np.int64],
    subjects: NDArray[np.str_],
    count: int,
    *,
    hidden: int = 32,
    penalties: Sequence[float] = NETWORK_PENALTIES,
    seed: int = 0,
) -> Network:
    """Fit a class-balanced network, with the penalty that does best on held-out people.

    The parameters are those of `facepriv.metrics.logistic.fit_logistic`; `hidden` is H of `Network`, and `seed` draws
    the initial weights.
    """

    def fit(x: NDArray[Any], classes: NDArray[np.int64], count: int, penalty: float) -> Network:
        return _fit(x, classes, count, penalty, hidden, seed)

    return fit(x, classes, count, best_penalty(fit, x, classes, subjects, count, penalties))


def _fit(x: NDArray[Any], classes: NDArray[np.int64], count: int, penalty: float, hidden: int, seed: int) -> Network:
    from scipy.optimize import minimize

    centre, scale = standardisation(x)
    design = with_one((x - centre) / scale)
    truth, share = np.eye(count)[classes], balance(classes, count)[:, None]
    rng = np.random.default_rng(seed)
    shapes = (design.shape[1], hidden), (hidden + 1, count)
    start = [rng.normal(0, rows**-0.5, (rows, columns)) for rows, columns in shapes]
    cut = start[0].size

    def parts(flat: Float) -> tuple[Float, Float]:
        return flat[:cut].reshape(shapes[0]), flat[cut:].reshape(shapes[1])

    def loss(flat: Float) -> tuple[float, Float]:
        first, second = parts(flat)
        inner = np.tanh(design @ first)
        outer = with_one(inner)
        p = softmax(outer @ second)
        value = -float((share * truth * np.log(np.maximum(p, 1e-300))).sum()) + 0.5 * penalty * float(flat @ flat)
        wrong = share * (p - truth)
        back = (wrong @ second[:-1].T) * (1 - inner**2)
        return value, np.concatenate([(design.T @ back).ravel(), (outer.T @ wrong).ravel()]) + penalty * flat

    flat = np.concatenate([part.ravel() for part in start])
    found = minimize(loss, flat, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return Network(centre, scale, *parts(found.x))
