"""What judges see in photos, each photo looked at once: kept by the content of the photo and of the judge.

As in `facepriv.evaluate`, a photo is looked at as a stranger would: the face nearest the centre is found and aligned
anew. The same bytes give the same answer in whatever folder they lie.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.caches import make_private
from facepriv.datasets.crops import crop_subject
from facepriv.errors import DataError
from facepriv.evaluate import JUDGE_SIZE, Judges, Looks, look_at, spread
from facepriv.evaluation.answers import judged
from facepriv.fingerprints import CODE, WEIGHTS, digest, file_hash, package_hash, target_hash
from facepriv.hookspecs import Kind
from facepriv.registry import Registry

#: The code between a photo and what judges say of it.
LOOKING = (
    "facepriv.faces",
    "facepriv.images",
    "facepriv.imageformats",
    "facepriv.cmyk",
    "facepriv.datasets.crops",
    "facepriv.evaluation.answers",
)
#: Photos looked at and kept at once; what an interruption costs at most, for each process.
CHUNK = 16
_BESIDE = (".toml", ".json")

#: What is kept of one photo: an answer, or None where no face was found.
Answer = NDArray[np.float32] | None


class LookStore:
    """Answers on disk, in one SQLite file; what was put stays whatever ends the process.

    Parameters
    ----------
    folder : Path or None
        Where ``looks.sqlite`` is kept; None keeps all in memory.

    Raises
    ------
    DataError
        If the file cannot be made or is no such file.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.place = "memory" if folder is None else str(folder / "looks.sqlite")
        try:
            if folder is not None:
                make_private(folder)
                Path(self.place).touch(mode=0o600)  # the folder may be one of the user's that others can read
            self._base = sqlite3.connect(":memory:" if folder is None else self.place, timeout=60)
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS answers (judge TEXT, photo TEXT, shape TEXT, value BLOB, "
                "PRIMARY KEY (judge, photo)) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"{self.place}: cannot keep results there ({error}); name another folder") from error

    def get(self, key: str, photos: Iterable[str]) -> dict[str, Answer]:
        """Return photo -> answer of those photos (hashes) that this judge (key) has looked at."""
        found: dict[str, Answer] = {}
        for photo in photos:
            row = self._base.execute(
                "SELECT shape, value FROM answers WHERE judge = ? AND photo = ?", (key, photo)
            ).fetchone()
            if row is not None:
                shape = tuple(int(n) for n in row[0].split(",") if n)
                found[photo] = None if row[1] is None else np.frombuffer(row[1], np.float32).reshape(shape)
        return found

    def put(self, key: str, answers: Mapping[str, Answer]) -> None:
        """Keep answers, photo -> answer; they are on disk when this returns."""
        rows = [
            (key, photo, "", None)
            if value is None
            else (key, photo, ",".join(map(str, value.shape)), value.astype(np.float32).tobytes())
            for photo, value in answers.items()
        ]
        with self._base:
            self._base.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)


def judge_key(known: Registry, kind: Kind, name: str) -> str:
    """Return a hash of all that decides what a judge says of a photo, but the photo; not of its name.

    A file that one of its options names counts by its content, and so does a settings file beside it.
    """
    descriptor = known.find(kind, name)
    return digest([*looking_parts(), target_hash(descriptor.target), *option_parts(descriptor.options)])


def looking_parts() -> list[str]:
    """Return what must be hashed of the way from a photo to the face that a judge sees."""
    return [str(JUDGE_SIZE), *(package_hash(package, CODE | WEIGHTS) for package in LOOKING)]


def option_parts(options: Mapping[str, Any]) -> list[str]:
    """Return what must be hashed of a component's options: of a file that one names, its content."""
    parts = []
    for option, value in sorted(options.items()):
        parts.append(f"{option}={value}")
        path = Path(str(value))
        if isinstance(value, str | Path) and path.is_file():
            parts[-1] = f"{option}={file_hash(path)}"
            parts += [file_hash(p) for p in (path.with_suffix(s) for s in _BESIDE) if p.is_file() and p != path]
    return parts


