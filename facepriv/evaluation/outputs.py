"""Run one method under many requests and judge each output with independent models, without writing files.

Photos are processed as by ``facepriv apply``: detect, crop, label, change, paste at the photo's own bit depth, encode.
Faces are then detected and aligned again in the decoded result. Steps common to all requests (reading, detection,
crops, own labels) run once per photo. Only the judges' predictions are stored, so an interrupted run resumes. Face
crops are stored only for attacks (`facepriv.attacks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.evaluation.cache_keys import component_key, core_hash
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.predictions import JUDGE_SIZE, Predictions, join_chunks, predict_faces, stack_crops
from facepriv.faces import find_faces
from facepriv.faces.subject import Crop, cut_subject, nearest_centre
from facepriv.files import digest, file_hash, load_arrays, save_arrays
from facepriv.image.decode import decode_image, read_image
from facepriv.image.encode import encode_image
from facepriv.image.photo import Photo
from facepriv.pool import spread, use_one_thread
from facepriv.protection.pipeline import Prepared, build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import DEFAULT_ESTIMATOR, Registry
from facepriv.schema import ATTRIBUTES

#: Name of the predictions on the unprotected photos.
ORIGINAL = "original"
#: Photos processed and stored at once; an interruption loses at most one chunk per process.
CHUNK = 32


@dataclass(frozen=True)
class OutputRun:
    """A method with its requests and judges; can be pickled.

    Parameters
    ----------
    registry : Registry
    method : str
    requests : mapping
        Name of an output -> request to the method.
    judges : Judges
        Judges of every output and of the originals.
    key : bytes
        Key for random targets.
    encode_originals : bool
        Judge the originals after encoding them as the method would, so that a method that does nothing changes
        nothing; else judge the files as they are.
    keep_crops : bool
        Also store the face crops that the judges receive.
    in_place : bool
        Crop the faces of every output at the original positions; else detect and align them again, as a third party
        would. Use it for outputs that hardly differ: landmarks are whole pixels, and a change of one value may move
        them.
    true_classes : mapping
        Photo -> attribute -> class of the photo's subject. The method receives these instead of estimates.
    """

    registry: Registry
    method: str
    requests: Mapping[str, PrivacyRequest]
    judges: Judges
    key: bytes = field(repr=False)
    encode_originals: bool = False
    keep_crops: bool = False
    in_place: bool = False
    true_classes: Mapping[Path, Mapping[str, int]] = field(default_factory=dict)

    def keys(self) -> dict[str, str]:
        """Return output (and `ORIGINAL`) -> cache key of its predictions, not counting the photos."""
        judges = sorted(f"{name} {key}" for name, key in self.judges.keys().items())
        return {name: digest([*judges, crop]) for name, crop in self.crop_keys().items()}

    def crop_keys(self) -> dict[str, str]:
        """Return output (and `ORIGINAL`) -> cache key of its face crops, not counting the photos."""
        info = self.registry.create("method", self.method).info()
        method = component_key(self.registry.find("method", self.method), str(info.get("weights") or ""))
        made = [method, str(info.get("dtype") or ""), self.key.hex(), *self._label_keys()]
        place = ["in place"] * self.in_place
        keys = {name: digest([*made, *place, repr(request)]) for name, request in self.requests.items()}
        # Originals that are not encoded are always cropped in place.
        original = ["encoded", *place] if self.encode_originals else []
        return {ORIGINAL: digest([core_hash(), *original]), **keys}

    def _label_keys(self) -> list[str]:
        """Return the key parts for the classes that the method receives."""
        if self.true_classes:
            return [f"{path.name} {sorted(classes.items())}" for path, classes in self.true_classes.items()]
        known = self.registry.descriptors("estimator")
        names = [DEFAULT_ESTIMATOR.format(attribute=attribute) for attribute in ATTRIBUTES]
        return [component_key(known[name]) for name in names if name in known]


@dataclass(frozen=True)
class OutputTask:
    """Photos, the outputs to make of them, and where the face crops of each are stored, if at all."""

    paths: tuple[Path, ...]
    outputs: tuple[str, ...]
    kept: Mapping[str, Path] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of photo outputs in the task."""
        return len(self.paths) * len(self.outputs)


