"""Compare any set of methods on a data set: make every output once, judge it with all judges, and measure it.

Predictions of the judges and figures are cached under hashes of their inputs (photos, code, weights, settings). An
interrupted run resumes, and a repeated run only reads. The key for random targets is a constant, so figures repeat;
this is safe because no protected photo leaves the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepriv._version import __version__
from facepriv.errors import FaceprivError, UsageError, one_line
from facepriv.evaluation.answers import not_taken
from facepriv.evaluation.measured import measure_outputs
from facepriv.evaluation.outputs import ORIGINAL, OutputPlan, OutputRun, plan
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.requests import possible
from facepriv.evaluation.results import Comparison, Output
from facepriv.evaluation.setup import ComparisonSetup, NoProgress, Progress
from facepriv.evaluation.truth import Truth
from facepriv.files import make_private
from facepriv.registry import build_method
from facepriv.schema import ATTRIBUTES

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
    outputs, original, silent = measure_outputs(plans, predictions, truth, setup, progress)
    skipped |= {**_not_taken(predictions, setup), **setup.left_out, **silent}
    described = setup.panel.describe()
    comparison = Comparison(
        facepriv=__version__,
        data=_data(setup),
        settings=_settings(setup),
        methods=tuple(_described(setup, name) for name in output_runs),
        judges=tuple({"name": name, **described[name]} for name in setup.judges.estimators + setup.judges.matchers),
        skipped=tuple({"what": what, "why": why} for what, why in skipped.items()),
        original=original,
        outputs=tuple(outputs),
        differences=tuple(_differences(outputs, setup.against)),
    )
    return ComparisonRun(setup, truth, plans, predictions, comparison)


def _differences(outputs: list[Output], against: str) -> list[Output]:
    """Return the difference of every other method's output to the same output of `against`."""
    base = {output.name: output for output in outputs if output.method == against}
    return [o.less(base[o.name]) for o in outputs if o.method != against and o.name in base]


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
        able = possible(dict(setup.requests), can)
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


def _not_taken(predictions: Mapping[str, Mapping[str, Predictions]], setup: ComparisonSetup) -> dict[str, str]:
    """Return which faces the judges could not process, and why; the originals are listed once."""
    names = [record.name for record in setup.photos]
    found: dict[str, str] = {}
    for method, outputs in predictions.items():
        for output, seen in outputs.items():
            where = "" if output == ORIGINAL else f"{method}, {output}: "
            words = "originals" if output == ORIGINAL else "protected photos"
            found |= {f"{where}{judge}": text for judge, text in not_taken(seen, names, words).items()}
    return found


def _true_classes(setup: ComparisonSetup) -> dict[Path, dict[str, int]]:
    truth = Truth.of(setup.photos)
    return {
        record.path: {name: int(truth.classes[name][n]) for name in ATTRIBUTES if truth.classes[name][n] >= 0}
        for n, record in enumerate(setup.photos)
    }


def _described(setup: ComparisonSetup, name: str) -> dict[str, Any]:
    """Return a method's description and settings; weights are identified by hash, not by path."""
    descriptor = setup.registry.find("method", name)
    settings = {key: str(value) for key, value in descriptor.options.items() if key != "weights"}
    info = build_method(setup.registry, name, "cpu").info()
    more = {"summary": descriptor.summary, "reference": descriptor.reference}
    return {**info, "seen": setup.seen(name), "settings": settings, **more}


def _data(setup: ComparisonSetup) -> dict[str, Any]:
    people = {record.subject for record in setup.photos if record.subject}
    return {"name": setup.name, "photos": len(setup.photos), "people": len(people)}


def _settings(setup: ComparisonSetup) -> dict[str, Any]:
    request = next(iter(setup.requests.values()))
    said = {
        "policy": request.policy,
        "strength": request.strength,
        "seed": request.seed,
        "fmr": setup.fmr,
        "replicates": setup.replicates,
        "attacks": list(setup.attacks),
    }
    chosen = {"against": setup.against, "true_labels": setup.true_labels, "in_place": setup.in_place}
    return said | {name: value for name, value in chosen.items() if value}
