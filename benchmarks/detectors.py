"""Recall, false boxes and speed of the installed detectors, in one run.

Four parts: `groups`, photos with annotated faces (a folder with boxes.csv: file, left, top, width, height); `crowds`,
photos composed of data-set faces at known places, 12 to 60 pixels wide (see crowds.py); `portraits`, photos of data
sets with one face each, counting those without any, and heads turned aside; `speed`, milliseconds a photo, CPU time of
one thread. A face is found if the centre of a sure box lies in it. Other sure boxes are false.

    python benchmarks/detectors.py --data DIR
    python benchmarks/detectors.py --data DIR --part crowds --detector mtcnn --crowds lfw
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from crowds import CLASSES, FACE_IN, KINDS, Source, crowds
from detection import photo as composed
from shared import Benchmark, data_option, json_option, write_json

from facepriv.cli.console import note, table
from facepriv.contracts import FaceDetector
from facepriv.datasets import readers
from facepriv.errors import UsageError
from facepriv.faces import mtcnn
from facepriv.faces.finding import MIN_FACE, find_with
from facepriv.image import read_image
from facepriv.registry import build_detector

PARTS = ("groups", "crowds", "portraits", "speed")
#: Widths of the photos whose search is timed, in pixels; heights are three quarters.
WIDTHS = (800, 1350, 2400, 6000)

#: Degrees from which a head counts as turned; depth of the nose's tip before the eyes, in distances of the eyes.
TURNED, NOSE = 45, 0.55

Scene = tuple[np.ndarray, list[tuple[float, ...]]]


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="[default: all]")
@click.option("--detector", "names", multiple=True, default=("dlib", "mtcnn", "auto"), show_default=True)
@click.option("--crowds", "crowds_of", type=click.Choice(tuple(FACE_IN)), default="lfw", show_default=True)
@click.option("--photos", type=click.IntRange(1), default=6, show_default=True, help="Crowds of each kind.")
@click.option("--portraits", type=click.IntRange(1), default=500, show_default=True, help="Photos of each data set.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Photos of each width.")
@json_option
def main(
    data: Path | None,
    parts: tuple[str, ...],
    names: tuple[str, ...],
    crowds_of: str,
    photos: int,
    portraits: int,
    repeats: int,
    json_path: Path | None,
) -> None:
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    detectors = {name: build_detector(name) for name in names}
    result: dict[str, Any] = {}
    for part in parts or PARTS:
        if part == "groups":
            result[part] = recalls(detectors, {"annotated": lambda: annotated(data / "groups")}, (0, 10_000))
        elif part == "crowds":
            source = Source(paths(data, crowds_of), FACE_IN[crowds_of])
            scenes = {kind: scenes_of(source, kind, photos) for kind in KINDS}
            result[part] = recalls(detectors, scenes, CLASSES)
        elif part == "portraits":
            result[part] = without_face(detectors, data, portraits)
        else:
            result[part] = speed(detectors, paths(data, "lfw"), repeats)
    if json_path is not None:
        write_json(json_path, result)


def paths(data: Path, name: str) -> list[Path]:
    """Return the photos of a data set, by name."""
    return sorted(record.path for record in readers.read(name, data / name))


def annotated(folder: Path) -> Iterator[Scene]:
    """Yield the photos of a folder and their annotated boxes (left, top, right, bottom)."""
    boxes: dict[str, list[tuple[float, ...]]] = {}
    with (folder / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            left, top, width, height = (float(row[key]) for key in ("left", "top", "width", "height"))
            boxes.setdefault(row["file"], []).append((left, top, left + width, top + height))
    for name, found in boxes.items():
        yield read_image(folder / name).rgb8(), found


def scenes_of(source: Source, kind: str, count: int) -> Callable[[], Iterator[Scene]]:
    """Return a function that yields the crowds of one kind, the same in every call."""
    return lambda: crowds(source, kind, count, 0)


def recalls(
    detectors: dict[str, FaceDetector], scenes: dict[str, Callable[[], Iterable[Scene]]], classes: tuple[int, ...]
) -> dict[str, Any]:
    """Print and return each detector's recall by kind and width of faces, and its number of false boxes."""
    result: dict[str, Any] = {}
    for name, detector in detectors.items():
        for kind, make in scenes.items():
            found, faces, false = np.zeros(len(classes) - 1, int), np.zeros(len(classes) - 1, int), 0
            for rgb, places in make():
                boxes = np.array([face.box for face in find_with(detector, rgb).faces]).reshape(-1, 4)
                hits = hit(boxes, np.array(places))
                widths = np.searchsorted(classes[1:-1], [place[2] - place[0] for place in places], "right")
                np.add.at(faces, widths, 1)
                np.add.at(found, widths, hits.any(1))
                false += int((~hits.any(0)).sum())
            result[f"{name}, {kind}"] = {"found": found.tolist(), "faces": faces.tolist(), "false": false}
            note(f"{name}, {kind}: done")
    columns = [f"{low} to {high} pixels" for low, high in pairwise(classes)] if len(classes) > 2 else ["found"]
    rows = [
        (row, *(share(f, n) for f, n in zip(r["found"], r["faces"], strict=True)), str(r["false"]))
        for row, r in result.items()
    ]
    table(("detector, photos", *columns, "false boxes"), rows)
    return result


