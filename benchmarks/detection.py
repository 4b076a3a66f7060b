"""Recall and speed of detection in large photos, relative to dlib's search of the whole photo.

Photos of 1350 and 2400 pixels are generated: faces of LFW, 60 to 600 pixels wide, rotated by up to 12 degrees, with
soft edges, on pictures of scikit-image without faces. Both find a face if the boxes' intersection over union is 0.4 or
more. The shift of landmarks is the mean over the five, as a share of the width of dlib's box. For comparison, the same
is given for dlib's own search of the photo moved by three pixels. The thresholds of `facepriv.faces.propose` were
chosen with photos of `--part tuning`. `--spoil` degrades every photo, for example by overexposure.

    python benchmarks/detection.py --data DIR
    python benchmarks/detection.py --data DIR --spoil overexposed
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageFilter
from shared import Benchmark, data_option, json_option, within, write_json

from facepriv.cli.console import note, table
from facepriv.datasets import readers
from facepriv.errors import UsageError
from facepriv.faces import detect_boxes
from facepriv.faces.boxes import overlap
from facepriv.faces.detect import Box, locate, search_whole

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
#: Limits of the size classes: widths of dlib's boxes, in pixels.
CLASSES = (0, 90, 150, 300, 10_000)
SAME, MOVED = 0.4, 3


def _shaded(rgb: Image.Image) -> Image.Image:
    """Return the photo with alternating light and deep shade, with a period of about two faces of 200 pixels."""
    waves = 0.55 + 0.45 * np.sin(np.arange(rgb.width) / 70)
    return Image.fromarray((np.asarray(rgb) * waves[:, None]).astype(np.uint8))


def _noisy(rgb: Image.Image) -> Image.Image:
    """Return a photo with low-light noise, the same in every run."""
    noise = np.random.default_rng(0).normal(0, 25, (rgb.height, rgb.width, 3))
    return Image.fromarray(np.clip(np.asarray(rgb) + noise, 0, 255).astype(np.uint8))


def _coarse(rgb: Image.Image) -> Image.Image:
    """Return the photo after JPEG compression at quality 10."""
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=10)
    return Image.open(buffer).convert("RGB")


#: Degradations of a photo.
SPOILT: dict[str, Callable[[Image.Image], Image.Image]] = {
    "overexposed": lambda rgb: rgb.point(lambda v: min(255, 1.8 * v + 20)),
    "bright": lambda rgb: rgb.point(lambda v: min(255, 1.4 * v)),
    "dark": lambda rgb: rgb.point(lambda v: v * 0.2),
    "pale": lambda rgb: rgb.point(lambda v: 170 + v * 0.25),
    "shaded": _shaded,
    "noisy": _noisy,
    "blurred": lambda rgb: rgb.filter(ImageFilter.GaussianBlur(3)),
    "coarse": _coarse,
    "grey": lambda rgb: rgb.convert("L").convert("RGB"),
}


@dataclass
class Tally:
    """Results of one size class, or of all."""

    both: int = 0
    whole_only: int = 0
    new_only: int = 0
    moved_lost: int = 0
    overlaps: list[float] = field(default_factory=list)
    shifts: list[float] = field(default_factory=list)
    moved_shifts: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return counts, and medians and 95 % quantiles."""
        found = self.both + self.whole_only
        return {
            "whole": found,
            "both": self.both,
            "whole_only": self.whole_only,
            "new_only": self.new_only,
            "kept": self.both / found if found else None,
            "moved_lost": self.moved_lost,
            "overlap": quantiles(self.overlaps, (0.05, 0.5)),
            "shift": quantiles(self.shifts, (0.5, 0.95)),
            "moved_shift": quantiles(self.moved_shifts, (0.5, 0.95)),
        }


def quantiles(values: Sequence[float], shares: tuple[float, float]) -> list[float] | None:
    """Return two quantiles, or None without values."""
    return np.quantile(values, shares).tolist() if values else None


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option(
    "--photos",
    type=(click.IntRange(0), click.IntRange(0)),
    default=(200, 60),
    show_default=True,
    help="Of 1350 and of 2400 pixels.",
)
@click.option(
    "--part",
    type=click.Choice(("tuning", "report")),
    default="report",
    show_default=True,
    help="Which half of LFW's photos.",
)
@click.option("--spoil", type=click.Choice(tuple(SPOILT)), help="What to do to every photo.")
@json_option
def main(data: Path | None, photos: tuple[int, int], part: str, spoil: str | None, json_path: Path | None) -> None:
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    half = ("tuning", "report").index(part)
    pool = sorted(record.path for record in readers.read("lfw", data / "lfw"))[half::2]
    result = {
        side: measure(generated(count, side, pool, half, spoil), count)
        for side, count in zip(SIZES, photos, strict=True)
        if count
    }
    for side, found in result.items():
        show(side, found)
    if json_path is not None:
        write_json(json_path, result)


