"""Pair protected files with their originals, and compare the two. No photo is dropped; failures are reported.

Files pair by their path below the two folders; the suffix may differ. Where a layout keeps its photos in a subfolder,
the name within the set also pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.record import Record
from facepriv.errors import DataError, ImageError
from facepriv.evaluation.cache_keys import core_hash
from facepriv.evaluation.predictions import CHUNK, PredictionStore
from facepriv.files import digest, file_hash
from facepriv.metrics import quality
from facepriv.pool import spread
from facepriv.protection.inputs import discover

Pixels = NDArray[np.uint8]
State = Literal["ok", "missing", "unreadable", "resized", "original unreadable"]
_STATES: tuple[State, ...] = ("ok", "unreadable", "resized", "original unreadable")
_WORDS: Mapping[str, str] = {
    "missing": "has no protected file",
    "unreadable": "its protected file is no whole image",
    "resized": "its protected file is of another size",
    "original unreadable": "the original is no whole image",
}


@dataclass(frozen=True)
class Pairing:
    """The protected file of each photo.

    Parameters
    ----------
    protected : tuple of Path or None
        One per photo, None where there is none.
    extra : tuple of str
        Protected files without an original among the photos; they are not evaluated.
    ambiguous : dict
        Index of a photo -> the candidates for its protected file. A single candidate could also be another photo's.
    unread : tuple of str
        Messages about files in the two folders that cannot be read.
    """

    protected: tuple[Path | None, ...]
    extra: tuple[str, ...] = ()
    ambiguous: dict[int, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Likeness:
    """Comparison of each photo's two files: state, SSIM and PSNR (N,); NaN where they cannot be compared."""

    states: tuple[State, ...]
    ssim: NDArray[np.float64]
    psnr: NDArray[np.float64]

    def usable(self, which: Literal["original", "protected"], paths: Sequence[Path | None]) -> list[Path | None]:
        """Return the paths with None for files of one side that cannot be read."""
        bad = {"original": {"original unreadable"}, "protected": {"unreadable", "missing"}}[which]
        return [None if state in bad else path for state, path in zip(self.states, paths, strict=True)]


def pair(photos: Sequence[Record], originals: Path, protected: Path) -> Pairing:
    """Find the protected file of each photo.

    Parameters
    ----------
    photos : sequence of Record
        Below `originals`.
    originals, protected : Path
        The two folders.

    Raises
    ------
    DataError
        If the folder is missing or holds no image.
    """
    if not protected.is_dir():
        raise DataError(f"{protected}: no such folder; give the folder of the protected photos")
    found = discover([str(protected)])
    if not found.files:
        raise DataError("; ".join(found.problems))
    by_name: dict[str, list[tuple[PurePosixPath, Path]]] = {}
    for file in found.files:
        by_name.setdefault(str(file.name.with_suffix("")), []).append((file.name, file.source))
    chosen: list[Path | None] = []
    ambiguous: dict[int, tuple[str, ...]] = {}
    used: set[PurePosixPath] = set()
    every = [[PurePosixPath(name) for name in (_below(record.path, originals), record.name)] for record in photos]
    # Photos that are not selected (--limit, --part) also have protected files.
    everything = discover([str(originals)], out=protected)
    originally = {PurePosixPath(file.name) for file in everything.files}
    # A file with the exact name of one photo is not the protected file of another that differs in its suffix.
    taken = originally.union(*every)
    # Originals without a protected file of the same name, counted by name without suffix: their files are ambiguous.
    there = {name for same in by_name.values() for name, _ in same}
    rivals = Counter(name.with_suffix("") for name in originally if name not in there)
    for n, names in enumerate(every):
        candidates = next((by_name[key] for key in (str(name.with_suffix("")) for name in names) if key in by_name), [])
        exact = [c for c in candidates if c[0] in names]
        one = exact or [c for c in candidates if c[0] not in taken]
        used |= {name for name, _ in one}
        chosen.append(one[0][1] if len(one) == 1 else None)
        if len(one) > 1 or (one and not exact and rivals[names[0].with_suffix("")] > 1):
            ambiguous[n] = tuple(str(name) for name, _ in one)
            chosen[n] = None
    over = [file.name for file in found.files if file.name not in used]
    asked_or_not = {name.with_suffix("") for name in originally}
    extra = tuple(str(name) for name in over if name.with_suffix("") not in asked_or_not)
    return Pairing(tuple(chosen), extra, ambiguous, (*everything.problems, *found.problems))


