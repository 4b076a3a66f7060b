"""Compute rows from predictions: attributes, identity and detected faces, for one method at a time.

Rows of `facepriv.evaluation.changes` need no labels; all others need those of their attribute, or of people.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.errors import DataError, UsageError
from facepriv.evaluation.attributes import (
    Resampling,
    attribute_rows,
    error_statistic,
    groups,
    mean_rows,
    not_young,
    weak,
    weighted_mean,
)
from facepriv.evaluation.changes import MatchChanges, estimate_rows
from facepriv.evaluation.judges import Judges, fitting
from facepriv.evaluation.leakage import Leakage
from facepriv.evaluation.matching import GRID, MatcherRows
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.results import Curves
from facepriv.evaluation.rows import FMRS, Float, Row
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import REPLICATES, subject_index
from facepriv.metrics.matching import PROTECTED, Matching
from facepriv.metrics.privacy import privacy_identity_coefficient
from facepriv.schema import AGE, ATTRIBUTES

SEEN = "seen: the weights were trained against it"


class Measure:
    """Measure the originals once, then return `rows` for the protected photos of each method.

    Parameters
    ----------
    truth : Truth
        Labels of the N photos.
    before : Predictions
        Predictions on the originals.
    judges : Judges
        The judges. `left_out` records those that the labels cannot evaluate, with the reason; they have only the rows
        that need no labels.
    fmr : float
        The main false match rate.
    replicates, seed : int
        Options of the resampling of people.

    Raises
    ------
    DataError
        If there are fewer than two people.
    """

    def __init__(
        self,
        truth: Truth,
        before: Predictions,
        judges: Judges,
        *,
        fmr: float = 0.001,
        replicates: int = REPLICATES,
        seed: int = 0,
    ) -> None:
        if len(np.unique(truth.subjects)) < 2:
            raise DataError("an evaluation needs photos of at least two people")
        self.truth = truth
        self.before = before
        _, self.left_out = fitting(judges, truth)
        self.attributes: dict[str, str] = {}
        self.matchers: dict[str, MatcherRows] = {}
        self.changes: dict[str, MatchChanges] = {}
        self.leakage: dict[str, Leakage] = {}
        self.how = Resampling(truth.subjects, {"replicates": replicates, "seed": seed})
        people = _people_groups(truth)
        options = {"fmrs": tuple(dict.fromkeys((fmr, *FMRS))), "replicates": replicates, "seed": seed}
        for name, model in judges.build().items():
            if isinstance(model, AttributeEstimator):
                self.attributes[name] = model.attribute
            elif isinstance(model, FaceMatcher):
                if name not in self.left_out:
                    try:
                        matching = Matching(before[name], truth.subjects.tolist(), model.score_all, **options)
                        self.matchers[name] = MatcherRows(name, matching, fmr, people)
                    except DataError as error:
                        self.left_out[name] = str(error)
                self.changes[name] = MatchChanges(name, model, before[name], self.how, self.matchers.get(name))
                if name in self.matchers:
                    self.leakage[name] = Leakage(name, model, before[name], truth, self.how)

    def rows(self, after: Predictions, *, seen: Collection[str] = (), age: str = "") -> list[Row]:
        """Return all rows of one method's protected photos.

        Parameters
        ----------
        after : Predictions
            Predictions on them; NaN also for a missing photo.
        seen : collection of str
            Judges that the method's weights were trained against.
        age : str
            The target age group, or empty.

        Raises
        ------
        UsageError
            If a judge's predictions are missing or not for N photos.
        """
        for name in ("seen", *self.attributes, *self.changes):
            if name not in after or len(after[name]) != len(self.truth.subjects):
                raise UsageError(f"'{name}' did not look at the {len(self.truth.subjects)} photos")
        rows = self._found(after)
        counting: dict[str, list[str]] = {}
        for name, attribute in self.attributes.items():
            sides = self.before[name], after[name]
            own, note = [], SEEN if name in seen else ""
            if name not in self.left_out:
                own = attribute_rows(name, attribute, *sides, self.truth, self.how, age)
                note = note or weak(attribute, own)
                if not note:
                    counting.setdefault(attribute, []).append(name)
            own += estimate_rows(name, attribute, *sides, not_young(self.truth), self.how)
            rows += _marked(own, note)
        for attribute, names in counting.items():
            first, second = ([predictions[name] for name in names] for predictions in (self.before, after))
            rows += mean_rows(attribute, first, second, self.truth, self.how)
        for name, changes in self.changes.items():
            own, note = changes.rows(after[name]), SEEN if name in seen else ""
            if matcher := self.matchers.get(name):
                note = note or matcher.weak
                own += matcher.rows(after[name]) + self.leakage[name].rows(after[name])
                for attribute, names in counting.items():
                    if attribute != AGE.name:
                        own += self._pic(attribute, names, matcher, after)
            rows += _marked(own, note)
        return rows

    def curves(self, after: Predictions) -> Curves:
        """Return the curves of every matcher."""
        found = Curves(GRID)
        for name, matcher in self.matchers.items():
            drawn = matcher.curves(after[name])
            found.roc[name] = {pairing: c["tmr"] for pairing, c in drawn.items()}
            found.cmc[name] = {pairing: c["cmc"] for pairing, c in drawn.items()}
            found.roc_bands[name] = {pairing: c["tmr_band"] for pairing, c in drawn.items()}
            found.cmc_bands[name] = {pairing: c["cmc_band"] for pairing, c in drawn.items()}
        return found

    def _found(self, after: Predictions) -> list[Row]:
        """Return the rows of the share of faces found, for all photos and for each group, and of those in both."""
        sides = [predictions["seen"].astype(np.float64) for predictions in (self.before, after)]
        masks = (("", np.ones(len(self.truth.subjects), dtype=bool)), *groups(self.truth))
        rows = [
            self.how.fill(Row("found", group=name), lambda seen, w, m=mask: weighted_mean(seen[m], w[:, m]), *sides)
            for name, mask in masks
        ]
        return [*rows, self.how.fill_one(Row("found_both"), lambda w: weighted_mean(sides[0] * sides[1], w))]

    def _pic(self, attribute: str, names: Sequence[str], matcher: MatcherRows, after: Predictions) -> list[Row]:
        row = Row(f"{attribute}_pic", matcher.name, attribute, pairing=PROTECTED, unit="index")
        rates = matcher.equal_errors(after[matcher.name])
        if rates is None:
            return [replace(row, note="the matcher has no EER here")]
        error = error_statistic(attribute, self.truth)
        matching = matcher.matching

        def mean(predictions: Predictions) -> Float:
            sides = [np.asarray(predictions[name], dtype=np.float64) for name in names]
            return np.concatenate(
                [np.mean([error(one, w[:, matching.index]) for one in sides], axis=0) for w in matching.weights]
            )

        value = privacy_identity_coefficient(mean(self.before), mean(after), *rates)
        if np.isnan(value[0]):
            return [replace(row, note="an error on the originals is 0, so that no gain or loss is relative to it")]
        return [row.filled(1.0, after=value)]


def _marked(rows: Sequence[Row], note: str) -> list[Row]:
    """Mark the rows of a judge that does not count."""
    if not note:
        return list(rows)
    both = {row.note: f"{note}; {row.note}" if row.note not in ("", note) else note for row in rows}
    return [replace(row, counts=False, note=both[row.note]) for row in rows]


def _people_groups(truth: Truth) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return (name, mask of people (S,)), for the classes of gender and race, which do not change between photos."""
    count, index = subject_index(truth.subjects)
    found: list[tuple[str, Any]] = []
    for name, mask in groups(truth):
        if not name.startswith(AGE.name) and name.partition(":")[0] in ATTRIBUTES:
            people = np.zeros(count, dtype=bool)
            people[index[mask]] = True
            found.append((name, people))
    return found
