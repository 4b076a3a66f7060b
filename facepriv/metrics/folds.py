"""Folds of people, so that a model is tested on people that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.metrics.arrays import Float

#: Number of folds of a test; each is predicted by a model trained on the others.
FOLDS = 2
#: Minimum number of faces of a class in the training folds.
LEAST = 5


def people_folds(subjects: NDArray[np.str_], classes: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Assign people to folds round-robin within each class, in the order of a hash of their names; returns (N,) index.

    A person with several classes (age may differ between photos) counts in the first.
    """
    people, index = np.unique(subjects, return_inverse=True)
    fold = np.empty(len(people), np.int64)
    fold[_ordered(subjects, classes)] = np.arange(len(people)) % folds
    return fold[index]


def first_faces(subjects: NDArray[np.str_], classes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices of at most `count` faces: person by person, the classes in turn, in `people_folds`' order."""
    order = _ordered(subjects, classes)
    people, first, index = np.unique(subjects, return_index=True, return_inverse=True)
    own = classes[first][order]
    # The first person of each class, then the second of each, and so on.
    turn = np.array([np.count_nonzero(own[:n] == own[n]) for n in range(len(own))])
    place = np.empty(len(people), np.int64)
    place[np.array(order)[np.lexsort((own, turn))]] = np.arange(len(people))
    return np.sort(np.argsort(place[index], kind="stable")[:count])


def trainable(classes: NDArray[np.int64], folds: NDArray[np.int64], least: int = 2) -> bool:
    """Return whether every training part has `LEAST` faces of at least `least` classes; (N,) each, without unknowns."""
    parts = [classes[folds != fold] for fold in range(FOLDS)]
    return all(np.count_nonzero(np.bincount(part) >= LEAST) >= least for part in parts)


def held_out(
    fit: Callable[[NDArray[Any], NDArray[np.int64], NDArray[np.str_], int], Callable[[NDArray[Any]], Float]],
    x: NDArray[Any],
    classes: NDArray[np.int64],
    subjects: NDArray[np.str_],
    count: int,
) -> Float:
    """Return probabilities (N, K) of a model for each person, trained on the other folds.

    Parameters
    ----------
    fit : callable
        See `facepriv.contracts.Fit`.
    x : ndarray
        (N, D) features; a row with NaN is neither used nor predicted, its probabilities are NaN.
    classes, subjects : ndarray
        (N,) class and person.
    count : int
        K.
    """
    folds, seen = people_folds(subjects, classes, FOLDS), np.isfinite(x).all(axis=1)
    found = np.full((len(x), count), np.nan)
    for fold in range(FOLDS):
        study, asked = seen & (folds != fold), seen & (folds == fold)
        if asked.any():
            found[asked] = fit(x[study], classes[study], subjects[study], count)(x[asked])
    return found


def _ordered(subjects: NDArray[np.str_], classes: NDArray[np.int64]) -> list[int]:
    """Return the people's indices in `np.unique`, by class and then by a hash of their names."""
    from facepriv.files import digest

    people, first = np.unique(subjects, return_index=True)
    return sorted(range(len(people)), key=lambda p: (int(classes[first[p]]), digest(["fold", str(people[p])])))