def measure_likeness(
    originals: Sequence[Path],
    protected: Sequence[Path | None],
    store: PredictionStore | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> Likeness:
    """Compare each photo's two files pixel by pixel, unless the result is already stored.

    Parameters
    ----------
    originals, protected : sequence of Path
        N files each; None where there is no protected file.
    store, workers, progress
        As for `facepriv.evaluation.predictions.predict_photos`.
    """
    store = store or PredictionStore()
    key = digest(["likeness", core_hash()])
    names = ["" if b is None else f"{file_hash(a)} {file_hash(b)}" for a, b in zip(originals, protected, strict=True)]
    tasks = {name: (a, b) for name, a, b in zip(names, originals, protected, strict=True) if b is not None}
    known = store.get(key, tasks)
    todo = [(name, *tasks[name]) for name in tasks if name not in known]
    progress(len(names) - len(todo))
    chunks = [todo[n : n + CHUNK] for n in range(0, len(todo), CHUNK)]
    for chunk, found in zip(chunks, spread(_comparer, chunks, workers), strict=True):
        fresh = dict(zip((name for name, *_ in chunk), found, strict=True))
        store.put(key, fresh)
        known |= fresh
        progress(len(chunk))
    table = np.array([[np.nan] * 3 if not name else known[name] for name in names], dtype=np.float64).reshape(-1, 3)
    states = tuple("missing" if np.isnan(code) else _STATES[int(code)] for code in table[:, 0])
    return Likeness(states, table[:, 1], table[:, 2])


def problems(photos: Sequence[Record], pairing: Pairing, likeness: Likeness, recorded: Mapping[str, str]) -> list[str]:
    """Return one line for each photo with a problem.

    Parameters
    ----------
    recorded : mapping
        Name of a photo without its suffix -> the run's recorded status, for photos that failed.
    """
    lines = []
    for n, (record, state) in enumerate(zip(photos, likeness.states, strict=True)):
        if text := problem(record, state, pairing.ambiguous.get(n, ()), recorded):
            more = "; it is judged, and has no SSIM and PSNR" if state == "resized" else ""
            lines.append(f"{record.name}: {text}{more}")
    return lines


def problem(record: Record, state: State, ambiguous: Sequence[str], recorded: Mapping[str, str]) -> str:
    """Return the problem of one photo in words, or an empty text; see `problems`."""
    if ambiguous:
        one = "its protected file could be another photo's, too"
        why = "several files could be its protected one" if len(ambiguous) > 1 else one
        return f"{why}: {', '.join(ambiguous)}"
    if state == "ok":
        return ""
    status = recorded.get(str(PurePosixPath(record.name).with_suffix("")), "")
    return _WORDS[state] + (f" (its run says: {status})" if status else "")


def read_both(original: Path, protected: Path | None) -> tuple[State, Pixels | None, Pixels | None]:
    """Read a photo's two files as (H, W, 3) uint8; None where a file is missing or no whole image."""
    from facepriv.image.decode import read_image

    def read(path: Path | None) -> Pixels | None:
        try:
            return None if path is None else read_image(path).rgb8()
        except ImageError:
            return None

    first, second = read(original), read(protected)
    if protected is None:
        return "missing", first, None
    if first is None:
        return "original unreadable", None, second
    if second is None:
        return "unreadable", first, None
    return "ok" if first.shape == second.shape else "resized", first, second


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _comparer() -> Callable[[list[tuple[str, Path, Path]]], list[NDArray[np.float32]]]:
    return lambda chunk: [_file_likeness(original, protected) for _, original, protected in chunk]


def _file_likeness(original: Path, protected: Path) -> NDArray[np.float32]:
    """Return the index of the state in `_STATES`, SSIM and PSNR."""
    state, first, second = read_both(original, protected)
    if state != "ok" or first is None or second is None or min(first.shape[:2]) < quality.WINDOW:
        return np.array([_STATES.index(state), np.nan, np.nan], dtype=np.float32)
    return np.array([0, quality.ssim(first, second), quality.psnr(first, second)], dtype=np.float32)
