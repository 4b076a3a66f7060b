"""Figures of adversaries: classifiers unmodified and inverted, every attack, and the strongest of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.cross_fit import Answers
from facepriv.errors import DataError
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.rows import ATTACK, BEST, CHANGED, DETECTION, PREFIX, TURNED, Row
from facepriv.evaluation.truth import Truth
from facepriv.metrics.arrays import Float
from facepriv.metrics.attributes import binary_curve, binary_eer
from facepriv.metrics.bootstrap import REPLICATES, estimates
from facepriv.schema import ADULT, attribute


def class_eer(scores: Float, classes: NDArray[np.int64], weights: Float) -> Float:
    """Return (R,) the one-against-rest EER, averaged over the classes present.

    Parameters
    ----------
    scores : ndarray
        (N, K), higher = more likely of that class; NaN where no face was found, an error of every class. For two
        classes with mirrored scores the mean equals the binary EER.
    classes : ndarray
        (N,) class index; unknown classes are not allowed.
    weights : ndarray
        (R, N), see `facepriv.metrics.bootstrap`.
    """
    there = np.unique(classes)
    if len(there) < 2:
        raise DataError("error rates need two classes, the photos show one")
    return np.mean([binary_eer(scores[:, k], classes == k, weights) for k in there], axis=0)


def class_scores(name: str, predictions: NDArray[Any]) -> Float:
    """Convert an estimator's output, (N, K) probabilities or (N,) years, to a score for every class (N, K)."""
    predictions = np.asarray(predictions, np.float64)
    spec = attribute(name)
    if predictions.ndim == 2:
        return predictions
    # The score of an age group is highest at its middle; the outer groups are open.
    first, *_, last = spec.thresholds
    middles = [(a + b) / 2 for a, b in zip(spec.thresholds, spec.thresholds[1:], strict=False)]
    inner = [-np.abs(predictions - middle) for middle in middles]
    return np.stack([first - predictions, *inner, predictions - last], axis=1)


def adversary_rows(
    name: str,
    truth: Truth,
    before: Predictions,
    after: Predictions,
    counting: Sequence[str],
    answers: Mapping[str, Answers],
    floor: Mapping[str, Answers] | None = None,
    *,
    replicates: int = REPLICATES,
) -> list[Row]:
    """Return a row for every adversary on one attribute of one output.

    Parameters
    ----------
    name : str
        The attribute.
    before, after : dict
        Predictions on the originals and on the output.
    counting : sequence of str
        Estimators of the attribute that are good enough on the originals. The best of them on the originals is the
        reference for every adversary: ``before``.
    answers : mapping
        Attack -> its answers on this output and attribute.
    floor : mapping, optional
        Attack -> its answers on the originals after training on originals, for those that have them; this is then their
        ``before``.

    Returns
    -------
    list of Row
        `ATTACK`, percent: each estimator unmodified and inverted, each attack; ``change`` is paired. The strongest
        has the note "best adversary". `DETECTION` and `CHANGED` for detectors.
    """
    known = (truth.classes[name] >= 0) & ~(truth.years < ADULT)  # as in all attribute figures
    classes, people = truth.classes[name][known], truth.subjects[known]

    def alone(scores: Float) -> float:
        return float(class_eer(scores, classes, np.ones((1, len(classes))))[0])

    originals = {n: class_scores(name, before[n])[known] for n in counting}
    try:
        reference = min(originals.values(), key=alone) if originals else None
    except DataError as error:
        return [Row(ATTACK, attribute=name, note=str(error))]
    adversaries: dict[str, Float] = {}
    for estimator in counting:
        scores = class_scores(name, after[estimator])[known]
        adversaries[estimator], adversaries[estimator + TURNED] = scores, -scores
    rows = []
    for attack, answer in answers.items():
        if answer.refused:
            detects = DETECTION if answer.original is not None else CHANGED if answer.turned is not None else ""
            rows.append(Row(detects or ATTACK, PREFIX + attack, name, note=answer.refused))
        elif answer.original is not None:
            rows.append(_detection(attack, answer, truth, replicates))
        elif answer.turned is not None:
            rows.append(_changes(attack, name, answer, truth, replicates))
        else:
            adversaries[PREFIX + attack] = answer.protected[known]
    floors = {PREFIX + attack: own.protected[known] for attack, own in (floor or {}).items() if not own.refused}
    found = []
    for adversary, scores in adversaries.items():
        start = floors.get(adversary, reference)

        def figures(w: Float, scores: Float = scores, start: Float | None = start) -> dict[str, Float]:
            recovered = 100 * class_eer(scores, classes, w)
            if start is None:
                return {"after": recovered}
            best = 100 * class_eer(start, classes, w)
            return {"before": best, "after": recovered, "change": recovered - best}

        row = Row(ATTACK, adversary, name)
        try:
            found.append(replace(row, **estimates(figures, people, replicates=replicates)))
        except DataError as error:
            rows.append(replace(row, note=str(error)))
    return [*_best_marked(found), *rows]


def _detection(attack: str, answer: Answers, truth: Truth, replicates: int) -> Row:
    """Return the EER of telling protected from original faces; photos without a face score 0.5."""
    assert answer.original is not None
    scores = np.concatenate([answer.original, answer.protected])
    scores = np.where(np.isnan(scores), 0.5, scores)
    protected = np.repeat([False, True], len(answer.original))
    people = np.tile(truth.subjects, 2)
    found = estimates(lambda w: {"after": 100 * binary_eer(scores, protected, w)}, people, replicates=replicates)
    return Row(DETECTION, PREFIX + attack, after=found["after"])


def _changes(attack: str, name: str, answer: Answers, truth: Truth, replicates: int) -> Row:
    """Return the AUC of telling faces that changed class from those that kept it; photos without a face score 0.5."""
    assert answer.turned is not None
    known = answer.turned >= 0
    scores = np.where(np.isnan(answer.protected), 0.5, answer.protected)[known]
    row = Row(CHANGED, PREFIX + attack, name)

    def figures(w: Float) -> dict[str, Float]:
        return {"after": 100 * binary_curve(scores, answer.turned[known] == 1, w).area()}

    try:
        return replace(row, **estimates(figures, truth.subjects[known], replicates=replicates))
    except DataError as error:
        return replace(row, note=str(error))


def _best_marked(rows: list[Row]) -> list[Row]:
    """Return the rows with the lowest EER marked. As the minimum of many estimates, it is biased low."""
    best = min(rows, key=lambda row: row.after.value if row.after else np.inf, default=None)
    return [replace(row, note=BEST) if row is best else row for row in rows]