def hit(boxes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return (places, boxes): whether the centre of a box lies in a place."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((places[:, None, :2] < centres) & (centres < places[:, None, 2:])).all(2)


def share(found: int, faces: int) -> str:
    """Return a share as text."""
    return f"{100 * found / faces:.1f} % of {faces}" if faces else ""


def without_face(detectors: dict[str, FaceDetector], data: Path, count: int) -> dict[str, Any]:
    """Print and return the number of portraits, evenly spaced in each data set, in which no face is found."""
    result: dict[str, Any] = {}
    for name in ("celeba", "utkface", "lfw"):
        every = paths(data, name)
        chosen = every[:: max(1, len(every) // count)]
        lost, heads = dict.fromkeys(detectors, 0), 0
        for path in chosen:
            rgb = read_image(path).rgb8()
            heads += turned_by(rgb) >= TURNED
            for detector, searching in detectors.items():
                lost[detector] += not find_with(searching, rgb).faces
        result[name] = {"photos": len(chosen), "without": lost, "turned": heads}
        note(f"{name}: done")
    rows = [
        (name, *(share(n, r["photos"]) for n in r["without"].values()), str(r["turned"])) for name, r in result.items()
    ]
    table(("no face found", *detectors, f"found, turned by {TURNED} degrees or more"), rows)
    return result


def turned_by(rgb: np.ndarray) -> float:
    """Return by how many degrees the surest face is turned aside, by MTCNN's landmarks; 0 if MTCNN finds none."""
    points = mtcnn.find(rgb, MIN_FACE)[2]
    if not len(points):
        return 0.0
    left, right, nose = points[0, :3]
    across = right - left
    aside = abs((nose - (left + right) / 2) @ across) / (across @ across)
    return float(np.degrees(np.arctan(aside / NOSE)))


def speed(detectors: dict[str, FaceDetector], pool: list[Path], repeats: int) -> dict[str, Any]:
    """Print and return the median CPU milliseconds of one search, of photos with one to seven faces."""
    result: dict[str, Any] = {}
    for width in WIDTHS:
        rng = np.random.default_rng(width)
        photos = [np.asarray(composed((width, width * 3 // 4), pool, rng)[0]) for _ in range(repeats)]
        result[str(width)] = {}
        for name, detector in detectors.items():
            find_with(detector, photos[0][:200, :200])  # loads the weights
            taken = [timed(detector, rgb) for rgb in photos]
            result[str(width)][name] = 1e3 * float(np.median(taken))
        note(f"{width} pixels: done")
    rows = [(width, *(f"{ms:.0f}" for ms in each.values())) for width, each in result.items()]
    table(("pixels; ms a photo", *detectors), rows)
    return result


def timed(detector: FaceDetector, rgb: np.ndarray) -> float:
    """Return the CPU seconds of one search."""
    begun = time.process_time()
    find_with(detector, rgb)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
