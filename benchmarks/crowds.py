"""Composed crowds: photos with faces of a data set at known places, 12 to 60 pixels wide; the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from detection import SPOILT, background, paste, room
from PIL import Image

from facepriv.faces.detect import Box

SIZE = (1024, 768)
#: Limits of the size classes: widths of faces from ear to ear, in pixels.
CLASSES = (12, 16, 24, 40, 60)
#: Tries to place a face in each photo.
FACES = 40


@dataclass(frozen=True)
class Source:
    """Photos with one centred face each.

    Parameters
    ----------
    paths : sequence of Path
    face : tuple of float
        Centre (x, y), width and height of the face, as shares of the photo's width and height: medians over 60 photos.
    """

    paths: Sequence[Path]
    face: tuple[float, float, float, float]


#: Position of the face in photos of a data set.
FACE_IN = {"celeba": (0.494, 0.568, 0.483, 0.533), "lfw": (0.492, 0.505, 0.365, 0.487)}


def _plain(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return a picture of one colour that gets darker to one side."""
    colour, fall = rng.uniform(40, 230, 3), np.linspace(1, rng.uniform(0.5, 1), size[0])
    rows = np.broadcast_to((colour * fall[:, None]).astype(np.uint8), (size[1], size[0], 3))
    return Image.fromarray(np.ascontiguousarray(rows))


def _as_is(rgb: Image.Image) -> Image.Image:
    return rgb


#: Kind -> background, largest rotation of a face in degrees, and degradation.
KINDS: dict[str, tuple[Callable[..., Image.Image], float, Callable[[Image.Image], Image.Image]]] = {
    "plain": (_plain, 10, _as_is),
    "cluttered": (background, 10, _as_is),
    "rotated": (background, 35, _as_is),
    "dark": (background, 10, SPOILT["dark"]),
    "overexposed": (background, 10, SPOILT["overexposed"]),
}


def crowds(source: Source, kind: str, count: int, seed: int) -> Iterator[tuple[np.ndarray, list[Box]]]:
    """Yield photos (H, W, 3) uint8 and the boxes of their faces."""
    rng = np.random.default_rng((seed, list(KINDS).index(kind)))
    behind, degrees, spoil = KINDS[kind]
    for _ in range(count):
        canvas, boxes, taken = behind(SIZE, rng), [], []
        for _ in range(FACES):
            width = float(np.exp(rng.uniform(np.log(CLASSES[0]), np.log(CLASSES[-1]))))
            with Image.open(source.paths[rng.integers(len(source.paths))]) as opened:
                photo = opened.convert("RGB")
            scale = width / (source.face[2] * photo.width)
            photo = photo.resize([round(side * scale) for side in photo.size], Image.Resampling.BICUBIC)
            place = room(SIZE, max(photo.size), taken, rng)
            if place is not None:
                taken.append(place)
                paste(canvas, photo, place, float(rng.uniform(-degrees, degrees)))
                boxes.append(_face(source, photo.size, place))
        yield np.asarray(spoil(canvas)), boxes


def _face(source: Source, size: tuple[int, int], place: Box) -> Box:
    x, y, width, height = (share * size[n % 2] for n, share in enumerate(source.face))
    left, top = place[0] + x - width / 2, place[1] + y - height / 2
    return left, top, left + width, top + height
