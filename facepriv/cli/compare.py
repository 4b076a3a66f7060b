"""``facepriv compare``: any set of methods side by side, as one report."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facepriv.cli import console
from facepriv.cli.values import Names
from facepriv.errors import UsageError

if TYPE_CHECKING:
    from facepriv.compare_setup import Setup
    from facepriv.report.comparison import Comparison


def comparing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options that ``compare`` and ``attack`` share."""
    options = [
        click.argument("data", type=click.Path(path_type=Path)),
        click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="REPORT",
                     help="Folder for report.html, rows.csv, result.json and tables.tex."),
        click.option("--layout", default="", metavar="NAME",
                     help="How DATA is laid out: celeba, csv, lfw, utkface, visible-lfw, ... [default: found out]"),
        click.option("--part", default="", metavar="NAME", help="Only this part: train, validation, test."),
        click.option("--limit", type=click.IntRange(2), metavar="N", help="Only the first N photos."),
        click.option("--methods", type=Names(), multiple=True, help="[default: all that are installed]"),
        click.option("--obfuscate", type=Names(), multiple=True,
                     help="Attributes to hide, together: gender, race, age. [default: gender]"),
        click.option("--outputs", type=Names(), multiple=True,
                     help="Several outputs instead, such as gender,race,gender+age=old; 'all': the paper's 15."),
        click.option("--policy", type=click.Choice(["flip", "random"]), default="flip", show_default=True),
        click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--set", "settings", multiple=True, metavar="NAME.FIELD=VALUE",
                     help="A setting of a method, evaluator or attack; a wrong name is answered with those there are."),
        click.option("--estimator", "estimators", type=Names(), multiple=True,
                     help="Who judges attributes: NAME, or OWN=NAME. [default: those no method here was made with]"),
        click.option("--matcher", "matchers", type=Names(), multiple=True,
                     help="Who judges identity: NAME, or OWN=NAME. [default: dlib]"),
        click.option("--fmr", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.001,
                     show_default=True, help="The false match rate at which matchers are measured."),
        click.option("--replicates", type=click.IntRange(10), default=1000, show_default=True,
                     help="Resamples of people, for the intervals."),
        click.option("--examples", type=click.Path(path_type=Path), metavar="DIR",
                     help="Photos of your own that the report may show. [default: two public-domain portraits]"),
        click.option("--work", type=click.Path(path_type=Path), metavar="DIR",
                     help="Where scores, descriptors and (for attacks) faces of real people are kept between runs. "
                     "[default: facepriv/compare in the user's cache]"),
        click.option("--workers", type=click.IntRange(1),
                     help="Processes; they change no result. [default: one a core]"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command("compare", short_help="Compare methods over a data set, as one report.")
@comparing
@click.option("--attack", "attacks", type=Names(), multiple=True,
              help="Also let these adversaries try; 'facepriv attack' lets all of them.")  # fmt: skip
def command(**given: Any) -> None:
    """Protect the photos of DATA with every method, let independent models judge, and report.

    DATA is a data set in its own layout, or a folder of photos with labels.csv. Every output is made once: what judges
    saw of it is kept, an interrupted run goes on where it was, and a repeated one takes seconds. A method that cannot
    hide what is asked is listed as left out. No photo of DATA enters the report.
    """
    run(given, Names.joined(given["attacks"]))


def run(given: Mapping[str, Any], attacks: tuple[str, ...]) -> None:
    """Run a comparison from the command line's values, write the report and print its first table."""
    from facepriv.report.page import check_installed, check_place

    check_installed()
    check_place(given["out"])
    setup = _setup(given, attacks)
    from facepriv.caches import prepare_work_folder
    from facepriv.compare import compare
    from facepriv.report.page import write_report

    console.note(prepare_work_folder(setup.place))

    with Bars() as bars:
        try:
            done = compare(setup, bars)
        except KeyboardInterrupt:
            text = "interrupted; what is done is kept: run the same command again to go on"
            raise console.Failure(text, 130) from None
    page = write_report(done, given["out"])
    _show(done)
    console.note(f"the report: {page}")


def _setup(given: Mapping[str, Any], attacks: tuple[str, ...]) -> Setup:
    """Turn the command line into a setup; raises `UsageError` where parts of it contradict one another."""
    from facepriv.caches import cache_folder
    from facepriv.compare_setup import make_setup
    from facepriv.evaluation.photos import photos_of
    from facepriv.report.examples import bundled, of_folder

    hidden, outputs = Names.joined(given["obfuscate"]), Names.joined(given["outputs"])
    if hidden and outputs:
        raise UsageError("--obfuscate and --outputs exclude each other: one names attributes, the other whole outputs")
    shown = of_folder(given["examples"]) if given["examples"] else bundled()
    layout = given["layout"] or layout_of(given["data"])
    photos = photos_of(layout, given["data"], part=given["part"], limit=given["limit"])
    part = f", part {given['part']}" if given["part"] else ""
    first = f", first {given['limit']} files" if given["limit"] else ""
    return make_setup(
        photos, given["work"] or cache_folder("compare"), name=f"{layout}{part}{first}",
        methods=Names.joined(given["methods"]), outputs=outputs or ("+".join(hidden or ("gender",)),),
        estimators=Names.joined(given["estimators"]), matchers=Names.joined(given["matchers"]),
        settings=given["settings"], attacks=attacks, examples=shown, workers=given["workers"] or os.cpu_count() or 1,
        replicates=given["replicates"], fmr=given["fmr"],
        request={key: given[key] for key in ("policy", "strength", "seed")},
    )  # fmt: skip


def layout_of(root: Path) -> str:
    """Find out how a folder is laid out; raises `UsageError` where it cannot be told."""
    from facepriv.datasets.csvfolder import LABELS
    from facepriv.evaluation.photos import VISIBLE_LFW, layouts

    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; DATA is a data set, or a folder of photos with {LABELS}")
    signs = {
        "csv": (root / LABELS).is_file(),
        "celeba": (root / "list_attr_celeba.txt").is_file(),
        VISIBLE_LFW: any((place / "lfw_gender.csv").is_file() for place in (root, root.parent)) and "lfw" in root.name,
        "utkface": next(root.glob("[0-9]*_[01]_[0-4]_*.jpg"), None) is not None,
    }
    found = [name for name, there in signs.items() if there]
    if len(found) != 1:
        raise UsageError(f"{root}: name its layout with --layout, one of {', '.join(layouts())}")
    return found[0]


def _show(done: Comparison) -> None:
    """Print the report's first table, and what is left out."""
    from facepriv.report.tables import glance

    table = glance(done)
    console.table(table.head, [[f"{c.text} ({c.small})" if c.small else c.text for c in row] for row in table.rows])
    for item in done.skipped:
        console.note(f"left out: {item['what']}: {item['why']}")


class Bars:
    """Shows each stage by a bar, or lines, of its own."""

    def __init__(self) -> None:
        self.open = ExitStack()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *error: Any) -> None:
        self.open.close()

    def stage(self, what: str, total: int) -> Callable[[int], None]:
        """Begin the next stage; one without steps is not shown."""
        self.open.close()
        if not total:
            return lambda count: None
        console.note(f"{what}: {total}")
        return self.open.enter_context(console.progress(total, what)).advance
