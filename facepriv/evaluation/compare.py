"""Compare any set of methods on a data set: make every output once, judge it with all judges, and measure it.

Predictions of the judges and figures are cached under hashes of their inputs (photos, code, weights, settings). An
interrupted run resumes, and a repeated run only reads. The key for random targets is a constant, so figures repeat;
this is safe because no protected photo leaves the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from facepriv import __version__
from facepriv.errors import FaceprivError, UsageError, one_line
from facepriv.evaluation.cache_keys import core_hash
from facepriv.evaluation.measure import Measure
from facepriv.evaluation.outputs import ORIGINAL, OutputPlan, OutputRun, plan
from facepriv.evaluation.predictions import Predictions, unprocessed
from facepriv.evaluation.results import Comparison, Curves, Output, read_curves, read_output
from facepriv.evaluation.rows import Float
from facepriv.evaluation.setup import STRENGTH, ComparisonSetup, NoProgress, Progress
from facepriv.evaluation.truth import Truth
from facepriv.files import atomic_write, digest, load_arrays, make_private, save_arrays
from facepriv.pool import spread
from facepriv.registry import build_method
from facepriv.schema import AGE, ATTRIBUTES

#: Key for random targets; not secret, so that a repeated run gives the same figures.
KEY = b"facepriv compare, reproducible"


@dataclass(frozen=True)
class ComparisonRun:
    """A comparison and its inputs, for attacks and examples.

    Parameters
    ----------
    setup : ComparisonSetup
    truth : Truth
        Of the photos.
    plans : mapping
        Method -> where its outputs and their faces are stored.
    predictions : mapping
        Method -> output, and `facepriv.evaluation.outputs.ORIGINAL` -> predictions of the judges.
    comparison : Comparison
    """

    setup: ComparisonSetup
    truth: Truth
    plans: Mapping[str, OutputPlan]
    predictions: Mapping[str, Mapping[str, Predictions]]
    comparison: Comparison


def compare(setup: ComparisonSetup, progress: Progress | None = None) -> ComparisonRun:
    """Run a comparison, or the parts that are not cached.

    Raises
    ------
    UsageError
        If no method can make any output.
    FaceprivError
        If a photo cannot be read, or a method or a judge fails.
    """
    make_private(setup.place)
    progress = progress or NoProgress()
    truth = Truth.of(setup.photos)
    output_runs, skipped = runs_of(setup)
    plans, predictions = _make_and_judge(output_runs, setup, progress)
    outputs, original, left_out = _measure(plans, predictions, truth, setup, progress)
    skipped |= {**_unprocessed(predictions, setup), **setup.left_out, **left_out}
    base = {output.name: output for output in outputs if output.method == setup.against}
    comparison = Comparison(
        facepriv=__version__,
        data=_data(setup),
        settings=_settings(setup),
        methods=tuple(_describe_method(setup, name) for name in output_runs),
        judges=tuple({"name": name, **judge} for name, judge in setup.judges.describe().items()),
        skipped=tuple({"what": what, "why": why} for what, why in skipped.items()),
        original=original,
        outputs=tuple(outputs),
        differences=tuple(o.less(base[o.name]) for o in outputs if o.method != setup.against and o.name in base),
    )
    return ComparisonRun(setup, truth, plans, predictions, comparison)


def runs_of(setup: ComparisonSetup) -> tuple[dict[str, OutputRun], dict[str, str]]:
    """Return the run of every method that can make an output, and the skipped methods and outputs with reasons."""
    output_runs, skipped = {}, {}
    for name in setup.methods:
        try:
            can = build_method(setup.registry, name, "cpu").perturber.attributes
        except UsageError:
            raise  # no such method, or its settings are wrong
        except FaceprivError as error:
            skipped[name] = one_line(error)
            continue
        able = {
            output: setup.request(name, output)
            for output, asked in setup.requests.items()
            if set(asked.hidden) <= set(can)
        }
        for output in setup.requests.keys() - able.keys() if able else ():
            skipped[f"{name}: {output}"] = f"changes {', '.join(can)} only"
        if not able:
            skipped[name] = f"cannot hide this: it changes {', '.join(can) or 'nothing'}"
            continue
        output_runs[name] = OutputRun(
            setup.registry,
            name,
            able,
            setup.judges,
            KEY,
            encode_originals=True,
            keep_crops=bool(setup.attacks),
            in_place=setup.in_place,
            true_classes=_true_classes(setup) if setup.true_labels else {},
        )
    if not output_runs:
        reasons = "; ".join(f"{what}: {why}" for what, why in skipped.items())
        raise UsageError(f"no method can make any of the outputs ({reasons or 'none was named'})")
    return output_runs, dict(sorted(skipped.items()))


def _make_and_judge(
    output_runs: Mapping[str, OutputRun], setup: ComparisonSetup, progress: Progress
) -> tuple[dict[str, OutputPlan], dict[str, dict[str, Predictions]]]:
    """Make and judge missing outputs; returns per method the plan, and output (and `ORIGINAL`) -> predictions."""
    paths = [record.path for record in setup.photos]
    plans, predictions = {}, {}
    for method, output_run in output_runs.items():
        # Sequential: all methods share the originals, so the next method finds them already judged.
        plans[method] = plan(output_run, paths, setup.place / "predictions")
        advance = progress.stage(f"{method}: outputs of a photo", plans[method].missing)
        predictions[method] = plans[method].run(workers=setup.workers, progress=advance)
    return plans, predictions


def _measure(
    plans: Mapping[str, OutputPlan],
    predictions: Mapping[str, Mapping[str, Predictions]],
    truth: Truth,
    setup: ComparisonSetup,
    progress: Progress,
) -> tuple[list[Output], Curves, dict[str, str]]:
    """Return the figures of every output, the curves of the originals, and the judges left out with reasons."""
    files = {
        (method, output): _figures_file(done, output, truth, setup)
        for method, done in plans.items()
        for output in done.output_run.requests
    }
    first = next(iter(plans))
    before, base = predictions[first][ORIGINAL], _figures_file(plans[first], ORIGINAL, truth, setup)
    # Two names for the same method and settings share a file.
    missing = {file: made for made, file in files.items() if not (file.is_file() and _samples_of(file).is_file())}
    if missing or not base.is_file():
        build = partial(Measure, truth, before, setup.judges, fmr=setup.fmr, replicates=setup.replicates)
        advance = progress.stage("figures of an output", len(missing) + 1)
        if not base.is_file():
            measure = build()
            _keep(base, {"curves": measure.curves(before).plain(), "left_out": measure.left_out})
        advance(1)
        processes = min(setup.workers, len(missing)) if len(missing) > 1 else 0
        work = [(method, output, predictions[method][output]) for method, output in missing.values()]
        measured = spread(partial(_measurer, build, setup), work, processes) if work else ()
        for file, (output, samples) in zip(missing, measured, strict=True):
            save_arrays(_samples_of(file), samples)
            _keep(file, output)
            advance(1)
    original = json.loads(base.read_bytes())
    outputs = [replace(_read(file), method=method) for (method, _), file in files.items()]
    return outputs, read_curves(original["curves"]), dict(original["left_out"])


def _measurer(
    build: Callable[[], Measure], setup: ComparisonSetup
) -> Callable[[tuple[str, str, Predictions]], tuple[dict[str, Any], dict[str, Float]]]:
    """Measure the originals; returns a function from a method, an output and its predictions to its figures."""
    measure = build()

    def figures(given: tuple[str, str, Predictions]) -> tuple[dict[str, Any], dict[str, Float]]:
        """Return the figures of an output for JSON, and the resamples of each row by its index."""
        method, output, after = given
        request = setup.requests[output]
        age = request.targets.get(AGE.name, "")
        rows = measure.rows(after, seen=setup.seen(method), age=age if age in AGE.classes else "")
        found = Output(method, output, request.hidden, tuple(rows), measure.curves(after))
        return found.plain(), {str(n): row.samples for n, row in enumerate(rows) if row.samples is not None}

    return figures


def _figures_file(of: OutputPlan, output: str, truth: Truth, setup: ComparisonSetup) -> Path:
    """Return the cache file of an output's figures."""
    labels = [f"{name} {classes.tolist()}" for name, classes in truth.classes.items()]
    photos = [*of.files, *truth.subjects.tolist(), *labels, str(truth.years.tolist())]
    settings = [f"{setup.fmr} {setup.replicates}", str(setup.seen(of.output_run.method))]
    decided = [core_hash(), of.folders[output].name, of.folders[ORIGINAL].name, *photos, *settings]
    return setup.place / "figures" / f"{digest(decided)}.json"


