"""Predictions of judges on photos. Each photo is judged once; predictions are cached by the content of photo and judge.

The face nearest the centre is detected and aligned as a third party would do it. If no face is found, or a model cannot
process it, the prediction is NaN, which the metrics count as an error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import Evaluator
from facepriv.errors import DataError
from facepriv.evaluation.answers import judged
from facepriv.evaluation.cache_keys import judge_key
from facepriv.evaluation.crops import JUDGE_SIZE
from facepriv.evaluation.judges import Judges
from facepriv.faces.subject import Crop, crop_subject
from facepriv.files import file_hash, make_private
from facepriv.hookspecs import Kind
from facepriv.pool import spread

#: Photos judged and stored at once; an interruption loses at most one chunk per process.
CHUNK = 16

#: Stored prediction for one photo, or None where no face was found.
Prediction = NDArray[np.float32] | None


class PredictionStore:
    """Predictions on disk, in one SQLite file; stored entries survive a crash.

    Parameters
    ----------
    folder : Path or None
        Folder of ``predictions.sqlite``; None keeps everything in memory.

    Raises
    ------
    DataError
        If the file cannot be created or is not an SQLite database.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.place = "memory" if folder is None else str(folder / "predictions.sqlite")
        try:
            if folder is not None:
                make_private(folder)
                Path(self.place).touch(mode=0o600)  # the user's folder may be readable by others
            self._base = sqlite3.connect(":memory:" if folder is None else self.place, timeout=60)
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS answers (judge TEXT, photo TEXT, shape TEXT, value BLOB, "
                "PRIMARY KEY (judge, photo)) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"{self.place}: cannot keep results there ({error}); name another folder") from error

    def get(self, key: str, photos: Iterable[str]) -> dict[str, Prediction]:
        """Return photo -> prediction, for those photos (hashes) that this judge (key) has already judged."""
        found: dict[str, Prediction] = {}
        for photo in photos:
            row = self._base.execute(
                "SELECT shape, value FROM answers WHERE judge = ? AND photo = ?", (key, photo)
            ).fetchone()
            if row is not None:
                shape = tuple(int(n) for n in row[0].split(",") if n)
                found[photo] = None if row[1] is None else np.frombuffer(row[1], np.float32).reshape(shape)
        return found

    def put(self, key: str, answers: Mapping[str, Prediction]) -> None:
        """Store predictions, photo -> prediction; they are on disk when this returns."""
        rows = [
            (key, photo, "", None)
            if value is None
            else (key, photo, ",".join(map(str, value.shape)), value.astype(np.float32).tobytes())
            for photo, value in answers.items()
        ]
        with self._base:
            self._base.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)


