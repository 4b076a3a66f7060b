"""Photos for bench.py: generated from two public-domain portraits, the same in every run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from facepriv.faces import detect_boxes
from facepriv.faces.detect import Box
from facepriv.image.decode import read_image
from facepriv.samples import portraits

#: Size of the photos of the end-to-end part, and rows and columns of faces of the first, second, ... photo.
WIDE, HIGH = 1350, 1013
GRIDS = ((1, 1), (1, 1), (1, 2), (1, 1), (1, 1), (2, 3), (1, 1), (1, 1))


def make_photos(folder: Path, count: int, seed: int = 0) -> dict[Path, list[Box]]:
    """Write photos of 1350 x 1013 pixels with one, two or six faces of at least 100 pixels; returns their boxes."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    faces: dict[Path, list[Box]] = {folder / f"{n:05d}.jpg": [] for n in range(count)}
    for n, path in enumerate(faces):
        rows, columns = GRIDS[n % len(GRIDS)]
        size = (WIDE // columns, HIGH // rows)
        photo = Image.new("RGB", (WIDE, HIGH))
        for cell in range(rows * columns):
            at = (cell % columns * size[0], cell // columns * size[1])
            view, (left, top, right, bottom) = _view(size, rng.uniform(2.5, 4.5), rng)
            photo.paste(view, at)
            faces[path].append((at[0] + left, at[1] + top, at[0] + right, at[1] + bottom))
        photo.save(path, quality=90)
    return faces


def make_small(folder: Path, count: int, side: int = 168, seed: int = 0) -> None:
    """Write small photos of one face each, all different."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        view, _ = _view((side, side), rng.uniform(1.6, 2.2), rng)
        view.save(folder / f"{n:06d}.jpg", quality=90)


def _view(size: tuple[int, int], widths: float, rng: np.random.Generator) -> tuple[Image.Image, Box]:
    """Return a portrait cropped to `widths` face widths, randomly mirrored and lit, and the face's box."""
    portrait, (left, top, right, bottom) = _portraits()[int(rng.integers(2))]
    face = right - left
    # The requested width, limited by the portrait, and high enough for the face.
    wide = min(max(widths, 1.6 * size[0] / size[1]) * face, portrait.width, portrait.height * size[0] / size[1])
    high = wide * size[1] / size[0]
    x = (left + right) / 2 - wide / 2 + rng.uniform(-0.2, 0.2) * face
    y = (top + bottom) / 2 - high / 2 + rng.uniform(-0.1, 0.2) * face
    x, y = np.clip((x, y), 0, (portrait.width - wide, portrait.height - high))
    view = portrait.resize(size, Image.Resampling.BICUBIC, (x, y, x + wide, y + high))
    left, top, right, bottom = ((v - at) * size[0] / wide for v, at in ((left, x), (top, y), (right, x), (bottom, y)))
    if rng.random() < 0.5:
        view, left, right = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT), size[0] - right, size[0] - left
    return ImageEnhance.Brightness(view).enhance(rng.uniform(0.8, 1.2)), (left, top, right, bottom)


@cache
def _portraits() -> list[tuple[Image.Image, Box]]:
    """Return the portraits, each with its face's box."""
    pixels = [read_image(portrait.path).rgb8() for portrait in portraits()]
    return [(Image.fromarray(rgb), detect_boxes(rgb)[0]) for rgb in pixels]
