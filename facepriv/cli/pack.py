"""``facepriv pack``: convert face data sets to one cached pack of aligned crops with labels."""

from __future__ import annotations

import os
from pathlib import Path

import click

from facepriv.contracts import STANDARD, Frame
from facepriv.errors import UsageError

#: Sets searched for below the data folder. LFW is not included because it is for evaluation only.
_FOUND_BELOW = ("celeba", "utkface", "utkface_more")


@click.command("pack")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The pack, a folder that is made.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="FACEPRIV_DATA",
    help=f"Folder with any of {', '.join(_FOUND_BELOW)} below it. [env: FACEPRIV_DATA]",
)
@click.option(
    "--set",
    "chosen",
    multiple=True,
    metavar="KIND=DIR",
    help="One data set and its place, instead of --data; repeatable. Kinds: celeba, utkface, utkface_more, morph, csv.",
)
@click.option(
    "--light",
    type=click.Path(path_type=Path),
    metavar="PACK",
    help="Instead: a small copy of PACK to carry to another machine, JPEG crops without test faces and children.",
)
@click.option(
    "--most",
    type=click.FloatRange(0, min_open=True),
    metavar="MIB",
    help="With --light: as many faces, drawn by chance, as fit into so many MiB.",
)
@click.option("--size", default=112, show_default=True, type=click.IntRange(16, 1024), help="Side of a crop in pixels.")
@click.option(
    "--frame",
    type=(click.FloatRange(1, 4), click.FloatRange(0, 1)),
    metavar="SIDE CENTRE",
    default=None,
    help="Another square of the face than most methods see: its side in sides of dlib's mean face, and the height of "
    "its centre there, from 0 (top) to 1.",
)
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes. [default: one per core]")
@click.option("--overwrite", is_flag=True, help="Replace a pack that is there already.")
def command(
    out: Path,
    data: Path | None,
    chosen: tuple[str, ...],
    light: Path | None,
    most: float | None,
    size: int,
    frame: tuple[float, float] | None,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Align the faces of CelebA, UTKFace or labelled photos into a training pack.

    Each set is split into train, validation and test; photos without a face are skipped and counted.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from facepriv.datasets import readers
    from facepriv.datasets.pack import build_pack

    if light:
        from facepriv.datasets.lighten import lighten

        if chosen or frame:
            raise UsageError("--light copies a pack that is there: leave out --set and --frame")
        click.echo(f"{out}: {lighten(light, out, most=most, overwrite=overwrite)} crops")
        return
    if most:
        raise UsageError("--most goes with --light: a pack of photos holds them all")
    places = _named(chosen) if chosen else _below(data)
    _check_test_photos(places)
    sets = {kind: readers.read(kind, place) for kind, place in places.items()}
    total = sum(map(len, sets.values()))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("Aligning", total=total)
        counts = build_pack(
            sets,
            out,
            size=size,
            frame=Frame(*frame) if frame else STANDARD,
            workers=workers or os.cpu_count() or 1,
            overwrite=overwrite,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    listed = ", ".join(f"{kind} {len(found)}" for kind, found in sets.items())
    left = (
        ("no_face", "without a face"),
        ("duplicates", "copies"),
        ("near_copies", "near copies"),
        ("unreadable", "unreadable"),
    )
    left_out = ", ".join(f"{counts[key]} {words}" for key, words in left)
    click.echo(f"{out}: {counts['crops']} crops of {counts['photos']} photos ({listed}); left out: {left_out}")


def _named(chosen: tuple[str, ...]) -> dict[str, Path]:
    """Read KIND=DIR options; each kind at most once, and no sets that are for evaluation only."""
    from facepriv.datasets.record import EVALUATION_ONLY

    places: dict[str, Path] = {}
    for text in chosen:
        kind, equals, place = text.partition("=")
        if not equals or not place:
            raise UsageError(f"--set {text}: expected KIND=DIR, such as celeba=/data/celeba")
        if kind in EVALUATION_ONLY:
            raise UsageError(f"--set {text}: '{kind}' is for evaluation only, nothing is trained on it")
        if kind in places:
            raise UsageError(f"--set {text}: '{kind}' was given already")
        places[kind] = Path(place)
    return places


def _check_test_photos(places: dict[str, Path]) -> None:
    """Check that parts 2 and 3 of UTKFace are packed with part 1: they repeat its test photos, to be left out."""
    if "utkface_more" in places and "utkface" not in places:
        raise UsageError("utkface_more needs utkface beside it, to leave out near copies of its test photos")


def _below(data: Path | None) -> dict[str, Path]:
    """Return the known sets below the data folder."""
    if data is None:
        raise UsageError("where are the data sets? give --data, FACEPRIV_DATA, or --set KIND=DIR")
    places = {kind: data / kind for kind in _FOUND_BELOW if (data / kind).is_dir()}
    if not places:
        raise UsageError(
            f"{data}: has none of the folders {', '.join(_FOUND_BELOW)}; name the sets with --set KIND=DIR"
        )
    return places
