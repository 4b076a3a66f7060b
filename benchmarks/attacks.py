"""Validate the attacks on a method that does nothing, on a fixed recolouring, and on a method that flips gender.

The photos are the first files of the visible LFW. On the method that does nothing, every attack must recover gender as
well as the classifiers do on the originals, and the detector must be at chance. A fixed, invertible change of colours
must not stop a retrained classifier. Against a flip it must do at least as well as inverting a classifier.

    python benchmarks/attacks.py --data DIR
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from controls import with_controls
from shared import Benchmark, cache_folder, data_option, json_option, replicates_option, workers_option, write_json

from facepriv.cli.compare import Bars
from facepriv.cli.console import table
from facepriv.errors import UsageError
from facepriv.evaluation.compare import compare
from facepriv.evaluation.photos import VISIBLE_LFW, photos_of
from facepriv.evaluation.results import Comparison, Output
from facepriv.evaluation.rows import ATTACK, DETECTION, PREFIX, TURNED, Row
from facepriv.evaluation.setup import make_setup
from facepriv.registry import registry
from facepriv.report.plots import interval

#: Tolerances in points of EER: method that does nothing; recolouring; flip.
NOTHING, RECOLOURED, FLIPPED = 1.0, 5.0, 2.0


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option("--limit", type=click.IntRange(40), default=1000, show_default=True, help="Photos.")
@click.option("--method", default="privacynet", show_default=True, help="The method that flips gender.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=None,
    help="Where faces, notes and answers are kept: "
    "they show real people. [default: facepriv/compare in the user's cache]",
)
@workers_option
@replicates_option
@json_option
def main(
    data: Path | None,
    limit: int,
    method: str,
    work: Path | None,
    workers: int | None,
    replicates: int,
    json_path: Path | None,
) -> None:
    if data is None:
        raise UsageError("where are the data sets? give --data or FACEPRIV_DATA")
    known = with_controls(registry())
    photos = photos_of(VISIBLE_LFW, data / "lfw", limit=limit)
    setup = make_setup(
        photos,
        cache_folder(work, "compare"),
        name=f"{VISIBLE_LFW}, first {limit} files",
        known=known,
        methods=("nothing", "recolour", method),
        attacks=tuple(known.descriptors("attack")),
        workers=workers or os.cpu_count() or 1,
        replicates=replicates,
    )
    with Bars() as bars:
        done = compare(setup, bars)
    rows = [*_of_nothing(done), *_of_recolouring(done), *_of_flip(done, method)]
    print(f"\ngender EER in percent on {len(photos)} photos, with 95 % intervals over people")
    head = ("method", "adversary", "measured", "compared with", "", "allowed", "")
    table(head, [(*texts, "holds" if holds else "MISSED") for *texts, holds in rows])
    if json_path is not None:
        write_json(json_path, {"bars": rows, **done.plain()})


def _of_nothing(done: Comparison) -> list[tuple[Any, ...]]:
    output = _only(done, "nothing")
    rows = []
    for row in _attacks(output):
        if row.figure == DETECTION:
            rows.append(_bar(output, row, 50.0, "a guess", NOTHING, both=True))
        else:
            rows.append(_bar(output, row, _value(row, before=True), "best classifier, originals", NOTHING, both=True))
    return rows


def _of_recolouring(done: Comparison) -> list[tuple[Any, ...]]:
    output = _only(done, "recolour")
    row = next(row for row in _attacks(output) if row.evaluator == f"{PREFIX}retrained")
    return [_bar(output, row, _value(row, before=True), "best classifier, originals", RECOLOURED)]


def _of_flip(done: Comparison, method: str) -> list[tuple[Any, ...]]:
    output = _only(done, method)
    turned = [r for r in output.adversaries if r.figure == ATTACK and r.evaluator.endswith(TURNED)]
    naive = min(map(_value, turned))
    rows = [row for row in _attacks(output) if row.figure == ATTACK]
    return [_bar(output, row, naive, "best classifier, turned round", FLIPPED) for row in rows]


def _bar(
    output: Output, row: Row, against: float, words: str, allowed: float, *, both: bool = False
) -> tuple[Any, ...]:
    off = _value(row) - against
    holds = (abs(off) if both else off) <= allowed
    who = row.evaluator.removeprefix(PREFIX)
    text = f"{'+-' if both else '+'}{allowed:g}"
    return output.method, who, interval(row.after), f"{against:.1f}", words, text, holds


def _attacks(output: Output) -> list[Row]:
    return [row for row in output.adversaries if row.evaluator.startswith(PREFIX)]


def _value(row: Row, *, before: bool = False) -> float:
    said = row.before if before else row.after
    if said is None:
        raise UsageError(f"{row.evaluator}: {row.note or 'no figure'}; give more photos with --limit")
    return said.value


def _only(done: Comparison, method: str) -> Output:
    (output,) = done.of(method)
    return output


if __name__ == "__main__":
    main()
