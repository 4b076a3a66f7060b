"""Compare two methods on the same faces, with models that neither has seen.

Gender is hidden on the visible LFW, or, for small differences, on all faces of several sets together. Reported are the
EER of gender estimators and the TMR of a matcher for each method, and the second minus the first, paired, with 95 %
intervals over people. Photos of UTKFace have no identities and are impostors only. A method may be compared with itself
under another setting. Use ``--in-place`` for differences below one grey level: otherwise faces are detected again, and
a landmark that moves by one pixel outweighs the difference. Only for such differences, and not for how well a method
hides, photos that models were trained on may be included (``--all-photos``).

    python benchmarks/versus.py --data DIR baseline-gan privacynet
    python benchmarks/versus.py --data DIR baseline-gan privacynet --weights privacynet=FILE
    python benchmarks/versus.py --data DIR privacynet:precision=float32 privacynet --set lfw --set celeba --set utkface
    python benchmarks/versus.py --data DIR privacynet:precision=float32 privacynet --in-place --all-photos
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from all_outputs import SETS, photos_of
from before_after import ORIGINAL, PROTECTED
from examiner import Examiner
from paired import FIGURES, JUDGES, Output, less, seen, weighted
from shared import (
    Benchmark,
    cache_folder,
    data_option,
    json_option,
    of_people,
    percent,
    points,
    refuse_seen,
    replicates_option,
    workers_option,
    write_json,
)

from facepriv._version import __version__
from facepriv.cli.console import note, table
from facepriv.datasets import readers
from facepriv.datasets.record import Record
from facepriv.errors import UsageError
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import Estimate
from facepriv.registry import Registry, registry
from facepriv.schema import GENDER
from facepriv.settings import configured


@click.command(cls=Benchmark, help=__doc__)
@click.argument("first", metavar="METHOD[:NAME=VALUE]")
@click.argument("second", metavar="METHOD[:NAME=VALUE]")
@data_option
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=None,
    help="Where the judges' words are kept: scores "
    "and descriptors of real faces. [default: facepriv/versus in the user's cache]",
)
@click.option("--weights", "files", multiple=True, metavar="METHOD=FILE", help="Weights that are not packaged yet.")
@click.option("--judge", "judges", multiple=True, default=JUDGES, show_default=True, help="Gender estimators.")
@click.option("--matcher", default="dlib", show_default=True)
@click.option(
    "--set",
    "sets",
    multiple=True,
    type=click.Choice(SETS),
    default=SETS[:1],
    show_default=True,
    help="Whose faces; of CelebA and UTKFace the test parts.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Cut faces out of outputs where the photo's own are, not where they are found anew.",
)
@click.option(
    "--all-photos",
    is_flag=True,
    help="All of a set's photos that name a gender, those too that models were trained on.",
)
@click.option("--limit", type=click.IntRange(2), default=None, help="Only this many people, for a quick look.")
@workers_option
@replicates_option
@json_option
def main(
    first: str,
    second: str,
    data: Path | None,
    work: Path | None,
    files: tuple[str, ...],
    judges: tuple[str, ...],
    matcher: str,
    sets: tuple[str, ...],
    in_place: bool,
    all_photos: bool,
    limit: int | None,
    workers: int | None,
    replicates: int,
    json_path: Path | None,
) -> None:
    if data is None:
        raise UsageError("where are the data sets? give --data or FACEPRIV_DATA")
    if first == second:
        raise UsageError(f"{first} is as far from itself as anything: name two methods")
    methods = [name.partition(":")[0] for name in (first, second)]
    for text in files:
        if text.partition("=")[0] not in methods:
            raise UsageError(f"--weights {text}: neither {first} nor {second}")
    known = weighted(registry(), files)
    ways = {name: (method, set_as(known, name)) for name, method in zip((first, second), methods, strict=True)}
    described = [refuse_seen(at, (method,), (*judges, matcher))[0] for method, at in ways.values()]
    photos = [record for name in dict.fromkeys(sets) for record in chosen(name, data, limit, all_photos)]
    truth = Truth.of(photos)
    who = Judges(known, judges, (matcher,))
    predictions = {}
    place, processes = cache_folder(work, "versus"), workers or os.cpu_count() or 1
    for name, (method, at) in ways.items():
        note(f"{name}: {len(photos)} photos")
        predictions[name], original = seen(Output(name, method), at, who, photos, place, processes, in_place=in_place)
    examine = Examiner(truth, original, who, replicates=replicates)()
    result = {
        "facepriv": __version__,
        "methods": described,
        "photos": len(photos),
        "people": len({r.subject or r.name for r in photos}),
        "replicates": replicates,
        "in_place": in_place,
        "all_photos": all_photos,
        "outputs": {name: examine((said, "")) for name, said in predictions.items()},
        "second_less_first": less(predictions[second], predictions[first], original, truth, who, replicates),
    }
    show(result, first, second)
    if json_path is not None:
        write_json(json_path, result)


def chosen(name: str, data: Path, limit: int | None, all_photos: bool) -> list[Record]:
    """Return the photos of a set that are for evaluation, or all with a gender label."""
    if not all_photos:
        return photos_of(name, data, limit)[0]
    return of_people([r for r in readers.read(name, data / name) if GENDER.name in r.labels], limit)


def set_as(known: Registry, text: str) -> Registry:
    """Return the registry with a method configured by ``METHOD`` or ``METHOD:NAME=VALUE``."""
    method, colon, setting = text.partition(":")
    if colon and not setting.partition("=")[0]:
        raise UsageError(f"{text}: expected METHOD or METHOD:NAME=VALUE")
    return configured(known, [f"{method}.{setting}"] if colon else [], (method,))


def show(result: dict[str, Any], first: str, second: str) -> None:
    """Print one row per figure; rates in percent, differences in points, 95 % intervals over people."""
    print(f"\n{result['photos']} photos of {result['people']} people, gender hidden (flip); TMR at FMR 0.1 %")
    outputs = [result["outputs"][name] for name in (first, second)]
    rows = []
    for judge, apart in result["second_less_first"].items():
        for kind, difference in apart.items():
            before, *after = _values(outputs, judge, kind)
            rows.append((f"{FIGURES[kind]}, {judge}", percent(before), *map(percent, after), points(difference)))
    table(("", "originals", first, second, "second less first"), rows)


def _values(outputs: list[dict[str, Any]], judge: str, kind: str) -> list[Estimate]:
    """Return a figure of the originals, and of both outputs."""
    if kind == "eer":
        return [outputs[0]["gender"][judge]["eer_before"], *(out["gender"][judge]["eer_after"] for out in outputs)]
    matched = [out["matching"][judge] for out in outputs]
    return [matched[0][ORIGINAL][kind]["tmr"], *(found[PROTECTED][kind]["tmr"] for found in matched)]


if __name__ == "__main__":
    main()
