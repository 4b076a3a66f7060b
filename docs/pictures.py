"""Draw the pictures of the documentation: the demo's portraits, protected by the installed methods with gender hidden.

python docs/pictures.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import facepriv
from facepriv.faces import find_faces
from facepriv.image import read_image
from facepriv.registry import registry
from facepriv.samples import portraits

IMAGES = Path(__file__).parent / "images"
#: Methods of the picture with all methods, in its order.
METHODS = ("privacynet", "baseline-gan", "sim-zhang", "face-mixing", "san", "flow-san")
#: Amplification of the difference.
AMPLIFIED = 4
# In pixels: side of a tile, gap, height of a line of text. Width of the shown part, as a multiple of the face box.
_TILE, _GAP, _LINE, _PART = 180, 4, 18, 2.0
_KEY = b"the documentation's pictures"

Picture = NDArray[np.uint8]


def protected(photo: Picture, method: str) -> Picture:
    """Return the photo with gender hidden; the same bytes every time."""
    result = facepriv.protect(photo, method=method, hide=("gender",), key=_KEY)
    assert isinstance(result, np.ndarray)
    return result


def head(photo: Picture, like: Picture) -> Image.Image:
    """Return the part around the largest face of `like` as a tile."""
    left, top, right, bottom = find_faces(like)[0].box
    middle, half = ((left + right) / 2, (top + bottom) / 2), _PART * (right - left) / 2
    box = (middle[0] - half, middle[1] - 1.15 * half, middle[0] + half, middle[1] + 0.85 * half)
    return Image.fromarray(photo).crop(tuple(round(v) for v in box)).resize((_TILE, _TILE), Image.Resampling.LANCZOS)


def table(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> Image.Image:
    """Return tiles in rows below their titles."""
    wide, high = (_TILE + _GAP) * len(titles) - _GAP, _LINE + (_TILE + _GAP) * len(rows) - _GAP
    sheet = Image.new("RGB", (wide, high), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for column, title in enumerate(titles):
        draw.text((column * (_TILE + _GAP) + _TILE / 2, _LINE - 5), title, "black", font, anchor="ms")
        for number, row in enumerate(rows):
            sheet.paste(row[column], (column * (_TILE + _GAP), _LINE + number * (_TILE + _GAP)))
    return sheet


def difference(before: Picture, after: Picture) -> Picture:
    """Return the amplified change about grey."""
    change = AMPLIFIED * (after.astype(np.int16) - before)
    return np.clip(128 + change, 0, 255).astype(np.uint8)


def main() -> None:
    """Write one picture of all methods, and one for each method that hides gender."""
    photos = [read_image(portrait.path).rgb8() for portrait in portraits()]
    names = list(registry().descriptors("method"))
    done = {name: [protected(photo, name) for photo in photos] for name in names}
    IMAGES.mkdir(exist_ok=True)
    rows = [[head(photo, photo), *(head(done[name][n], photo) for name in METHODS)] for n, photo in enumerate(photos)]
    table(rows, ("original", *METHODS)).save(IMAGES / "methods.jpg", quality=88)
    for name, after in done.items():
        rows = [
            [head(picture, before) for picture in (before, changed, difference(before, changed))]
            for before, changed in zip(photos, after, strict=True)
        ]
        table(rows, ("original", name, f"difference x {AMPLIFIED}")).save(IMAGES / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main()
