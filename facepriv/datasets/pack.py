"""A training pack: aligned crops of one or more data sets with their labels, cached on disk.

A pack is a folder with ``crops.npy`` (N, S, S, 3) uint8, read by memory map, and ``rows.csv``: one line a crop. Photos
in which no face was found are left out and counted in ``pack.json``.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.records import Record
from facepriv.datasets.splits import halves
from facepriv.errors import DataError
from facepriv.schema import ATTRIBUTES

FORMAT = 1
_COLUMNS = ("set", "name", "subject", "part", "half", "years", *ATTRIBUTES)


@dataclass(frozen=True)
class Pack:
    """An opened pack.

    Parameters
    ----------
    crops : ndarray
        (N, S, S, 3) uint8 RGB, memory-mapped.
    columns : dict
        Column -> (N,) str, as in ``rows.csv``.
    """

    crops: NDArray[np.uint8]
    columns: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.crops)

    @cached_property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """Attribute -> (N,) class index, -1 unknown."""
        return {
            name: np.array([spec.classes.index(v) if v else -1 for v in self.columns[name]], dtype=np.int64)
            for name, spec in ATTRIBUTES.items()
        }

    @cached_property
    def years(self) -> NDArray[np.float32]:
        """Age in years (N,), NaN unknown."""
        return np.array([float(v) if v else np.nan for v in self.columns["years"]], dtype=np.float32)

    def where(self, **wanted: str) -> NDArray[np.int64]:
        """Return indices of the rows whose columns have the wanted values, such as ``part="train"``."""
        keep = np.ones(len(self), dtype=bool)
        for column, value in wanted.items():
            keep &= self.columns[column] == value
        return np.flatnonzero(keep)


def open_pack(path: Path) -> Pack:
    """Open a pack; raises `DataError` where it is none, or of another format."""
    info = path / "pack.json"
    if not info.is_file():
        raise DataError(f"{path}: no training pack; make one with 'facepriv pack'")
    if json.loads(info.read_text()).get("format") != FORMAT:
        raise DataError(f"{path}: a pack of another format; make it again with 'facepriv pack'")
    with (path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    crops = np.load(path / "crops.npy", mmap_mode="r")
    if len(crops) != len(rows):
        raise DataError(f"{path}: {len(crops)} crops but {len(rows)} rows; make it again with 'facepriv pack'")
    return Pack(crops, {c: np.array([row[c] for row in rows]) for c in _COLUMNS})


def build_pack(
    sets: dict[str, list[Record]],
    out: Path,
    *,
    size: int = 112,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Align all photos of `sets` (name -> records) into a pack at `out`.

    The pack appears under its name only when it is whole. Returns the counts that ``pack.json`` holds: ``photos``,
    ``crops``, ``no_face``, ``unreadable``.
    """
    jobs = [(name, record) for name, records in sets.items() for record in records]
    partial = out.with_name(f".{out.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    crops = np.lib.format.open_memmap(
        partial / "crops.npy", mode="w+", dtype=np.uint8, shape=(len(jobs), size, size, 3)
    )
    counts = {"photos": len(jobs), "crops": 0, "no_face": 0, "unreadable": 0}
    with (partial / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        done = _crops([record.path for _, record in jobs], size, workers)
        for i, ((name, record), crop) in enumerate(zip(jobs, done, strict=True)):
            if isinstance(crop, str):
                counts[crop] += 1
            else:
                crops[counts["crops"]] = crop
                counts["crops"] += 1
                writer.writerow(_row(name, record))
            if progress:
                progress(i + 1, len(jobs))
    crops.flush()
    _shorten(partial / "crops.npy", counts["crops"])
    (partial / "pack.json").write_text(json.dumps({"format": FORMAT, "size": size, **counts}, indent=1) + "\n")
    os.replace(partial, out)
    return counts


def _row(name: str, record: Record) -> dict[str, str]:
    unit = f"{name}/{record.subject or record.name}"
    years = "" if record.years is None else f"{record.years:g}"
    labels = {attribute: record.labels.get(attribute, "") for attribute in ATTRIBUTES}
    half = str(halves([unit])[0])
    return {"set": name, "name": record.name, "subject": record.subject, "part": record.part, "half": half,
            "years": years, **labels}  # fmt: skip


def _crops(paths: list[Path], size: int, workers: int) -> Iterator[NDArray[np.uint8] | str]:
    if workers <= 1:
        yield from map(_crop, paths, [size] * len(paths))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_crop, paths, [size] * len(paths), chunksize=32)


def _crop(path: Path, size: int) -> NDArray[np.uint8] | str:
    """Return the crop of the face nearest the photo's centre (data sets centre their subject), or what failed."""
    from facepriv.errors import ImageError
    from facepriv.faces import crop_face, find_faces
    from facepriv.images import read_image

    try:
        rgb = read_image(path).rgb8()
    except ImageError:
        return "unreadable"
    found = find_faces(rgb)
    if not found:
        return "no_face"
    middle = np.array(rgb.shape[1::-1]) / 2
    face = min(found, key=lambda f: float(np.hypot(*(f.points.mean(axis=0) - middle))))
    return np.rint(crop_face(rgb, face, size) * 255).astype(np.uint8)


def _shorten(path: Path, count: int) -> None:
    """Rewrite a .npy with only its first `count` rows."""
    whole = np.load(path, mmap_mode="r")
    if len(whole) == count:
        return
    shorter = path.with_suffix(".short.npy")
    out = np.lib.format.open_memmap(shorter, mode="w+", dtype=whole.dtype, shape=(count, *whole.shape[1:]))
    for start in range(0, count, 1024):
        out[start : start + 1024] = whole[start : min(start + 1024, count)]
    out.flush()
    os.replace(shorter, path)
