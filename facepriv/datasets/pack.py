"""A training pack: aligned crops of one or more data sets with their labels, cached on disk.

A pack is a folder with ``crops.npy`` (N, S, S, 3) uint8, memory-mapped, and ``rows.csv`` with one line per crop. Photos
without a detected face and byte-identical copies are left out and counted in ``pack.json``. For a set without a test
part, near copies of the other sets' photos are also left out, so that no test photo is used for training. A light copy
(`facepriv.datasets.jpegs`) has JPEGs instead.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import STANDARD, Frame
from facepriv.datasets import jpegs
from facepriv.datasets.copies import near_copies, without_copies
from facepriv.datasets.record import EVALUATION_ONLY, Record
from facepriv.datasets.splits import TEST, halves
from facepriv.errors import DataError
from facepriv.faces.subject import Crop, crop_subjects
from facepriv.files import parse
from facepriv.schema import ATTRIBUTES

FORMAT = 1
_COLUMNS = ("set", "name", "subject", "part", "half", "years", *ATTRIBUTES)
INFO, ROWS, CROPS = "pack.json", "rows.csv", "crops.npy"

NamedRecord = tuple[str, Record]


@dataclass(frozen=True)
class Pack:
    """An opened pack.

    Parameters
    ----------
    crops : ndarray
        (N, S, S, 3) uint8 RGB, memory-mapped.
    columns : dict
        Column -> (N,) str, as in ``rows.csv``.
    frame : Frame
        The square that the crops show of a face.
    """

    crops: NDArray[np.uint8]
    columns: dict[str, NDArray[np.str_]]
    frame: Frame = STANDARD

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


def open_pack(path: Path, frame: Frame | None = STANDARD) -> Pack:
    """Open a pack whose crops show `frame`, or any frame if None.

    Raises
    ------
    DataError
        If it is not a pack, is damaged, or has another format or frame.
    """
    again = "make it again with 'facepriv pack'"
    if not (path / INFO).is_file():
        raise DataError(f"{path}: no training pack; make one with 'facepriv pack'")
    try:
        info = parse((path / INFO).read_bytes())
        version, shown = info.get("format"), Frame(**info.get("frame", {}))
        with (path / ROWS).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if (path / jpegs.CROPS).is_file():
            crops = jpegs.read_crops(path / jpegs.CROPS)
        else:
            crops = np.load(path / CROPS, mmap_mode="r", allow_pickle=False)
        columns = {column: np.array([row[column] for row in rows]) for column in _COLUMNS}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: a damaged pack ({type(error).__name__}: {error}); {again}") from error
    if version != FORMAT:
        raise DataError(f"{path}: a pack of another format; {again}")
    if len(crops) != len(rows):
        raise DataError(f"{path}: {len(crops)} crops but {len(rows)} rows; {again}")
    if frame not in (None, shown):
        raise DataError(f"{path}: crops of another frame; {again} --frame {frame.side:g} {frame.centre:g}")
    return Pack(crops, columns, shown)


def build_pack(
    sets: dict[str, list[Record]],
    out: Path,
    *,
    size: int = 112,
    frame: Frame = STANDARD,
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Align all photos of `sets` (name -> records) into a pack at `out`.

    The pack appears under its name only when complete; the next run removes the remains of an interrupted one. Of
    byte-identical files only the most held-out one is kept, so that none is in both training and test.

    Returns
    -------
    dict
        The counts in ``pack.json``: ``photos``, ``crops``, ``duplicates``, ``near_copies``, ``no_face``,
        ``unreadable``.

    Raises
    ------
    DataError
        If `out` exists (unless `overwrite`, and it is a pack), a set is for evaluation only, the disk has too little
        space, or no face is found.
    """
    for name in sets:
        if name in EVALUATION_ONLY:
            raise DataError(f"'{name}' is for evaluation only: nothing is trained on it, so it cannot be in a pack")
    photos = [(name, record) for name, records in sets.items() for record in records]
    with new_pack(out, overwrite=overwrite) as partial:
        jobs = [photos[i] for i in without_copies([record for _, record in photos])]
        _check_room(partial, len(jobs), size)
        counts = {"photos": len(photos), "crops": 0, "duplicates": len(photos) - len(jobs)}
        counts |= _fill(
            partial, jobs, crop_subjects([record.path for _, record in jobs], size, workers, frame), size, progress
        )
        if not counts["crops"]:
            raise DataError(f"no face was found in any of {len(photos)} photos ({counts['unreadable']} unreadable)")
        counts["near_copies"] = _leave_out_near_copies(partial, _without_test_part(sets))
        counts["crops"] -= counts["near_copies"]
        info = {"format": FORMAT, "size": size, **frame_info(frame), **counts}
        (partial / INFO).write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    return counts


