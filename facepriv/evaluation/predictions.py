"""Predictions of judges on photos. Each photo is judged once; predictions are cached by the content of photo and judge.

The face nearest the centre is detected and aligned as a third party would do it. If no face is found, or a model cannot
process it, the prediction is NaN, which the metrics count as an error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, Evaluator, FaceMatcher, Images
from facepriv.errors import DataError
from facepriv.evaluation.judges import Judges
from facepriv.faces.subject import Crop, crop_subject
from facepriv.files import file_hash, make_private
from facepriv.pool import spread

#: Side of the judges' crops, in pixels.
JUDGE_SIZE = 224
#: Photos judged and stored at once; an interruption loses at most one chunk per process.
CHUNK = 16

#: Judge -> its predictions (N, K), (N,) or (N, D), NaN where no face was found; "seen" -> (N,) bool.
Predictions = dict[str, NDArray[Any]]
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
    keys = judges.keys()
    known = {name: store.get(key, places) for name, key in keys.items()}
    missing = _missing(known, list(places))
    progress(len(paths) - sum(len(photos) for _, photos in missing))
    tasks = [(names, [places[photo] for photo in photos]) for names, photos in missing]
    for (names, photos), made in zip(missing, spread(partial(_predictor, judges), tasks, workers), strict=True):
        for name in names:
            fresh = {photo: made[name][n] if made["seen"][n] else None for n, photo in enumerate(photos)}
            store.put(keys[name], fresh)
            known[name] |= fresh
        progress(len(photos))
    return _as_arrays(hashes, known, judges)


def _missing(
    known: Mapping[str, Mapping[str, Prediction]], photos: list[str]
) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return chunks of photos (hashes), each with the judges whose predictions are missing."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for photo in photos:
        names = tuple(name for name, answers in known.items() if photo not in answers)
        if names:
            lacking.setdefault(names, []).append(photo)
    return [(names, some[n : n + CHUNK]) for names, some in lacking.items() for n in range(0, len(some), CHUNK)]


def _predictor(judges: Judges) -> Callable[[tuple[Sequence[str], Sequence[Path]]], Predictions]:
    """Build the judges; returns a function that runs some of them on photos."""
    models = judges.build()

    def run(task: tuple[Sequence[str], Sequence[Path]]) -> Predictions:
        names, paths = task
        faces = stack_crops([crop_subject(path, JUDGE_SIZE) for path in paths])
        return predict_faces(faces, {name: models[name] for name in names})

    return run


def _as_arrays(hashes: Sequence[str], known: Mapping[str, Mapping[str, Prediction]], judges: Judges) -> Predictions:
    """Put the predictions for photos (hashes) into arrays."""
    predictions: Predictions = {"seen": np.zeros(len(hashes), dtype=bool)}
    for name, made in known.items():
        example = next((prediction for prediction in made.values() if prediction is not None), None)
        shape = _shape(judges, name) if example is None else example.shape
        predictions[name] = np.full((len(hashes), *shape), np.nan, dtype=np.float32)
        for n, photo in enumerate(hashes):
            if (prediction := made.get(photo)) is not None:
                predictions[name][n] = prediction
                predictions["seen"][n] = True
    return predictions


def _shape(judges: Judges, name: str) -> tuple[int, ...]:
    """Return the shape of a judge's prediction for one face, by running it on a black square."""
    black = np.zeros((1, JUDGE_SIZE, JUDGE_SIZE, 3), dtype=np.float32)
    return predict(judges.build()[name], black).shape[1:]


def stack_crops(crops: Sequence[Crop]) -> dict[str, NDArray[Any]]:
    """Return the face crops of N photos as ``seen`` (N,) bool and ``images`` (M, S, S, 3) uint8 of the faces found."""
    found = [crop for crop in crops if not isinstance(crop, str)]
    images = np.stack(found) if found else np.zeros((0, JUDGE_SIZE, JUDGE_SIZE, 3), np.uint8)
    return {"seen": np.array([not isinstance(crop, str) for crop in crops]), "images": images}


def predict_faces(faces: Mapping[str, NDArray[Any]], models: Mapping[str, Evaluator]) -> Predictions:
    """Return the predictions of built judges on the result of `stack_crops`; only ``seen`` if there is no face."""
    seen = faces["seen"]
    predictions: Predictions = {"seen": seen}
    if not seen.any():
        return predictions
    images = faces["images"].astype(np.float32) / np.float32(255)
    for name, model in models.items():
        made = predict(model, images)
        predictions[name] = np.full((len(seen), *made.shape[1:]), np.nan, dtype=np.float32)
        predictions[name][seen] = made
    return predictions


def join_chunks(parts: Sequence[Predictions], judges: Judges) -> Predictions:
    """Join chunks; a chunk without any face has no predictions and becomes NaN for all judges."""
    whole: Predictions = {"seen": np.concatenate([part["seen"] for part in parts])}
    for name in judges.kinds:
        made = [part[name] for part in parts if name in part]
        shape = made[0].shape[1:] if made else _shape(judges, name)
        rows = [part.get(name, np.full((len(part["seen"]), *shape), np.nan, np.float32)) for part in parts]
        whole[name] = np.concatenate(rows)
    return whole


def predict(model: Evaluator, images: Images) -> NDArray[np.float32]:
    """Return one model's predictions on aligned crops (N, S, S, 3): estimates (N, K) or (N,), or descriptors (N, D).

    If any value of a face is NaN or infinite, all its values become NaN: the model could not process the face.
    """
    if isinstance(model, FaceMatcher):
        predictions = model.embed(images)
    else:
        assert isinstance(model, AttributeEstimator)
        predictions = model.predict(images)
    finite = np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)
    if finite.all():
        return predictions
    predictions = predictions.astype(np.float32)
    predictions[~finite] = np.nan
    return predictions


def unprocessed(predictions: Predictions, names: Sequence[str], what: str) -> dict[str, str]:
    """Return judge -> message about the faces that it could not process, for judges with any.

    Parameters
    ----------
    predictions : dict
        On N photos.
    names : sequence of str
        The photos' names.
    what : str
        Word for the photos in the message.
    """
    seen = predictions["seen"]
    found = {}
    for judge in sorted(predictions.keys() - {"seen"}):
        lost = np.flatnonzero(seen & np.isnan(predictions[judge]).reshape(len(seen), -1).any(axis=1))
        if len(lost):
            found[judge] = f"gave NaN or infinity for {len(lost)} of {seen.sum()} {what}, first {names[lost[0]]}"
    return found
