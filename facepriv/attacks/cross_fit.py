"""Answers of an attack for people that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.logistic import people_folds
from facepriv.contracts import Attack, Known, Notes, Tools, taken
from facepriv.errors import FaceprivError, PluginError, one_line
from facepriv.evaluation.truth import Truth

#: Number of folds of people; each fold is predicted by a model trained on the others.
FOLDS = 2
# Minimum number of faces of a class in the training folds.
_LEAST = 5


@dataclass(frozen=True)
class Answers:
    """Predictions of an attack on N photos, each by a model trained on other people; NaN where no face was found.

    Parameters
    ----------
    protected : ndarray
        (N, K) probabilities of the classes; for a detector (N,) that the protected face is protected.
    original : ndarray or None
        For a detector, (N,) probability that the original is protected.
    refused : str
        Why there is no answer, or empty.
    """

    protected: NDArray[np.float64]
    original: NDArray[np.float64] | None = None
    refused: str = ""


def cross_fit(
    attack: Attack, tools: Tools, before: Notes | None, after: Notes, truth: Truth, attribute: str
) -> Answers:
    """Predict every person with a model of the attack trained on the other folds.

    Parameters
    ----------
    before, after : dict
        Notes of N originals (None if not needed) and of N protected faces; ``seen`` (N,) bool is True where a face was
        found, other values are undefined elsewhere.

    Raises
    ------
    PluginError
        If the attack fails, or its answers are not probabilities.
    """
    classes = truth.classes[attribute]
    detects = attack.asks == "protection"
    folds = people_folds(truth.subjects, classes, FOLDS)
    usable = after["seen"] if before is None else after["seen"] & before["seen"]
    study = usable if detects else usable & (classes >= 0)
    width = 2 if detects else tools.classes
    protected = np.full((len(classes), width), np.nan)
    original = np.full((len(classes), width), np.nan)
    taught = [classes[study & (folds != fold)] * (not detects) for fold in range(FOLDS)]
    if any(np.count_nonzero(np.bincount(c) >= _LEAST) < (1 if detects else 2) for c in taught):
        text = f"too few faces to learn {'protection' if detects else attribute} from: each half needs {_LEAST} a class"
        return Answers(protected[:, 0] if detects else protected, original[:, 0] if detects else None, text)
    notes, old = ({n: rows for n, rows in (side or {}).items() if n != "seen"} for side in (after, before))
    for fold in range(FOLDS):
        rows = study & (folds != fold)
        known = Known(taken(old, rows), taken(notes, rows), classes[rows] * (not detects), truth.subjects[rows])
        asked = (folds == fold) & after["seen"]
        try:
            answer = attack.learn(known, tools)
            protected[asked] = _checked(answer(taken(notes, asked)), int(asked.sum()), width)
            if detects and before is not None:
                asked = (folds == fold) & before["seen"]
                original[asked] = _checked(answer(taken(old, asked)), int(asked.sum()), width)
        except FaceprivError:
            raise
        except Exception as error:  # a plugin may raise anything
            raise PluginError(f"attack '{type(attack).__name__}' failed: {one_line(error)}") from error
    return Answers(protected[:, 1], original[:, 1]) if detects else Answers(protected)


def _checked(answer: NDArray[np.float64], count: int, width: int) -> NDArray[np.float64]:
    answer = np.asarray(answer, np.float64)
    if answer.shape != (count, width) or not np.isfinite(answer).all():
        raise PluginError(f"an attack answered {answer.shape}, expected ({count}, {width}) finite probabilities")
    return answer