def frame_info(frame: Frame) -> dict[str, Any]:
    """Return the entry of ``pack.json`` for a frame; the standard one has none."""
    return {} if frame == STANDARD else {"frame": asdict(frame)}


@contextmanager
def new_pack(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder, which is renamed to `out` on success and removed on failure.

    Raises
    ------
    DataError
        If `out` exists (unless `overwrite`, and it is a pack), or the folder cannot be made.
    """
    out = out.absolute()
    _check_out(out, overwrite)
    partial = out.with_name(f".{out.name}.partial")
    _clear(partial)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{out}: the folder cannot be made ({error.strerror})") from error
    try:
        yield partial
        _publish(partial, out)
    finally:
        # On success the folder is already gone.
        _clear(partial)


def _fill(
    folder: Path,
    jobs: list[NamedRecord],
    cut: Iterator[Crop],
    size: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, int]:
    """Write crops and rows; returns the numbers of crops and failures."""
    counts = {"crops": 0, "no_face": 0, "unreadable": 0}
    with (folder / ROWS).open("w", newline="", encoding="utf-8") as file, CropWriter(folder / CROPS, size) as crops:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        for i, ((name, record), crop) in enumerate(zip(jobs, cut, strict=True)):
            if isinstance(crop, str):
                counts[crop] += 1
            else:
                crops.append(crop)
                counts["crops"] += 1
                writer.writerow(_row(name, record))
            if progress:
                progress(i + 1, len(jobs))
    return counts


def _without_test_part(sets: dict[str, list[Record]]) -> list[str]:
    return [name for name, records in sets.items() if all(record.part != TEST for record in records)]


def _leave_out_near_copies(folder: Path, names: list[str]) -> int:
    """Remove rows and crops of the sets `names` that are near copies of other sets' crops; returns the number."""
    with (folder / ROWS).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    suspects = np.array([row["set"] in names for row in rows])
    if not suspects.any() or suspects.all():
        return 0
    crops = np.load(folder / CROPS, mmap_mode="r", allow_pickle=False)
    copies = near_copies(crops, suspects)
    if copies.any():
        kept = np.flatnonzero(~copies)
        with CropWriter(folder / "kept.npy", crops.shape[1]) as writer:
            for i in kept:
                writer.append(crops[i])
        del crops  # Windows cannot replace a mapped file
        os.replace(folder / "kept.npy", folder / CROPS)
        with (folder / ROWS).open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, _COLUMNS)
            table.writeheader()
            table.writerows(rows[i] for i in kept)
    return int(copies.sum())


def _row(name: str, record: Record) -> dict[str, str]:
    unit = f"{name}/{record.subject or record.name}"
    years = "" if record.years is None else f"{record.years:g}"
    labels = {attribute: record.labels.get(attribute, "") for attribute in ATTRIBUTES}
    half = str(halves([unit])[0])
    return {
        "set": name,
        "name": record.name,
        "subject": record.subject,
        "part": record.part,
        "half": half,
        "years": years,
        **labels,
    }


class CropWriter:
    """Appends crops to a ``.npy`` of unknown length; uses plain writes, so that a full disk raises an error."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("wb")
        self._size, self._count = size, 0
        self._header()

    def __enter__(self) -> CropWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            # NumPy pads the header so that a longer first axis still fits in its place.
            self._file.seek(0)
            self._header()
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()

    def append(self, crop: NDArray[np.uint8]) -> None:
        """Add one crop (size, size, 3) uint8."""
        self._file.write(np.ascontiguousarray(crop, dtype=np.uint8).tobytes())
        self._count += 1

    def _header(self) -> None:
        shape = (self._count, self._size, self._size, 3)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _check_out(out: Path, overwrite: bool) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if not out.exists():
        return
    if not overwrite:
        raise DataError(f"{out}: exists already; name another folder, or replace it with --overwrite")
    if not (out / INFO).is_file():
        raise DataError(f"{out}: is no training pack, so it is not replaced; name another folder")


def _check_room(folder: Path, crops: int, size: int) -> None:
    needed, free = crops * size * size * 3, shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"{folder}: {crops} crops need {needed >> 20} MiB, the disk has {free >> 20} MiB free")


def _publish(partial: Path, out: Path) -> None:
    """Rename the finished pack to `out`; an old pack is first moved aside and finally removed."""
    old = out.with_name(f".{out.name}.old")
    _clear(old)
    if out.exists():
        os.replace(out, old)
    os.replace(partial, out)
    _clear(old)


def _clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
