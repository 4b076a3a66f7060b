"""The sheet that the demonstration writes: original, protected photo, and difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facepriv.faces import Face

#: How much the sheet amplifies the difference.
AMPLIFIED = 4
# In pixels: side of a picture, gap between pictures, height of a line of text.
_TILE, _GAP, _LINE = 300, 12, 20


@dataclass(frozen=True)
class Picture:
    """A photo before and after, (H, W, 3) uint8, and the face to show."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    face: Face


def draw_sheet(
    method: str, pictures: Sequence[Picture], captions: Sequence[Sequence[str]], footer: Sequence[str]
) -> bytes:
    """Draw a row for each picture: photo, protected, amplified difference, and its caption below.

    Parameters
    ----------
    method : str
        Heading of the middle column.
    pictures : sequence of Picture
    captions : sequence of sequence of str
        The lines below each picture.
    footer : sequence of str
        The last lines.

    Returns
    -------
    bytes
        A PNG file.
    """
    font = ImageFont.load_default(size=14)
    heights = [_TILE + _LINE * len(lines) + 2 * _GAP for lines in captions]
    size = (3 * _TILE + 4 * _GAP, _GAP + _LINE + sum(heights) + _LINE * len(footer) + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("photo", f"protected ({method})", f"difference, x{AMPLIFIED} about grey")):
        draw.text((_GAP + column * (_TILE + _GAP), _GAP), title, "black", font)
    top = _GAP + _LINE
    for picture, lines, height in zip(pictures, captions, heights, strict=True):
        for column, tile in enumerate(_tiles(picture)):
            sheet.paste(tile, (_GAP + column * (_TILE + _GAP), top))
        for line, text in enumerate(lines):
            draw.text((_GAP, top + _TILE + 4 + line * _LINE), text, "black", font)
        top += height
    for line, text in enumerate(footer):
        draw.text((_GAP, top + line * _LINE), text, "black", font)
    file = BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _tiles(picture: Picture) -> list[Image.Image]:
    """Cut the square around the face out of photo, protected photo and their amplified difference."""
    matrix = picture.face.to_photo
    centre = matrix[:, :2] @ (0.5, 0.5) + matrix[:, 2]
    room = np.array(picture.before.shape[1::-1]) - centre
    half = min(0.7 * picture.face.scale, *centre, *room)
    left, top = (float(v) for v in centre - half)
    right, bottom = (float(v) for v in centre + half)
    change = picture.after.astype(np.int16) - picture.before.astype(np.int16)
    difference = np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)
    return [
        Image.fromarray(rgb).resize((_TILE, _TILE), Image.Resampling.LANCZOS, (left, top, right, bottom))
        for rgb in (picture.before, picture.after, difference)
    ]
