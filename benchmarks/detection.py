"""Recall and speed of detection in large photos, relative to dlib's search of the whole photo.

`--help` says what is measured.

    python benchmarks/detection.py --data DIR
    python benchmarks/detection.py --data DIR --overexposed
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
from PIL import Image
from shared import data_option
from speed.harness import Ratio, Result, part, within

from facepriv.cli.console import note
from facepriv.datasets import readers
from facepriv.errors import UsageError
from facepriv.faces import detect_boxes
from facepriv.faces.boxes import overlap
from facepriv.faces.detect import Box, search_whole

SIZES = {1350: (1350, 1013), 2400: (2400, 1800)}
#: Pictures of scikit-image without a face.
BACKGROUNDS = (
    "brick.png",
    "grass.png",
    "gravel.png",
    "coffee.png",
    "rocket.jpg",
    "hubble_deep_field.jpg",
    "moon.png",
    "clock_motion.png",
    "motorcycle_left.png",
    "retina.jpg",
    "ihc.png",
    "page.png",
    "text.png",
)
#: Width of a face's box in a photo of LFW, as a share of the photo's width.
FACE_IN_LFW = 96 / 250
#: Smallest overlap of two boxes of one face, and by how many pixels the photo is moved.
SAME, MOVED = 0.4, 3


@dataclass
class Tally:
    """Numbers of faces, of the photos' faces and of false finds; and the CPU seconds of both searches."""

    both: int = 0
    whole_only: int = 0
    new_only: int = 0
    moved_lost: int = 0
    false_whole: int = 0
    false_new: int = 0
    whole_seconds: list[float] = field(default_factory=list)
    new_seconds: list[float] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Faces that the search of the whole photo finds."""
        return self.both + self.whole_only


@part()
@data_option
@click.option(
    "--photos",
    type=(click.IntRange(0), click.IntRange(0)),
    default=(200, 60),
    show_default=True,
    help="Of 1350 and of 2400 pixels.",
)
@click.option("--overexposed", is_flag=True, help="Overexpose every photo.")
def main(data: Path | None, photos: tuple[int, int], overexposed: bool) -> Result:
    """Detection in large photos beside dlib's search of the whole photo.

    Photos of 1350 and 2400 pixels are generated: faces of LFW, 60 to 600 pixels wide, rotated by up to 12 degrees, with
    soft edges, on pictures of scikit-image without faces. Both find a face if the boxes' intersection over union is 0.4
    or more. For comparison, the faces are counted that dlib's own search loses when the photo is moved by three pixels.
    """
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    # The thresholds of `facepriv.faces.propose` were chosen with the other half.
    pool = sorted(record.path for record in readers.read("lfw", data / "lfw"))[1::2]
    sizes = {side: count for side, count in zip(SIZES, photos, strict=True) if count}
    found = {side: measure(generated(count, side, pool, overexposed), count) for side, count in sizes.items()}
    ratios = {}
    for side, tally in found.items():
        kept, times = tally.both / max(1, tally.found), sum(tally.whole_seconds) / sum(tally.new_seconds)
        ratios[f"kept_{side}"] = Ratio(f"of the faces kept at {side} pixels", [kept])
        ratios[f"times_{side}"] = Ratio(f"times as fast at {side} pixels", [times])
    return Result(
        "detection, overexposed photos" if overexposed else "detection",
        (
            "pixels",
            "photos",
            "whole finds",
            "both",
            "new alone",
            "lost if moved",
            "false: whole",
            "new",
            "ms: whole",
            "new",
        ),
        [
            (
                str(side),
                *map(str, (sizes[side], t.found, t.both, t.new_only, t.moved_lost, t.false_whole, t.false_new)),
                *(f"{1e3 * np.mean(seconds):.0f}" for seconds in (t.whole_seconds, t.new_seconds)),
            )
            for side, t in found.items()
        ],
        ratios,
        {"photos": sizes, "found": {side: asdict(tally) for side, tally in found.items()}},
    )


def measure(photos: Iterator[tuple[np.ndarray, list[Box]]], count: int) -> Tally:
    """Compare the two searches on photos with known face positions."""
    tally = Tally()
    for n, (rgb, places) in enumerate(photos):
        whole, new = timed(search_whole, rgb, tally.whole_seconds), timed(detect_boxes, rgb, tally.new_seconds)
        moved = search_whole(np.ascontiguousarray(rgb[MOVED:, MOVED:]))
        moved = [(a + MOVED, b + MOVED, c + MOVED, d + MOVED) for a, b, c, d in moved]
        tally.false_whole += sum(not any(within(box, place) for place in places) for box in whole)
        tally.false_new += sum(not any(within(box, place) for place in places) for box in new)
        compare(whole, new, moved, tally)
        if (n + 1) % 20 == 0:
            note(f"{n + 1} of {count} photos of {rgb.shape[1]} pixels")
    return tally


def timed(search: Callable[[np.ndarray], list[Box]], rgb: np.ndarray, seconds: list[float]) -> list[Box]:
    """Run a search and record its CPU time."""
    begun = time.process_time()
    boxes = search(rgb)
    seconds.append(time.process_time() - begun)
    return boxes


def compare(whole: list[Box], new: list[Box], moved: list[Box], tally: Tally) -> None:
    """Add the faces of one photo."""
    both = sum(has(box, new) for box in whole)
    tally.both += both
    tally.whole_only += len(whole) - both
    tally.new_only += sum(not has(box, whole) for box in new)
    tally.moved_lost += sum(not has(box, moved) for box in whole)


def has(box: Box, boxes: list[Box]) -> bool:
    """Return whether one of the boxes is of the same face."""
    return bool(boxes) and float(overlap(np.array(box), np.array(boxes)).max()) >= SAME


def generated(
    count: int, side: int, pool: Sequence[Path], overexposed: bool = False
) -> Iterator[tuple[np.ndarray, list[Box]]]:
    """Return photos (H, W, 3), and the positions of the LFW photos in each; the same in every run."""
    rng = np.random.default_rng((1, side))
    for _ in range(count):
        canvas, places = photo(SIZES[side], pool, rng)
        yield np.asarray(canvas.point(lambda v: min(255, 1.8 * v + 20)) if overexposed else canvas), places


def photo(size: tuple[int, int], pool: Sequence[Path], rng: np.random.Generator) -> tuple[Image.Image, list[Box]]:
    """Return one photo of one to seven faces, fewer if there is no room."""
    canvas, places = background(size, rng), []
    short = min(size)
    for _ in range(int(rng.integers(1, 8))):
        side = round(np.exp(rng.uniform(np.log(60), np.log(600))) / FACE_IN_LFW)
        with Image.open(pool[rng.integers(len(pool))]) as opened:
            face = opened.convert("RGB")
        if side >= short:  # crop the margin and keep the face's size
            margin = face.width * (1 - 0.98 * short / side) / 2
            face = face.crop((margin, margin, face.width - margin, face.height - margin))
            side = int(0.98 * short)
        place = room(size, side, places, rng)
        if place is not None:
            places.append(place)
            paste(canvas, face.resize((side, side), Image.Resampling.BICUBIC), place, float(rng.uniform(-12, 12)))
    return canvas, places


def background(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return a picture of scikit-image, extended to a size by repeated mirroring."""
    import skimage

    with Image.open(Path(skimage.__file__).parent / "data" / BACKGROUNDS[rng.integers(len(BACKGROUNDS))]) as opened:
        tile = np.asarray(opened.convert("RGB"))
    wide = round(tile.shape[1] * np.exp(rng.uniform(np.log(0.7), np.log(2.5))))
    high = round(tile.shape[0] * wide / tile.shape[1])
    tile = np.asarray(Image.fromarray(tile).resize((wide, high), Image.Resampling.BICUBIC))
    missing = ((0, max(0, size[1] - high)), (0, max(0, size[0] - wide)), (0, 0))
    return Image.fromarray(np.ascontiguousarray(np.pad(tile, missing, mode="symmetric")[: size[1], : size[0]]))


def room(size: tuple[int, int], side: int, places: Sequence[Box], rng: np.random.Generator) -> Box | None:
    """Return a random free place; None after twenty failed tries."""
    for _ in range(20):
        x, y = (int(rng.integers(0, length - side + 1)) for length in size)
        if all(x + side <= a or c <= x or y + side <= b or d <= y for a, b, c, d in places):
            return x, y, x + side, y + side
    return None


def paste(canvas: Image.Image, face: Image.Image, place: Box, degrees: float) -> None:
    """Paste a face, rotated, with soft edges."""
    down, across = (
        np.minimum(np.arange(side), np.arange(side)[::-1]) / (0.08 * face.width) for side in (face.height, face.width)
    )
    soft = (255 * np.clip(np.minimum.outer(down, across) - 0.8, 0, 1)).astype(np.uint8)
    mask = Image.fromarray(soft).rotate(degrees, Image.Resampling.BILINEAR)
    canvas.paste(face.rotate(degrees, Image.Resampling.BICUBIC), (int(place[0]), int(place[1])), mask)


if __name__ == "__main__":
    main()
