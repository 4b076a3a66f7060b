"""The picture that the demonstration leaves behind: before, after, and what changed."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facepriv.demo import Report, Verdict, View, shown

#: How much the sheet amplifies the difference.
AMPLIFIED = 4
# In pixels: side of a picture, space between, height of a line of text.
_TILE, _GAP, _LINE = 300, 12, 20


def draw_sheet(report: Report, captions: list[str], views: list[tuple[View, View]]) -> bytes:
    """Draw a row a portrait: photo, protected, difference, and below them the judges' figures.

    Parameters
    ----------
    report : Report
    captions : list of str
        Whose portrait each is.
    views : list of (View, View)
        Original and protected photo, in the report's order.

    Returns
    -------
    bytes
        A PNG file.
    """
    font = ImageFont.load_default(size=14)
    below = _LINE * (3 + len(report.photos[0].p_female))
    width, row = 3 * _TILE + 4 * _GAP, _TILE + below + _GAP
    sheet = Image.new("RGB", (width, _GAP + _LINE + len(views) * row + _LINE), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("photo", f"protected ({report.method})", f"difference, x{AMPLIFIED} about grey")):
        draw.text((_GAP + column * (_TILE + _GAP), _GAP), title, "black", font)
    top = _GAP + _LINE
    for verdict, caption, (before, after) in zip(report.photos, captions, views, strict=True):
        for column, tile in enumerate(_tiles(before, after)):
            sheet.paste(tile, (_GAP + column * (_TILE + _GAP), top))
        for line, text in enumerate((caption, *_lines(report, verdict))):
            draw.text((_GAP, top + _TILE + 4 + line * _LINE), text, "black", font)
        top += row
    strangers = f"{shown(report.impostor.before)} before, {shown(report.impostor.after)} after"
    draw.text((_GAP, top), f"the two people with each other: match score {strangers}", "black", font)
    file = BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _lines(report: Report, verdict: Verdict) -> list[str]:
    lines = [
        f"P(female) by {name}: {shown(change.before)} before, {shown(change.after)} after"
        for name, change in verdict.p_female.items()
    ]
    mirrored = f"{shown(verdict.mirrored.before)} before, {shown(verdict.mirrored.after)} after"
    return [*lines, f"{report.matcher} match score with the mirrored original (higher = same person): {mirrored}"]


def _tiles(before: View, after: View) -> list[Image.Image]:
    """Cut the square around the face out of photo, protected photo and their amplified difference."""
    assert before.face is not None
    matrix = before.face.to_photo
    centre = matrix[:, :2] @ (0.5, 0.5) + matrix[:, 2]
    half = min(0.7 * before.face.scale, *centre, before.rgb.shape[1] - centre[0], before.rgb.shape[0] - centre[1])
    box = tuple(float(v) for v in (*(centre - half), *(centre + half)))
    change = after.rgb.astype(np.int16) - before.rgb.astype(np.int16)
    difference = np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)
    return [
        Image.fromarray(rgb).resize((_TILE, _TILE), Image.Resampling.LANCZOS, box)
        for rgb in (before.rgb, after.rgb, difference)
    ]
