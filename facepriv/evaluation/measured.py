"""The figures of a comparison: every output against the originals, cached under hashes of their inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from facepriv.evaluation.cache_keys import core_hash
from facepriv.evaluation.measure import Measure
from facepriv.evaluation.outputs import ORIGINAL, OutputPlan
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.results import Curves, Output, plain_curves, plain_output, read_curves, read_output
from facepriv.evaluation.rows import Float
from facepriv.evaluation.setup import ComparisonSetup, Progress
from facepriv.evaluation.truth import Truth
from facepriv.files import atomic_write, digest, load_arrays, save_arrays
from facepriv.pool import spread
from facepriv.protection.request import PrivacyRequest
from facepriv.schema import AGE


def measure_outputs(
    plans: Mapping[str, OutputPlan],
    predictions: Mapping[str, Mapping[str, Predictions]],
    truth: Truth,
    setup: ComparisonSetup,
    progress: Progress,
) -> tuple[list[Output], Curves, dict[str, str]]:
    """Return the figures of every output, the curves of the originals, and the judges left out with reasons."""
    tasks = [
        (MeasureTask(method, output, request, setup.seen(method)), _figures_file(done, output, truth, setup))
        for method, done in plans.items()
        for output, request in done.output_run.requests.items()
    ]
    first = next(iter(plans))
    base = _figures_file(plans[first], ORIGINAL, truth, setup)
    # Two names for the same method and settings share a file.
    missing = {file: task for task, file in tasks if not (file.is_file() and _samples_of(file).is_file())}
    if not base.is_file() or missing:
        measurer = partial(_measurer, truth, predictions[first][ORIGINAL], setup)
        advance = progress.stage("figures of an output", len(missing) + 1)
        if not base.is_file():
            measure = measurer().measure
            content = {
                "curves": plain_curves(measure.curves(predictions[first][ORIGINAL])),
                "left_out": measure.left_out,
            }
            _keep(base, content)
        advance(1)
        processes = min(setup.workers, len(missing)) if len(missing) > 1 else 0
        work = [(task, predictions[task.method][task.output]) for task in missing.values()]
        for file, measured in zip(missing, spread(measurer, work, processes) if work else (), strict=True):
            _keep(file, *measured)
            advance(1)
    original = json.loads(base.read_bytes())
    outputs = [replace(_read(file), method=task.method) for task, file in tasks]
    return outputs, read_curves(original["curves"]), dict(original["left_out"])


@dataclass(frozen=True)
class MeasureTask:
    """An output to measure; `seen` lists the judges that its method was trained against."""

    method: str
    output: str
    request: PrivacyRequest
    seen: list[str]


@dataclass(frozen=True)
class _Measurer:
    """Measures outputs against the originals."""

    measure: Measure

    def __call__(self, given: tuple[MeasureTask, Predictions]) -> tuple[dict[str, Any], dict[str, Float]]:
        """Return the figures of an output for JSON, and the resamples of each row by its index."""
        task, after = given
        age = task.request.targets.get(AGE.name, "")
        rows = self.measure.rows(after, seen=task.seen, age=age if age in AGE.classes else "")
        output = Output(task.method, task.output, task.request.hidden, tuple(rows), self.measure.curves(after))
        return plain_output(output), {str(n): row.samples for n, row in enumerate(rows) if row.samples is not None}


def _measurer(truth: Truth, before: Predictions, setup: ComparisonSetup) -> _Measurer:
    return _Measurer(Measure(truth, before, setup.judges, fmr=setup.fmr, replicates=setup.replicates))


def _figures_file(of: OutputPlan, output: str, truth: Truth, setup: ComparisonSetup) -> Path:
    """Return the cache file of an output's figures."""
    labels = [f"{name} {classes.tolist()}" for name, classes in truth.classes.items()]
    photos = [*of.files, *truth.subjects.tolist(), *labels, str(truth.years.tolist())]
    settings = [f"{setup.fmr} {setup.replicates}", str(setup.seen(of.output_run.method))]
    decided = [core_hash(), of.folders[output].name, of.folders[ORIGINAL].name, *photos, *settings]
    return setup.place / "figures" / f"{digest(decided)}.json"


def _samples_of(file: Path) -> Path:
    return file.with_suffix(".npz")


def _keep(file: Path, content: Any, samples: Mapping[str, Float] | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if samples is not None:
        save_arrays(_samples_of(file), samples)
    atomic_write(file, json.dumps(content).encode())


def _read(file: Path) -> Output:
    output = read_output(json.loads(file.read_bytes()))
    samples = load_arrays(_samples_of(file))
    return replace(output, rows=tuple(replace(row, samples=samples.get(str(n))) for n, row in enumerate(output.rows)))
