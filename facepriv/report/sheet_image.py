"""Draws a sheet of photos as one image: a row of pictures for each photo, and its caption below."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facepriv.evaluation.inspection import Box
from facepriv.evaluation.pairing import Pixels

#: How much the change is amplified.
AMPLIFIED = 4
#: Heading of its column.
CHANGE_HEAD = f"change, x{AMPLIFIED} about grey"
# In pixels: gap between pictures, height of a line of text.
_GAP, _LINE = 12, 20

#: Pictures of one photo, or words in place of one; and the lines below.
Row = tuple[Sequence[Image.Image | str], Sequence[str]]


def cut(rgb: Pixels, window: Box, side: int) -> Image.Image:
    """Return a part of a photo (H, W, 3), its long side scaled to `side` pixels."""
    left, top, right, bottom = window
    scale = side / max(right - left, bottom - top)
    size = max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top)))
    return Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS, window)


def amplified_change(before: Image.Image, after: Image.Image) -> Image.Image:
    """Return the change between two pictures of one size, amplified about a middle grey."""
    change = np.asarray(after).astype(np.int16) - np.asarray(before)
    return Image.fromarray(np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8))


def draw_sheet(
    head: Sequence[str], columns: Sequence[str], rows: Sequence[Row], footer: Sequence[str], *, side: int
) -> bytes:
    """Draw a row for each photo.

    Parameters
    ----------
    head, footer : sequence of str
        The first and the last lines. Lines that are too long are wrapped.
    columns : sequence of str
        Headings of the pictures.
    rows : sequence of (sequence of (Image or str), sequence of str)
        For each photo its pictures, none larger than `side`, or words where there is no picture, and the lines below.
    side : int
        Side of the square for a picture, in pixels.

    Returns
    -------
    bytes
        A PNG file.
    """
    font = ImageFont.load_default(size=14)
    width = len(columns) * (side + _GAP) + _GAP
    head, footer = _wrapped(head, font, width - 2 * _GAP), _wrapped(footer, font, width - 2 * _GAP)
    rows = [(pictures, _wrapped(lines, font, width - 2 * _GAP)) for pictures, lines in rows]
    heights = [side + _LINE * len(lines) + 2 * _GAP for _, lines in rows]
    height = _GAP + _LINE * (len(head) + 1) + sum(heights) + _LINE * len(footer) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)

    def write(lines: Sequence[str], left: int, top: int) -> int:
        for line, text in enumerate(lines):
            draw.text((left, top + line * _LINE), text, "black", font)
        return top + _LINE * len(lines)

    lefts = [_GAP + column * (side + _GAP) for column in range(len(columns))]
    top = write(head, _GAP, _GAP)
    for left, title in zip(lefts, columns, strict=True):
        write([title], left, top)
    top += _LINE
    for (pictures, lines), height in zip(rows, heights, strict=True):
        for left, picture in zip(lefts, pictures, strict=True):
            if isinstance(picture, str):
                write(_wrapped([picture], font, side), left, top)
            else:
                sheet.paste(picture, (left + (side - picture.width) // 2, top + (side - picture.height) // 2))
        write(lines, _GAP, top + side + 4)
        top += height
    write(footer, _GAP, top)
    file = BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _wrapped(texts: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Break lines that are wider than `width` pixels, at spaces where there are any."""
    lines = []
    for text in texts:
        while font.getlength(text) > width:
            fits = bisect_right(range(1, len(text) + 1), width, key=lambda n, text=text: font.getlength(text[:n]))
            end = max(1, fits)
            space = text.rfind(" ", 1, end)
            lines.append(text[: space if space > 0 else end])
            text = text[space + 1 if space > 0 else end :]
        lines.append(text)
    return lines
