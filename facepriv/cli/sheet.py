"""``facepriv sheet``: look at protected photos beside their originals before publishing them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from facepriv.cli import console
from facepriv.cli.options import PATH, workers
from facepriv.errors import UsageError
from facepriv.files import real_path

_SUFFIXES = ".html", ".png"


@click.command("sheet", short_help="Show protected photos beside their originals, the worst first.")
@click.argument("originals", type=PATH)
@click.argument("protected", type=PATH)
@click.option(
    "-o", "--out", required=True, type=PATH, metavar="FILE", help="The sheet: a page (.html) or one image (.png)."
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Show only the N worst photos, at most 60 on an image. [default: 200 on a page, 20 on an image]",
)
@click.option(
    "--detector",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Face detector, as for 'facepriv apply': auto, dlib, mtcnn, centerface.",
)
@workers
@click.option("--overwrite", is_flag=True, help="Replace a sheet that is there already.")
def command(
    originals: Path,
    protected: Path,
    out: Path,
    limit: int | None,
    detector: str,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Show the photos of PROTECTED beside their ORIGINALS, with the change, to look at before publishing.

    ORIGINALS and PROTECTED are folders; files are paired by their path below them, whatever their suffix. The worst
    come first: photos without a face found, or with a face that is no longer found; then unchanged faces, and missing
    or unreadable files; then the others by the size of the change. Whatever is wrong with a photo is named, and the
    others are still shown. The sheet shows the originals: it is readable by you alone, and is not written into
    PROTECTED.

    Exit code: 0 done, 1 a folder is missing or holds no photos, 2 wrong call.
    """
    from facepriv.evaluation.inspection import inspect_folders
    from facepriv.files import atomic_write
    from facepriv.report.page import check_installed
    from facepriv.report.sheet import LIMITS, MOST_ON_IMAGE, sheet_image, sheet_page

    _check_out(out, originals, protected, overwrite)
    suffix = out.suffix.lower()
    count = limit or LIMITS[suffix]
    if suffix == ".html":
        check_installed("jinja2")
    elif count > MOST_ON_IMAGE:
        raise UsageError(f"--limit {count}: an image shows at most {MOST_ON_IMAGE} photos; name a page, .html, with -o")
    processes = workers or os.cpu_count() or 1
    with console.Stages() as stages:
        found = inspect_folders(originals, protected, detector=detector, workers=processes, progress=stages)
        make = sheet_page if suffix == ".html" else sheet_image
        made = make(found, count, workers=processes, progress=stages)
    atomic_write(out, made.encode() if isinstance(made, str) else made, private=True)
    for text in found.problems:
        console.warning(text)
    console.note(f"{found.summary}. {found.shown(min(count, len(found.photos)))} -> {out}")


def _check_out(out: Path, originals: Path, protected: Path, overwrite: bool) -> None:
    """Raise `UsageError` unless the sheet can be written there without harm."""
    if out.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{out}: a sheet is a page or an image; name a file that ends in {' or '.join(_SUFFIXES)}")
    if out.is_dir():
        raise UsageError(f"{out}: is a folder; name a file with -o")
    place = real_path(out)
    if place.is_relative_to(real_path(protected)):
        raise UsageError(f"{out}: lies among the protected photos, and would show the originals; name another place")
    if out.suffix.lower() == ".png" and place.is_relative_to(real_path(originals)):
        raise UsageError(f"{out}: lies among the originals, and would count as one of them; name another place")
    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists already; name another file with -o, or give --overwrite")