def _samples_of(file: Path) -> Path:
    return file.with_suffix(".npz")


def _keep(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, json.dumps(content).encode())


def _read(file: Path) -> Output:
    output = read_output(json.loads(file.read_bytes()))
    samples = load_arrays(_samples_of(file))
    return replace(output, rows=tuple(replace(row, samples=samples.get(str(n))) for n, row in enumerate(output.rows)))


def _unprocessed(predictions: Mapping[str, Mapping[str, Predictions]], setup: ComparisonSetup) -> dict[str, str]:
    """Return which faces the judges could not process, and why; the originals are listed once."""
    names = [record.name for record in setup.photos]
    found: dict[str, str] = {}
    for method, outputs in predictions.items():
        for output, made in outputs.items():
            where = "" if output == ORIGINAL else f"{method}, {output}: "
            words = "originals" if output == ORIGINAL else "protected photos"
            found |= {f"{where}{judge}": text for judge, text in unprocessed(made, names, words).items()}
    return found


def _true_classes(setup: ComparisonSetup) -> dict[Path, dict[str, int]]:
    truth = Truth.of(setup.photos)
    return {
        record.path: {name: int(truth.classes[name][n]) for name in ATTRIBUTES if truth.classes[name][n] >= 0}
        for n, record in enumerate(setup.photos)
    }


def _describe_method(setup: ComparisonSetup, name: str) -> dict[str, Any]:
    """Return a method's description and settings; weights are identified by hash, not by path."""
    descriptor = setup.registry.find("method", name)
    settings = {key: str(value) for key, value in descriptor.options.items() if key != "weights"}
    if name in setup.strengths:
        settings[STRENGTH] = f"{setup.strengths[name]:g}"
    info = build_method(setup.registry, name, "cpu").info()
    more = {"summary": descriptor.summary, "reference": descriptor.reference}
    return {**info, "seen": setup.seen(name), "settings": settings, **more}


def _data(setup: ComparisonSetup) -> dict[str, Any]:
    people = {record.subject for record in setup.photos if record.subject}
    return {"name": setup.name, "photos": len(setup.photos), "people": len(people)}


def _settings(setup: ComparisonSetup) -> dict[str, Any]:
    request = next(iter(setup.requests.values()))
    settings = {
        "policy": request.policy,
        "strength": request.strength,
        "seed": request.seed,
        "fmr": setup.fmr,
        "replicates": setup.replicates,
        "attacks": list(setup.attacks),
    }
    chosen = {"against": setup.against, "true_labels": setup.true_labels, "in_place": setup.in_place}
    return settings | {name: value for name, value in chosen.items() if value}
