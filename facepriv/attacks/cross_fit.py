"""Answers of an attack for people that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import Answer, Attack, Known, Notes, Tools, taken
from facepriv.errors import FaceprivError, PluginError, one_line
from facepriv.evaluation.truth import Truth
from facepriv.metrics.folds import FOLDS, LEAST, first_faces, people_folds, trainable


@dataclass(frozen=True)
class Answers:
    """Predictions of an attack on N photos, each by a model trained on other people; NaN where no face was found.

    Parameters
    ----------
    protected : ndarray
        (N, K) probabilities of the classes; for a detector (N,) that the face is protected, or that it changed class.
    original : ndarray or None
        For a detector of protection, (N,) probability that the original is protected.
    turned : ndarray or None
        For a detector of changes, (N,) int8 the truth: 1 changed, 0 kept, -1 unknown.
    refused : str
        Why there is no answer, or empty.
    """

    protected: NDArray[np.float64]
    original: NDArray[np.float64] | None = None
    turned: NDArray[np.int8] | None = None
    refused: str = ""


def cross_fit(
    attack: Attack,
    tools: Tools,
    before: Notes | None,
    after: Notes,
    truth: Truth,
    attribute: str,
    turned: NDArray[np.int8] | None = None,
) -> dict[str, Answers]:
    """Predict every person with models of the attack trained on the other folds; returns model -> answers.

    Parameters
    ----------
    before, after : dict
        Notes of N originals (None if not needed) and of N protected faces; ``seen`` (N,) bool is True where a face was
        found, other values are undefined elsewhere.
    turned : ndarray or None
        (N,) for a detector of changes, see `Answers`.

    Raises
    ------
    PluginError
        If the attack fails, or its answers are not probabilities.
    """
    detects = attack.asks == "protection"
    own = truth.classes[attribute]
    classes = own if attack.asks == "attribute" else np.zeros_like(own) if turned is None else turned.astype(np.int64)
    folds = people_folds(truth.subjects, own, FOLDS)
    usable = after["seen"] if before is None else after["seen"] & before["seen"]
    study = usable & (classes >= 0)
    width = tools.classes if attack.asks == "attribute" else 2
    if not trainable(classes[study], folds[study], 1 if detects else 2):
        what = {"attribute": attribute, "protection": "protection", "change": f"changes of {attribute}"}[attack.asks]
        refused = f"too few faces to learn {what} from: each half needs {LEAST} a class"
        return {"": _answers(attack, np.full((len(own), width), np.nan), None, turned, refused)}
    notes, old = ({n: rows for n, rows in (side or {}).items() if n != "seen"} for side in (after, before))
    protected: dict[str, NDArray[np.float64]] = {}
    original: dict[str, NDArray[np.float64]] = {}
    sizes = [size for size in attack.sizes if all(size < np.count_nonzero(study & (folds != f)) for f in range(FOLDS))]
    for fold in range(FOLDS):
        rows = study & (folds != fold)
        known = Known(taken(old, rows), taken(notes, rows), classes[rows], truth.subjects[rows])
        sides = [(protected, notes, (folds == fold) & after["seen"])]
        if detects and before is not None:
            sides.append((original, old, (folds == fold) & before["seen"]))
        try:
            for name, answer in _learnt(attack, known, tools, sizes).items():
                for found, given, asked in sides:
                    whole = found.setdefault(name, np.full((len(own), width), np.nan))
                    whole[asked] = _checked(answer(taken(given, asked)), int(asked.sum()), width)
        except FaceprivError:
            raise
        except Exception as error:  # a plugin may raise anything
            raise PluginError(f"attack '{type(attack).__name__}' failed: {one_line(error)}") from error
    return {name: _answers(attack, found, original.get(name), turned) for name, found in protected.items()}


def _learnt(attack: Attack, known: Known, tools: Tools, sizes: list[int]) -> dict[str, Answer]:
    """Return the models of an attack by name: on all known faces, and on fewer."""
    models = _named(attack.learn(known, tools), "")
    for size in sizes:
        few = known.take(first_faces(known.subjects, known.classes, size))
        models |= _named(attack.learn(few, tools), f"{size} photos")
    return models


def _named(learnt: Answer | Mapping[str, Answer], words: str) -> dict[str, Answer]:
    models = learnt if isinstance(learnt, Mapping) else {"": learnt}
    return {", ".join(part for part in (name, words) if part): answer for name, answer in models.items()}


def _answers(
    attack: Attack,
    protected: NDArray[np.float64],
    original: NDArray[np.float64] | None,
    turned: NDArray[np.int8] | None,
    refused: str = "",
) -> Answers:
    if attack.asks == "attribute":
        return Answers(protected, refused=refused)
    if attack.asks == "change":
        return Answers(protected[:, 1], turned=turned, refused=refused)
    return Answers(protected[:, 1], protected[:, 1] if original is None else original[:, 1], refused=refused)


def _checked(answer: NDArray[np.float64], count: int, width: int) -> NDArray[np.float64]:
    answer = np.asarray(answer, np.float64)
    if answer.shape != (count, width) or not np.isfinite(answer).all():
        raise PluginError(f"an attack answered {answer.shape}, expected ({count}, {width}) finite probabilities")
    return answer
