"""Compute figures from predictions: every attribute and the identity, for one output of a method at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from before_after import Figures, age_figures, binary_figures, counts, matching_figures, race_figures
from numpy.typing import NDArray

from facepriv.contracts import FaceMatcher
from facepriv.errors import DataError
from facepriv.evaluation.judges import Judges, _attribute
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import REPLICATES
from facepriv.schema import AGE, ATTRIBUTES, GENDER

#: Figure of an estimator on the originals that `before_after.counts` checks.
_STRENGTH: dict[str, Callable[[Figures], Any]] = {
    "gender": lambda figures: figures["eer_before"],
    "race": lambda figures: figures["pair"]["eer_before"],
    "age": lambda figures: figures["error_before"],
}


@dataclass(frozen=True)
class Examiner:
    """Compares outputs with the originals; building it and calling it may happen in another process.

    Parameters
    ----------
    truth : Truth
    before : Looks
        Predictions on the originals.
    judges : Judges
        The judges that are measured.
    fmr : float
        The false match rate of the matchers.
    replicates : int
        Resamples of the intervals.
    """

    truth: Truth
    before: Predictions
    judges: Judges
    fmr: float = 0.001
    replicates: int = REPLICATES

    def __call__(self) -> Callable[[tuple[Predictions, str]], Figures]:
        """Build the judges, and return `examine` bound to them; its task is predictions and the target age group."""
        models = self.judges.build()

        def examine(task: tuple[Predictions, str]) -> Figures:
            after, age = task
            figures: Figures = {name: {} for name in (*ATTRIBUTES, "matching")}
            for name, model in models.items():
                kind = "matching" if isinstance(model, FaceMatcher) else _attribute(model)
                try:
                    figures[kind][name] = self._compare(kind, model, self.before[name], after[name], age)
                except DataError as error:  # too few photos for this figure; report the reason
                    figures[kind][name] = {"refused": str(error)}
            return figures

        return examine

    def _compare(self, kind: str, model: Any, before: NDArray[Any], after: NDArray[Any], age: str) -> Figures:
        people = self.truth.subjects
        options: dict[str, Any] = {"replicates": self.replicates}
        if kind == "matching":
            return matching_figures(before, after, people.tolist(), model.score_all, fmr=self.fmr, **options)
        if kind == AGE.name:
            return age_figures(before, after, self.truth.years, people, target=age, **options)
        truth = self.truth.classes[kind]
        if kind != GENDER.name:
            return race_figures(before, after, truth, people, **options)
        known = truth >= 0
        column = GENDER.index("female")
        first, second = before[known, column], after[known, column]
        return binary_figures(first, second, truth[known] == column, people[known], **options)


def strength(figures: Mapping[str, Mapping[str, Figures]]) -> dict[str, Figures]:
    """Return whether each estimator counts, from the figures of the originals compared with themselves.

    Estimator -> ``attribute``, ``on_originals`` (None with too few photos), ``counts``, and ``note`` with the reason.
    """
    found: dict[str, Figures] = {}
    for attribute, own in _STRENGTH.items():
        for name, said in figures[attribute].items():
            value = None if "refused" in said else own(said)
            good = value is not None and counts(attribute, value)
            note = "" if good else said.get("refused", "errs too much on the originals")
            found[name] = {"attribute": attribute, "on_originals": value, "counts": good, "note": note}
    return found