def predict_photos(
    paths: Sequence[Path | None],
    judges: Judges,
    store: PredictionStore | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> Predictions:
    """Run every judge on the face nearest the centre of each photo, unless the prediction is stored.

    Parameters
    ----------
    paths : sequence of Path or None
        N photos; None is a missing photo, with NaN for every judge.
    judges : Judges
    store : PredictionStore, optional
        Cache of predictions; new ones are added.
    workers : int
        Number of processes; 0 runs in the current one. The number does not change results.
    progress : callable, optional
        Called with the number of photos just done; the calls add up to N.

    Returns
    -------
    dict
        Judge -> (N, K), (N,) or (N, D) float32, NaN where no face was found; ``seen`` -> (N,) bool.

    Raises
    ------
    DataError
        If a photo cannot be read as a file, or a worker process dies.
    """
    store = store or PredictionStore()
    hashes = ["" if path is None else file_hash(path) for path in paths]
    places = {h: path for h, path in zip(hashes, paths, strict=True) if path is not None}
    kinds: dict[str, Kind] = dict.fromkeys(judges.estimators, "estimator")
    kinds |= dict.fromkeys(judges.matchers, "matcher")
    keys = {name: judge_key(judges.registry, kind, name) for name, kind in kinds.items()}
    known = {name: store.get(key, places) for name, key in keys.items()}
    todo = [_Task(names, tuple((h, places[h]) for h in some)) for names, some in _missing(known, list(places))]
    progress(len(paths) - sum(len(task.photos) for task in todo))
    for task, answers in zip(todo, spread(_PredictionWorker(judges), todo, workers), strict=True):
        for name in task.judges:
            said = {h: answers[name][n] if answers["seen"][n] else None for n, (h, _) in enumerate(task.photos)}
            store.put(keys[name], said)
            known[name] |= said
        progress(len(task.photos))
    return _as_arrays(hashes, known, judges)


@dataclass(frozen=True)
class _Task:
    """Photos (hash, path) that some judges have not judged."""

    judges: tuple[str, ...]
    photos: tuple[tuple[str, Path], ...]


def _missing(
    known: Mapping[str, Mapping[str, Prediction]], photos: list[str]
) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return chunks of photos, each with the judges whose predictions are missing."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for photo in photos:
        names = tuple(name for name, answers in known.items() if photo not in answers)
        if names:
            lacking.setdefault(names, []).append(photo)
    return [(names, some[n : n + CHUNK]) for names, some in lacking.items() for n in range(0, len(some), CHUNK)]


@dataclass(frozen=True)
class _PredictionWorker:
    """Builds the judges, then runs those of a task on its photos."""

    judges: Judges

    def __call__(self) -> Callable[[_Task], Predictions]:
        models = self.judges.build()

        def look(task: _Task) -> Predictions:
            crops = [crop_subject(path, JUDGE_SIZE) for _, path in task.photos]
            return predict_crops(crops, {name: models[name] for name in task.judges})

        return look


def _as_arrays(hashes: Sequence[str], known: Mapping[str, Mapping[str, Prediction]], judges: Judges) -> Predictions:
    """Put predictions into arrays; a judge without any prediction is run once to get the shape."""
    predictions: Predictions = {}
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
        predictions[name] = rows
    return {"seen": seen, **predictions}


def _shape(judges: Judges, name: str) -> tuple[int, ...]:
    black = np.zeros((1, JUDGE_SIZE, JUDGE_SIZE, 3), dtype=np.float32)
    return judged(judges.build()[name], black).shape[1:]


#: Judge -> its predictions (N, K), (N,) or (N, D), NaN where no face was found; "seen" -> (N,) bool.
Predictions = dict[str, NDArray[Any]]


def predict_crops(crops: Sequence[Crop], models: Mapping[str, Evaluator]) -> Predictions:
    """Return the predictions of built judges on crops (`JUDGE_SIZE`); only ``seen`` if no crop has a face."""
    seen = np.array([not isinstance(crop, str) for crop in crops])
    predictions: Predictions = {"seen": seen}
    if not seen.any():
        return predictions
    images = np.stack([crop for crop in crops if not isinstance(crop, str)]).astype(np.float32) / np.float32(255)
    for name, model in models.items():
        said = judged(model, images)
        predictions[name] = np.full((len(crops), *said.shape[1:]), np.nan, dtype=np.float32)
        predictions[name][seen] = said
    return predictions


def joined(parts: Sequence[Predictions], judges: Judges) -> Predictions:
    """Join chunks; a chunk without any face has no predictions and becomes NaN for all judges."""
    shapes = next((part for part in parts if part["seen"].any()), None)
    if shapes is None:
        # Run the judges on a black square to get the shapes of their predictions.
        black = np.zeros((1, JUDGE_SIZE, JUDGE_SIZE, 3), dtype=np.float32)
        shapes = {"seen": np.zeros(1, bool)} | {name: judged(model, black) for name, model in judges.build().items()}
    whole: Predictions = {}
    for name, example in shapes.items():
        rows = [part.get(name, np.full((len(part["seen"]), *example.shape[1:]), np.nan, np.float32)) for part in parts]
        whole[name] = np.concatenate(rows)
    return whole
