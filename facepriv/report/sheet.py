"""The sheet to look at before publishing: every photo before and after, and the change, as a page or as one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from facepriv.errors import cleaned
from facepriv.evaluation.inspection import RANKS, Box, InspectedFace, InspectedPhoto, Inspection
from facepriv.evaluation.pairing import Pixels, read_both
from facepriv.evaluation.setup import NoProgress, Progress
from facepriv.pool import spread
from facepriv.report.page import data_uri, render
from facepriv.report.sheet_image import AMPLIFIED, CHANGE_HEAD, amplified_change, cut, draw_sheet

#: Suffix of the file -> how many photos it shows by default. A page takes about 20 kB for each.
LIMITS = {".html": 200, ".png": 20}
#: The most that one image shows: it is then at most 16,384 pixels high, which every viewer opens.
MOST_ON_IMAGE = 60
TITLE = "Before publishing: the photos and what was changed"
COLUMNS = ("whole photo, its faces framed", "before", "after", CHANGE_HEAD)
# Side of a picture in pixels.
_PAGE_SIDE, _IMAGE_SIDE = 240, 200
# Several faces are shown together if the square around them is at most so many times as large as that of one.
_TOGETHER = 3.0
# Frames of changed faces, and of faces that are unchanged, lost or not comparable.
_GOOD, _BAD = "#00c890", "#ff3b20"

T = TypeVar("T")
#: The pictures of a photo in the order of `COLUMNS`, or words where there is none.
Pictures = list[Image.Image | str]


def sheet_page(found: Inspection, limit: int, *, workers: int = 1, progress: Progress | None = None) -> str:
    """Return the worst photos as one self-contained page, without scripts.

    Parameters
    ----------
    found : Inspection
    limit : int
        Maximum number of photos.
    workers : int
        Number of processes; 0 uses this process.
    progress : Progress, optional
    """
    shown = found.photos[:limit]
    items = []
    for photo, pictures in zip(shown, _each(_encoder, shown, workers, progress), strict=True):
        name = printable(photo.name)
        bad = RANKS[photo.kind] < RANKS["changed"]
        items.append({"name": name, "kind": photo.kind, "bad": bad, "words": printable(photo.words), "pics": pictures})
    return render(
        "sheet.html.j2",
        title=TITLE,
        intro=[*_head(found, len(shown)), *_LEGEND],
        photos=items,
        columns=COLUMNS,
        problems=[printable(text) for text in found.problems],
    )


def sheet_image(found: Inspection, limit: int, *, workers: int = 1, progress: Progress | None = None) -> bytes:
    """Return the worst photos as one PNG file; see `sheet_page`."""
    shown = found.photos[:limit]
    rows = [
        (pictures, [printable(f"{photo.name}: {photo.words}")])
        for photo, pictures in zip(shown, _each(_cutter, shown, workers, progress), strict=True)
    ]
    head = [TITLE, *_head(found, len(shown)), *_LEGEND, ""]
    return draw_sheet(head, COLUMNS, rows, (), side=_IMAGE_SIDE)


def _head(found: Inspection, shown: int) -> list[str]:
    return [f"{found.summary}. {found.shown(shown)}."]


_LEGEND = (
    f"The change is amplified {AMPLIFIED} times: grey is no change. The numbers are means over a face, in grey levels "
    "of 255, not amplified.",
    "A thin green frame marks a face that was found and changed; a thick red frame one that is unchanged, no longer "
    "found or not comparable. A face without a frame was not found: it is not protected.",
    "This file shows the originals. Do not publish it.",
)


def printable(text: str) -> str:
    """Return a text without control characters and undecodable bytes, which file names may hold."""
    return cleaned(text).encode("utf-8", "replace").decode()


def _each(
    build: Callable[[], Callable[[InspectedPhoto], T]],
    shown: Sequence[InspectedPhoto],
    workers: int,
    progress: Progress | None,
) -> Iterator[T]:
    """Yield what a worker makes of each photo, in order."""
    advance = (progress or NoProgress()).stage("photos drawn", len(shown))
    for made in spread(build, shown, workers):
        yield made
        advance(1)


def _cutter() -> Callable[[InspectedPhoto], Pictures]:
    return partial(pictures_of, side=_IMAGE_SIDE)


def _encoder() -> Callable[[InspectedPhoto], list[dict[str, object]]]:
    return _encoded


def _encoded(photo: InspectedPhoto) -> list[dict[str, object]]:
    """Return the pictures as a page embeds them: ``source``, ``width`` and ``height``, or ``words``."""
    return [
        {"words": picture, "source": ""}
        if isinstance(picture, str)
        else {"source": data_uri(np.asarray(picture), "WEBP"), "width": picture.width, "height": picture.height}
        for picture in pictures_of(photo, side=_PAGE_SIDE)
    ]


def pictures_of(photo: InspectedPhoto, *, side: int) -> Pictures:
    """Read the two files of a photo, and return its pictures, no larger than `side`."""
    _, before, after = read_both(photo.original, photo.protected)
    published = before if after is None else after
    if published is None:
        return ["no whole image", "no whole image", "no protected file" if photo.protected is None else "", ""]
    whole = _framed(published, photo.faces, before, side)
    if before is None:
        return [whole, "no whole image", cut(published, _all_of(published), side), "no change to show"]
    window = _window(photo.faces, before)
    first = cut(before, window, side)
    if after is None:
        return [whole, first, "no protected file" if photo.protected is None else "no whole image", "no change to show"]
    across, down = np.divide(after.shape[1::-1], before.shape[1::-1])
    second = cut(after, tuple(window * np.array((across, down, across, down))), side)
    same = before.shape == after.shape
    return [whole, first, second, amplified_change(first, second) if same else "another size: no change to show"]


def _all_of(rgb: Pixels) -> Box:
    return 0.0, 0.0, float(rgb.shape[1]), float(rgb.shape[0])


def _window(faces: Sequence[InspectedFace], photo: Pixels) -> Box:
    """Return the square around all faces, or around the worst if they lie far apart; the whole photo without a face."""
    if not faces:
        return _all_of(photo)
    windows = np.array([face.window for face in faces])
    together = np.concatenate([windows[:, :2].min(0), windows[:, 2:].max(0)])
    largest = (windows[:, 2:] - windows[:, :2]).max()
    chosen = together if (together[2:] - together[:2]).max() <= _TOGETHER * largest else windows[0]
    left, top, right, bottom = chosen.tolist()
    return left, top, right, bottom


def _framed(rgb: Pixels, faces: Sequence[InspectedFace], original: Pixels | None, side: int) -> Image.Image:
    """Return the whole photo with a frame around each face; their boxes are in pixels of the original."""
    picture = cut(rgb, _all_of(rgb), side)
    if original is None:
        return picture
    draw = ImageDraw.Draw(picture)
    scale = np.tile(np.divide(picture.size, original.shape[1::-1]), 2)
    for face in reversed(faces):
        good = not face.lost and not np.isnan(face.change) and not face.unchanged
        box = tuple((np.array(face.box) * scale).tolist())
        draw.rectangle(box, outline=_GOOD if good else _BAD, width=1 if good else 3)
    return picture
