"""``facepriv compare``: compare any set of methods in one report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facepriv.cli import console
from facepriv.cli.evaluate import FAILED
from facepriv.cli.options import PATH, fmr, passes, replicates, workers
from facepriv.cli.values import Names
from facepriv.errors import UsageError
from facepriv.evaluation.photos import layout_of

if TYPE_CHECKING:
    from facepriv.datasets.record import Record
    from facepriv.evaluation.conditions import Condition
    from facepriv.evaluation.results import Comparison
    from facepriv.evaluation.setup import ComparisonSetup


@dataclass(frozen=True)
class ComparisonOptions:
    """The command-line options of ``compare`` and ``attack``; see the help text of each option."""

    data: tuple[Path, ...]
    out: Path
    layout: str
    part: str
    without_copies: bool
    limit: int | None
    together: bool
    methods: tuple[tuple[str, ...], ...]
    against: str
    true_labels: bool
    in_place: bool
    obfuscate: tuple[tuple[str, ...], ...]
    outputs: tuple[tuple[str, ...], ...]
    policy: str
    strength: float
    seed: int
    settings: tuple[str, ...]
    estimators: tuple[tuple[str, ...], ...]
    matchers: tuple[tuple[str, ...], ...]
    fmr: float
    replicates: int
    fail_if: tuple[str, ...]
    examples: Path | None
    work: Path | None
    workers: int | None


_OPTIONS = (
    click.argument("data", type=PATH, nargs=-1, required=True),
    click.option(
        "-o",
        "--out",
        required=True,
        type=PATH,
        metavar="REPORT",
        help="Folder for report.html, rows.csv, result.json and tables.tex.",
    ),
    click.option(
        "--layout",
        default="",
        metavar="NAME",
        help="How DATA is laid out: celeba, csv, lfw, utkface, visible-lfw, ... [default: detected for each]",
    ),
    click.option("--part", default="", metavar="NAME", help="Only this part: train, validation, test."),
    click.option(
        "--without-copies",
        is_flag=True,
        help="Leave out photos of --part that nearly copy a photo of another part, in sets that name no people.",
    ),
    click.option("--limit", type=click.IntRange(2), metavar="N", help="Only the first N photos of each."),
    click.option("--together", is_flag=True, help="Measure the photos of several DATA as one set."),
    click.option(
        "--methods",
        type=Names(),
        multiple=True,
        help="NAME, NAME:SETTING=VALUE, or OWN=NAME:SETTING=VALUE for a setting under a name of your own. "
        "[default: all that are installed]",
    ),
    click.option(
        "--against", default="", metavar="METHOD", help="Also report every other method less this one, paired."
    ),
    click.option(
        "--true-labels", is_flag=True, help="Give methods the true classes that DATA names, instead of estimates."
    ),
    click.option(
        "--in-place",
        is_flag=True,
        help="Cut faces out of outputs where the originals' are, instead of finding them again: for methods that "
        "differ by less than a grey level.",
    ),
    click.option(
        "--obfuscate",
        type=Names(),
        multiple=True,
        help="Attributes to hide, together: gender, race, age. [default: gender]",
    ),
    click.option(
        "--outputs",
        type=Names(),
        multiple=True,
        help="Several outputs instead, such as gender,race,gender+age=old; 'all': the paper's 15; 'random', 'own'.",
    ),
    click.option("--policy", type=click.Choice(["flip", "random"]), default="flip", show_default=True),
    click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME.FIELD=VALUE",
        help="A setting of a method, evaluator or attack; a wrong name lists the known ones.",
    ),
    click.option(
        "--estimator",
        "estimators",
        type=Names(),
        multiple=True,
        help="Estimators that judge attributes: NAME, or OWN=NAME. "
        "[default: those that no method here was trained with]",
    ),
    click.option(
        "--matcher",
        "matchers",
        type=Names(),
        multiple=True,
        help="Matchers that judge identity: NAME, or OWN=NAME. [default: dlib]",
    ),
    fmr,
    replicates,
    click.option(
        "--fail-if",
        multiple=True,
        metavar="CONDITION",
        help="Exit code 3 if it holds for any output: 'gender_eer < 30', 'tmr_loss[dlib] > 8'.",
    ),
    click.option(
        "--examples",
        type=PATH,
        metavar="DIR",
        help="Photos of your own that the report may show. [default: two public-domain portraits]",
    ),
    click.option(
        "--work",
        type=PATH,
        metavar="DIR",
        help="Where scores, descriptors and (for attacks) faces of real people are kept between runs. "
        "[default: facepriv/compare in the user's cache]",
    ),
    workers,
)

#: Adds the arguments and options that ``compare`` and ``attack`` share, as one `ComparisonOptions`.
comparing = passes(ComparisonOptions, *_OPTIONS)


@click.command("compare", short_help="Compare methods over data sets, as one report.")
@comparing
@click.option(
    "--attack",
    "attacks",
    type=Names(),
    multiple=True,
    help="Also run these attacks; 'facepriv attack' runs all of them.",
)
def command(options: ComparisonOptions, attacks: tuple[tuple[str, ...], ...]) -> None:
    """Protect the photos of DATA with every method, judge them with independent models, and write a report.

    DATA is a data set in its own layout, or a folder of photos with labels.csv. Several data sets give one report each
    and one table of all rows. Outputs and judges' results are kept: an interrupted run continues where it stopped, and
    a repeated run takes seconds. A method that cannot hide the requested attributes is listed as left out. The report
    contains no photo of DATA.

    Exit code: 0 done, 1 something is missing or wrong, 2 wrong call, 3 a condition of --fail-if holds or cannot be
    judged.
    """
    run(options, Names.joined(attacks))


def run(options: ComparisonOptions, attacks: tuple[str, ...]) -> None:
    """Run a comparison from the command line's options, write the report and print its first table."""
    from facepriv.evaluation.conditions import check_named, read_condition
    from facepriv.files import prepare_work_folder
    from facepriv.report.page import check_installed, check_place, write_reports

    check_installed()
    check_place(options.out)
    conditions = [read_condition(text, options.fmr) for text in options.fail_if]
    setups = _setups(options, attacks)
    for setup in setups:
        check_named(conditions, setup.judges.kinds)
    for folder in {setup.place for setup in setups}:
        console.note(prepare_work_folder(folder))
    with console.Stages(announced=True) as stages:
        try:
            done = [_compared(setup, options.examples, stages) for setup in setups]
        except KeyboardInterrupt:
            text = "interrupted; what is done is kept: run the same command again to continue"
            raise console.Failure(text, 130) from None
    page = write_reports(done, options.out)
    for comparison in done:
        _show(comparison, named=len(done) > 1)
    console.note(f"the report: {page}")
    failed = [_judged(conditions, comparison) for comparison in done]  # a list, so that every outcome is printed
    if any(failed):
        click.get_current_context().exit(FAILED)