@dataclass(frozen=True)
class OutputPlan:
    """Which predictions are cached, and which are missing.

    Parameters
    ----------
    output_run : OutputRun
    folders : dict
        Output, and `ORIGINAL` -> folder of its predictions.
    files : tuple of str
        File name of each chunk of photos, the same in every folder.
    tasks : dict
        File name -> what is missing of this chunk.
    crops : dict
        Output, and `ORIGINAL` -> folder of its face crops, under the same file names; see `stack_crops`. A file also
        has ``turned`` (N, A) int8, see `turned`.
    """

    output_run: OutputRun
    folders: dict[str, Path]
    files: tuple[str, ...]
    tasks: dict[str, OutputTask]
    crops: dict[str, Path] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Number of photo outputs still to be made and judged."""
        return sum(task.count for task in self.tasks.values())

    def run(self, *, workers: int = 1, progress: Callable[[int], None] = lambda count: None) -> dict[str, Predictions]:
        """Compute what is missing; return the predictions on the originals and on every output.

        Parameters
        ----------
        workers : int
            Number of processes; 0 runs in the current one. The number does not change results.
        progress : callable, optional
            Called after each chunk with its number of photo outputs.

        Returns
        -------
        dict
            Output, and `ORIGINAL` -> predictions on all photos, in their order.

        Raises
        ------
        FaceprivError
            If a photo cannot be read, or the method fails on one.
        """
        if self.tasks:
            done = spread(partial(_OutputWorker, self.output_run), list(self.tasks.values()), workers)
            for (file, task), predictions in zip(self.tasks.items(), done, strict=True):
                for output, seen in predictions.items():
                    save_arrays(self.folders[output] / file, seen)
                progress(task.count)
        judges = self.output_run.judges
        return {
            output: join_chunks([load_arrays(folder / file) for file in self.files], judges)
            for output, folder in self.folders.items()
        }


def plan(output_run: OutputRun, paths: Sequence[Path], place: Path) -> OutputPlan:
    """Return the plan of a run: what is cached and what is missing.

    Parameters
    ----------
    paths : sequence of Path
        N different photos. All faces of a photo are protected; the one nearest the centre is judged.
    place : Path
        Folder for predictions, stored by output under hashes of their inputs.
    """
    folders = {name: place / f"{name}-{key}" for name, key in output_run.keys().items()}
    kept_keys = output_run.crop_keys() if output_run.keep_crops else {}
    crops = {name: place / f"faces-{name}-{key}" for name, key in kept_keys.items()}
    chunks = [tuple(paths[start : start + CHUNK]) for start in range(0, len(paths), CHUNK)]
    files = tuple(f"{digest(map(file_hash, chunk))}.npz" for chunk in chunks)
    tasks = {}
    for file, chunk in zip(files, chunks, strict=True):
        missing = tuple(o for o in folders if not all((kept[o] / file).is_file() for kept in (folders, crops) if kept))
        if missing:
            tasks[file] = OutputTask(chunk, missing, {o: crops[o] / file for o in missing if crops})
    return OutputPlan(output_run, folders, files, tasks, crops)


class _OutputWorker:
    """Protects the photos of a task under every request, and judges the outputs."""

    def __init__(self, output_run: OutputRun) -> None:
        use_one_thread()
        self.output_run = output_run
        self.models = output_run.judges.build()
        # Pipelines differ only in the request; they share the method, the estimators and loaded models.
        first = next(iter(output_run.requests.values()))
        base = build_pipeline(output_run.registry, (output_run.method,), first, key=output_run.key)
        self.pipelines = {name: replace(base, request=request) for name, request in output_run.requests.items()}
        use_one_thread()  # again: a plugin may have imported torch

    def __call__(self, task: OutputTask) -> dict[str, Predictions]:
        there = {name: file for name, file in task.kept.items() if file.is_file()}
        missing = tuple(name for name in task.outputs if name not in there)
        crops: dict[str, list[Crop]] = {name: [] for name in missing}
        turned: dict[str, list[NDArray[np.int8]]] = {name: [] for name in missing}
        for path in task.paths if missing else ():
            for name, crop, changes in self._crops(path, missing):
                crops[name].append(crop)
                turned[name].append(changes)
        faces = {name: {**stack_crops(crops[name]), "turned": np.stack(turned[name])} for name in missing}
        for name in faces.keys() & task.kept.keys():
            save_arrays(task.kept[name], faces[name], compressed=True)
        faces |= {name: load_arrays(file) for name, file in there.items()}
        return {name: predict_faces(own, self.models) for name, own in faces.items()}

    def _crops(self, path: Path, outputs: tuple[str, ...]) -> Iterator[tuple[str, Crop, NDArray[np.int8]]]:
        """Yield every output's name, its face crop, and the subject's changes of class as in `turned`."""
        photo = read_image(path)
        prepared = self._prepared(photo, self.output_run.true_classes.get(path, {}))
        for name in outputs:
            if name == ORIGINAL and not self.output_run.encode_originals:
                yield name, cut_subject(photo.rgb8(), prepared.faces, JUDGE_SIZE), turned(None)
                continue
            aimed = None if name == ORIGINAL else self.pipelines[name].aim(prepared)
            changed = photo if aimed is None else self.pipelines[name].finish([aimed])[0].photo
            rgb = decode_image(encode_image(changed, path), path).rgb8()
            faces = prepared.faces if self.output_run.in_place else find_faces(rgb)
            yield name, cut_subject(rgb, faces, JUDGE_SIZE), turned(aimed)

    def _prepared(self, photo: Photo, true_classes: Mapping[str, int]) -> Prepared:
        """Find and label the faces of a photo; the subject's face gets its true classes where they are known."""
        prepared = next(iter(self.pipelines.values())).prepare(photo)
        if not (true_classes and prepared.faces):
            return prepared
        n = _subject(prepared)
        labels = {name: values.copy() for name, values in prepared.batch.labels.items()}
        for name, own in true_classes.items():
            labels[name][n] = own
        return replace(prepared, batch=replace(prepared.batch, labels=labels))


def turned(aimed: Prepared | None) -> NDArray[np.int8]:
    """Return for each attribute (A,) whether the subject's target differs from its own class: 1, 0; -1 is unknown."""
    found = np.full(len(ATTRIBUTES), -1, np.int8)
    if aimed is not None and aimed.faces:
        n = _subject(aimed)
        for column, name in enumerate(ATTRIBUTES):
            own, target = aimed.source[name][n], aimed.target[name][n]
            found[column] = -1 if own < 0 or target < 0 else own != target
    return found


def _subject(prepared: Prepared) -> int:
    """Return the index of the face nearest the centre."""
    subject = nearest_centre(prepared.faces, prepared.photo.rgb8().shape)
    return next(n for n, face in enumerate(prepared.faces) if face is subject)
