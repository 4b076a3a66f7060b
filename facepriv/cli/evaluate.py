"""``facepriv evaluate``: compare protected photos from any source with their originals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facepriv.cli import console
from facepriv.cli.options import PATH, fmr, passes, replicates, workers
from facepriv.errors import UsageError
from facepriv.schema import AGE

if TYPE_CHECKING:
    from facepriv.evaluation.conditions import Outcome
    from facepriv.evaluation.folders import Evaluation
    from facepriv.evaluation.judges import Judges
    from facepriv.evaluation.rows import Row

#: Exit code if a condition of --fail-if holds or cannot be judged.
FAILED = 3
#: Rows of the first table; all other rows are in JSON and CSV.
_MAIN = (
    "missing",
    "unreadable",
    "resized",
    "identical",
    "found",
    "found_both",
    "gender_changed",
    "gender_eer",
    "gender_flip_aware",
    "gender_suppression",
    "gender_pic",
    "race_changed",
    "race_pair_eer",
    "race_balanced",
    "race_suppression",
    "race_pic",
    "age_changed",
    "age_error",
    "age_moved",
    "age_shift",
    "own_match",
    "own_score",
    "other_match",
    "other_score",
    "tmr",
    "tmr_fixed",
    "fmr_fixed",
    "eer",
    "rank1",
    "ssim",
    "psnr",
)
_GROUPS = (
    "found",
    "gender_wrong",
    "gender_eer",
    "race_eer",
    "race_accuracy",
    "age_error",
    "tmr",
    "tmr_fixed",
    "fmr_fixed",
)
_UNITS = {"percent": (" %", 1), "years": (" years", 1), "photos": ("", 0), "dB": (" dB", 1), "index": ("", 2)}


@dataclass(frozen=True)
class EvaluationOptions:
    """The command-line options of ``evaluate``; see the help text of each option."""

    original: Path
    protected: Path | None
    labels: Path | None
    layout: str | None
    part: str
    people: str
    limit: int | None
    estimators: tuple[str, ...]
    matchers: tuple[str, ...]
    settings: tuple[str, ...]
    seen: tuple[str, ...]
    age: str | None
    fmr: float
    replicates: int
    seed: int
    workers: int | None
    cache: Path | None
    json_path: Path | None
    csv_path: Path | None
    conditions: tuple[str, ...]


@click.command("evaluate", short_help="Compare protected photos, made by anything, with their originals.")
@passes(EvaluationOptions)
@click.argument("original", type=PATH)
@click.argument("protected", type=PATH, required=False)
@click.option(
    "--labels",
    type=PATH,
    metavar="CSV",
    help="Labels of the originals, for error rates: columns file, and any of subject, gender, race, age.",
)
@click.option(
    "--layout", metavar="NAME", help="Instead of --labels: the originals are this data set, in its own layout."
)
@click.option(
    "--part", metavar="NAME", default="", help="Part of the data set: train, validation, test. [default: all]"
)
@click.option(
    "--people",
    type=click.Choice(["labels", "folder"]),
    default="labels",
    show_default=True,
    help="Source of a photo's person: the labels, or the name of its folder.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N photos.")
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    metavar="NAME",
    help="Judge of gender, race or age; OWN=NAME calls it OWN. [default: the unseen ones]",
)
@click.option(
    "--matcher", "matchers", multiple=True, metavar="NAME", help="Judge of identity, likewise. [default: dlib]"
)
@click.option("--set", "settings", multiple=True, metavar="JUDGE.NAME=VALUE", help="A setting of a judge.")
@click.option(
    "--seen",
    multiple=True,
    metavar="NAME",
    help="A judge that the protection was optimised against: reported, but not included in means. A run of facepriv "
    "records its own.",
)
@click.option("--aimed-at", "age", type=click.Choice(AGE.classes), help="The age group that the protection aimed at.")
@fmr
@replicates
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the resamples.")
@workers
@click.option(
    "--cache",
    type=PATH,
    metavar="DIR",
    help="Folder that caches the judges' predictions by content, so that a repeated or interrupted call is quick. It "
    "holds descriptors of real faces.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write all results to this file; - is stdout, without the tables.",
)
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write the rows to this file; - is stdout, without the tables.",
)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Exit code 3 if it holds: 'tmr_loss > 2', 'gender_eer[family-b-gender] < 40'; a wrong name "
    "lists the known ones.",
)
def command(given: EvaluationOptions) -> None:
    """Compare protected photos, made by facepriv or any other tool, with their originals.

    Needs no labels: a verdict in words says on how many faces unseen classifiers change their answers, and whether a
    matcher still recognises them. Labels add error rates.

    ORIGINAL and PROTECTED are folders; files are paired by their path below them, whatever their suffix. Missing and
    damaged files, other sizes and photos without a face are counted as errors and listed. A single folder must be the
    output of an audited run of 'facepriv apply', which records its originals.

    Rates are in percent, with 95 % intervals over people. Judges that are too weak on the originals, or that the
    weights were trained against, are shown but not counted.

    Exit code: 0 done (use --fail-if 'missing > 0' to check for photos without a protected file), 1 a folder, a table or
    a model is missing or wrong, 2 wrong call, 3 a condition of --fail-if holds or cannot be judged.
    """
    from facepriv.evaluation.conditions import check_named, judge, read_condition
    from facepriv.evaluation.judges import find_judges
    from facepriv.registry import registry

    conditions = [read_condition(text, given.fmr) for text in given.conditions]
    if str(given.json_path) == str(given.csv_path) == "-":
        raise UsageError("--json - and --csv - cannot both go to stdout")
    judges = find_judges(registry(), given.estimators, given.matchers, given.settings)
    check_named(conditions, judges.kinds)
    found = _evaluate(judges, given)
    outcomes = [judge(condition, found.rows) for condition in conditions]
    _write(found, outcomes, given)
    if "-" not in (str(given.json_path), str(given.csv_path)):
        _show(found)
    for line in found.problems:
        console.note(f"warning: {line}")
    for outcome in outcomes:
        console.note(outcome.text)
    if any(outcome.holds is not False for outcome in outcomes):
        click.get_current_context().exit(FAILED)


def _evaluate(judges: Judges, given: EvaluationOptions) -> Evaluation:
    from facepriv.evaluation.folders import evaluate_folders, folder_photos, recorded_originals
    from facepriv.evaluation.photos import photos_of
    from facepriv.evaluation.predictions import PredictionStore

    original, protected = given.original, given.protected
    if protected is None:
        original, protected = recorded_originals(original), original
    if given.layout:
        if given.labels:
            raise UsageError("--layout has the labels of its data set: leave out --labels")
        if given.people == "folder":
            raise UsageError("--layout knows the people of its data set: leave out --people")
        photos = photos_of(given.layout, original, part=given.part, limit=given.limit)
    else:
        if given.part:
            raise UsageError("--part belongs to a data set: name its --layout")
        photos = folder_photos(original, given.labels, people_by_folder=given.people == "folder", protected=protected)
        photos = photos[: given.limit]
    with console.Stages() as stages:
        return evaluate_folders(
            photos,
            original,
            protected,
            judges,
            seen=given.seen,
            age=given.age or "",
            store=PredictionStore(given.cache),
            workers=given.workers or os.cpu_count() or 1,
            fmr=given.fmr,
            replicates=given.replicates,
            seed=given.seed,
            progress=stages,
        )


def _write(found: Evaluation, outcomes: Sequence[Outcome], given: EvaluationOptions) -> None:
    """Write JSON and CSV if requested, each file atomically."""
    import json

    from facepriv.evaluation.rows import to_csv
    from facepriv.files import atomic_write

    fails = [{"condition": o.condition.text, "holds": o.holds, "why": o.why} for o in outcomes]
    texts = {
        "json_path": lambda: json.dumps({**found.plain(), "fail_if": fails}, indent=1) + "\n",
        "csv_path": lambda: to_csv(found.rows),
    }
    for name, text in texts.items():
        path = getattr(given, name)
        if path is None:
            continue
        if str(path) == "-":
            click.echo(text(), nl=False)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, text().encode())


def _show(found: Evaluation) -> None:
    people = f" of {found.people} people" if found.people else ""
    matched = any(row.figure == "tmr" for row in found.rows)
    fmr = f" TMR at FMR {100 * found.settings['fmr']:g} % unless a row names another;" if matched else ""
    what = f"{found.photos} photos{people}, the face nearest the centre of each"
    click.echo(f"{what};{fmr} 95 % intervals in brackets, rates in percent\n")
    click.echo("\n".join(found.verdict) + "\n")
    rows = [row for row in found.rows if row.figure in _MAIN and not row.group]
    console.table(("figure", "judge", "originals", "protected", "change", ""), [_line(row) for row in rows])
    grouped = [row for row in found.rows if row.figure in _GROUPS and row.group]
    if grouped:
        click.echo("\nfigures by group")
        head = ("figure", "judge", "of", "originals", "protected", "change", "")
        grouped.sort(key=lambda row: _GROUPS.index(row.figure))
        console.table(head, [(*(line := _line(row))[:2], row.group, *line[2:]) for row in grouped])
    if found.notes:
        click.echo("\n" + "\n".join(found.notes))


def _line(row: Row) -> tuple[str, ...]:
    from facepriv.report.figure import interval

    words = f"{row.words}, {row.pairing}" if row.pairing else row.words
    digits = 2 if row.figure.startswith("fmr") else _UNITS[row.unit][1]
    unit = _UNITS[row.unit][0]
    before, after = (interval(value, digits, unit=unit) for value in (row.before, row.after))
    return words, row.evaluator, before, after, interval(row.change, digits, "+"), row.note