def _compared(setup: ComparisonSetup, examples: Path | None, stages: console.Stages) -> Comparison:
    """Compare on one set of photos: make outputs, run judges, compute figures, then attacks and examples."""
    from facepriv.evaluation.compare import compare
    from facepriv.report.examples import bundled, make_examples, of_folder

    shown = of_folder(examples) if examples else bundled()  # a wrong folder fails before hours of work
    done = compare(setup, stages)
    comparison = done.comparison
    if setup.attacks:
        from facepriv.attacks.run import attack

        comparison = attack(done, stages)
    output_runs = {method: plan.output_run for method, plan in done.plans.items()}
    return replace(comparison, examples=tuple(make_examples(output_runs, shown, setup.place / "examples")))


def _judged(conditions: Sequence[Condition], comparison: Comparison) -> bool:
    """Print the outcome of every condition on every output; returns whether any holds or cannot be judged."""
    from facepriv.evaluation.conditions import judge

    failed = False
    for output in comparison.outputs:
        for condition in conditions:
            outcome = judge(condition, (*output.rows, *output.adversaries))
            console.note(f"{comparison.data['name']}, {output.method}, {output.name}: {outcome.text}")
            failed |= outcome.holds is not False
    return failed


def _setups(options: ComparisonOptions, attacks: tuple[str, ...]) -> list[ComparisonSetup]:
    """Convert the command line to a setup for each set; raises `UsageError` if options contradict one another."""
    from facepriv.evaluation.setup import make_setup
    from facepriv.files import cache_folder

    hidden, outputs = Names.joined(options.obfuscate), Names.joined(options.outputs)
    if hidden and outputs:
        raise UsageError("--obfuscate and --outputs exclude each other: one names attributes, the other whole outputs")
    sets = dict(_photos(root, options) for root in options.data)
    if len(sets) < len(options.data):
        raise UsageError("two data sets are of the same layout: compare them in calls of their own")
    if options.together:
        sets = {" and ".join(sets): [record for photos in sets.values() for record in photos]}
    return [
        make_setup(
            photos,
            options.work or cache_folder("compare"),
            name=name,
            methods=Names.joined(options.methods),
            outputs=outputs or ("+".join(hidden or ("gender",)),),
            estimators=Names.joined(options.estimators),
            matchers=Names.joined(options.matchers),
            settings=options.settings,
            attacks=attacks,
            workers=options.workers or os.cpu_count() or 1,
            replicates=options.replicates,
            fmr=options.fmr,
            against=options.against,
            true_labels=options.true_labels,
            in_place=options.in_place,
            request={"policy": options.policy, "strength": options.strength, "seed": options.seed},
        )
        for name, photos in sets.items()
    ]


def _photos(root: Path, options: ComparisonOptions) -> tuple[str, list[Record]]:
    """Return the name of a set in the report, and its photos."""
    from facepriv.evaluation.photos import photos_of

    layout = options.layout or layout_of(root)
    photos = photos_of(layout, root, part=options.part, limit=options.limit, without_copies=options.without_copies)
    part = f", part {options.part}" if options.part else ""
    part += ", without near copies" if options.without_copies else ""
    first = f", first {options.limit} files" if options.limit else ""
    return f"{layout}{part}{first}", photos


def _show(done: Comparison, *, named: bool) -> None:
    """Print the report's first table, and what is left out; `named`: with the name of the set as heading."""
    from facepriv.report.tables import overview

    if named:
        click.echo(f"\n{done.data['name']}")

    table = overview(done)
    console.table(table.head, [[f"{c.text} ({c.small})" if c.small else c.text for c in row] for row in table.rows])
    for item in done.skipped:
        console.note(f"left out: {item['what']}: {item['why']}")