def look_at_photos(
    paths: Sequence[Path | None],
    judges: Judges,
    store: LookStore | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> Looks:
    """Let every judge look at the face nearest the centre of each photo, unless it has.

    Parameters
    ----------
    paths : sequence of Path or None
        N photos; None is one that is not there, and of which every judge says NaN.
    judges : Judges
    store : LookStore, optional
        What is known already, and where what is new is kept.
    workers : int
        Processes; 0 works in this one. The number changes no result.
    progress : callable, optional
        Told how many photos more are done, all N in the end.

    Returns
    -------
    dict
        Judge -> (N, K), (N,) or (N, D) float32, NaN where it saw no face; ``seen`` -> (N,) bool.

    Raises
    ------
    DataError
        If a photo cannot be read as a file, or a worker process dies.
    """
    store = store or LookStore()
    hashes = ["" if path is None else file_hash(path) for path in paths]
    places = {h: path for h, path in zip(hashes, paths, strict=True) if path is not None}
    kinds: dict[str, Kind] = dict.fromkeys(judges.estimators, "estimator")
    kinds |= dict.fromkeys(judges.matchers, "matcher")
    keys = {name: judge_key(judges.registry, kind, name) for name, kind in kinds.items()}
    known = {name: store.get(key, places) for name, key in keys.items()}
    todo = [_Task(names, tuple((h, places[h]) for h in some)) for names, some in _missing(known, list(places))]
    progress(len(paths) - sum(len(task.photos) for task in todo))
    for task, answers in zip(todo, spread(_Onlooker(judges), todo, workers), strict=True):
        for name in task.judges:
            said = {h: answers[name][n] if answers["seen"][n] else None for n, (h, _) in enumerate(task.photos)}
            store.put(keys[name], said)
            known[name] |= said
        progress(len(task.photos))
    return _looks(hashes, known, judges)


@dataclass(frozen=True)
class _Task:
    """Photos (hash, path) that some judges have not looked at."""

    judges: tuple[str, ...]
    photos: tuple[tuple[str, Path], ...]


def _missing(known: Mapping[str, Mapping[str, Answer]], photos: list[str]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return chunks of photos that lack the same judges, and which these are."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for photo in photos:
        names = tuple(name for name, answers in known.items() if photo not in answers)
        if names:
            lacking.setdefault(names, []).append(photo)
    return [(names, some[n : n + CHUNK]) for names, some in lacking.items() for n in range(0, len(some), CHUNK)]


@dataclass(frozen=True)
class _Onlooker:
    """Builds the judges, and then lets those of a task look at its photos."""

    judges: Judges

    def __call__(self) -> Callable[[_Task], Looks]:
        models = self.judges.build()

        def look(task: _Task) -> Looks:
            crops = [crop_subject(path, JUDGE_SIZE) for _, path in task.photos]
            return look_at(crops, {name: models[name] for name in task.judges})

        return look


def _looks(hashes: Sequence[str], known: Mapping[str, Mapping[str, Answer]], judges: Judges) -> Looks:
    """Put the answers into arrays; a judge that saw no face at all is asked how wide its answers are."""
    looks: Looks = {}
    seen = np.zeros(len(hashes), dtype=bool)
    for name, answers in known.items():
        example = next((a for a in answers.values() if a is not None), None)
        shape = _shape(judges, name) if example is None else example.shape
        rows: NDArray[Any] = np.full((len(hashes), *shape), np.nan, dtype=np.float32)
        for n, photo in enumerate(hashes):
            answer = answers.get(photo)
            if answer is not None:
                rows[n] = answer
                seen[n] = True
        looks[name] = rows
    return {"seen": seen, **looks}


def _shape(judges: Judges, name: str) -> tuple[int, ...]:
    black = np.zeros((1, JUDGE_SIZE, JUDGE_SIZE, 3), dtype=np.float32)
    return judged(judges.build()[name], black).shape[1:]