def measure(photos: Iterator[tuple[np.ndarray, list[Box]]], count: int) -> dict[str, Any]:
    """Compare the two searches on photos with known face positions."""
    tallies = [Tally() for _ in CLASSES[1:]]
    seconds: dict[str, list[float]] = {"whole": [], "new": []}
    false = {"whole": 0, "new": 0}
    for n, (rgb, places) in enumerate(photos):
        found = {"whole": timed(search_whole, rgb, seconds["whole"]), "new": timed(detect_boxes, rgb, seconds["new"])}
        moved = search_whole(np.ascontiguousarray(rgb[MOVED:, MOVED:]))
        moved = [(a + MOVED, b + MOVED, c + MOVED, d + MOVED) for a, b, c, d in moved]
        for name, boxes in found.items():
            false[name] += sum(not any(within(box, place) for place in places) for box in boxes)
        compare(rgb, found["whole"], found["new"], moved, tallies)
        if (n + 1) % 20 == 0:
            note(f"{n + 1} of {count} photos of {rgb.shape[1]} pixels")
    return {
        "photos": count,
        "false": false,
        "ms": {name: {"mean": 1e3 * np.mean(s), "median": 1e3 * np.median(s)} for name, s in seconds.items()},
        "times": float(np.sum(seconds["whole"]) / np.sum(seconds["new"])),
        "classes": {str(low): t.figures() for low, t in zip(CLASSES, tallies, strict=False)},
        "all": together(tallies).figures(),
    }


def together(tallies: list[Tally]) -> Tally:
    """Return the sum of all classes."""
    return Tally(
        *(sum((getattr(t, name) for t in tallies), start=type(value)()) for name, value in vars(Tally()).items())
    )


def timed(search: Callable[[np.ndarray], list[Box]], rgb: np.ndarray, seconds: list[float]) -> list[Box]:
    """Run a search and record its CPU time."""
    begun = time.process_time()
    boxes = search(rgb)
    seconds.append(time.process_time() - begun)
    return boxes


def best(box: Box, boxes: list[Box]) -> tuple[float, Box]:
    """Return the largest overlap with any of the boxes, and that box; 0 and the box itself if there are none."""
    shares = overlap(np.array(box), np.array(boxes).reshape(-1, 4))
    return (float(shares.max()), boxes[int(shares.argmax())]) if boxes else (0.0, box)


def compare(rgb: np.ndarray, whole: list[Box], new: list[Box], moved: list[Box], tallies: list[Tally]) -> None:
    """Add the faces of one photo to the tallies of their size classes."""
    for box in new:
        if best(box, whole)[0] < SAME:
            size_class(box, tallies).new_only += 1
    for box in whole:
        tally, width, points = size_class(box, tallies), box[2] - box[0], locate(rgb, box).points
        share, other = best(box, new)
        if share >= SAME:
            tally.both += 1
            tally.overlaps.append(share)
            tally.shifts.append(apart(points, locate(rgb, other).points) / width)
        else:
            tally.whole_only += 1
        share, other = best(box, moved)
        if share >= SAME:
            tally.moved_shifts.append(apart(points, locate(rgb, other).points) / width)
        else:
            tally.moved_lost += 1


def size_class(box: Box, tallies: list[Tally]) -> Tally:
    """Return the tally of a box's width."""
    return tallies[int(np.searchsorted(CLASSES, box[2] - box[0], "right")) - 1]


def apart(points: np.ndarray, others: np.ndarray) -> float:
    """Return the mean distance of points."""
    return float(np.linalg.norm(points - others, axis=1).mean())


def generated(
    count: int, side: int, pool: Sequence[Path], seed: int, spoil: str | None = None
) -> Iterator[tuple[np.ndarray, list[Box]]]:
    """Return photos (H, W, 3), and the positions of the LFW photos in each; the same in every run."""
    rng = np.random.default_rng((seed, side))
    for _ in range(count):
        canvas, places = photo(SIZES[side], pool, rng)
        yield np.asarray(SPOILT[spoil](canvas) if spoil else canvas), places


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


def show(side: int, found: dict[str, Any]) -> None:
    """Print the figures of one size of photos."""
    ms, false = found["ms"], found["false"]
    print(
        f"\n{found['photos']} photos of {side} pixels: ms a photo, whole {ms['whole']['mean']:.0f}, new "
        f"{ms['new']['mean']:.0f} (medians {ms['whole']['median']:.0f}, {ms['new']['median']:.0f}): "
        f"{found['times']:.1f} times as fast; false finds: whole {false['whole']}, new {false['new']}"
    )
    names = [f"{low} to {high}" for low, high in pairwise(CLASSES)]
    names[-1] = f"{CLASSES[-2]} and more"
    head = (
        "width of the box",
        "whole finds",
        "both",
        "whole alone",
        "new alone",
        "kept",
        "lost if moved",
        "overlap: 5 %",
        "median",
        "shift, %: median",
        "95 %",
        "if moved: median",
        "95 %",
    )
    table(
        head,
        [row(name, t) for name, t in zip([*names, "all"], [*found["classes"].values(), found["all"]], strict=True)],
    )


def row(name: str, t: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of one class."""
    counts = (t["whole"], t["both"], t["whole_only"], t["new_only"])
    kept = "" if t["kept"] is None else f"{100 * t['kept']:.1f} %"
    overlaps = [f"{v:.2f}" for v in t["overlap"] or ()] or ["", ""]
    shifts = [cell for key in ("shift", "moved_shift") for cell in [f"{100 * v:.2f}" for v in t[key] or ()] or ["", ""]]
    return (name, *map(str, counts), kept, str(t["moved_lost"]), *overlaps, *shifts)


if __name__ == "__main__":
    main()
