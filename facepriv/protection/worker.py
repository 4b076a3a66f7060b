"""The work that every engine does on a chunk of files: read, protect, and write each to its staging path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from facepriv.errors import FaceprivError, ImageError, PluginError, WeightsError, cleaned, one_line
from facepriv.files import file_sha256
from facepriv.image import Photo, read_image, read_member, write_image
from facepriv.pool import use_one_thread
from facepriv.protection.manifest import Status
from facepriv.protection.options import WorkerSetup
from facepriv.protection.pipeline import Pipeline, Prepared, Protected, build_pipeline
from facepriv.schema import ATTRIBUTES

# Photos are held in memory until a batch of faces is full; this limits them, in values (three per colour pixel).
_HELD_VALUES = 100_000_000

#: Position of a photo's bytes in a file: offset and length.
Span = tuple[int, int]


@dataclass(frozen=True)
class FileTask:
    """One file to make at `staged`, whose suffix gives the format.

    Parameters
    ----------
    number : int
    source, staged : Path
    member : str
        Its name within `source` if that is a shard, see `facepriv.protection.shards`.
    span : tuple of int, optional
        Its position there; None: the whole file.
    """

    number: int
    source: Path
    staged: Path
    member: str = ""
    span: Span | None = None

    @property
    def label(self) -> str:
        """Its name in error messages."""
        return f"{self.source}: {self.member}" if self.member else str(self.source)

    def read(self) -> Photo:
        """Read the photo; raises `ImageError`."""
        return read_image(self.source) if self.span is None else read_member(self.source, self.span, self.label)


@dataclass(frozen=True)
class Outcome:
    """The result of a task; if `sha256` is set, the staged file is complete, synced and hashed.

    Parameters
    ----------
    number : int
        The task's.
    status : Status
        See `facepriv.protection.manifest.ManifestRow`.
    faces : int
        Number of faces treated.
    sha256, error : str
    audit : dict or None
    source : str
        SHA-256 of the input that the output was made from; empty if there is no output. It is private.
    unchanged : int
        Number of treated faces that did not change. It is private: a drawn class may leave a face unchanged.
    small, uncertain : int
        Numbers of faces that cannot be protected well, see `facepriv.faces.finding.Found`. They are private.
    faceless : bool
        Whether no face was found, whatever was then done. It is private.
    parts : tuple of (str, Outcome)
        For a shard: the names and outcomes of its photos, in order.
    """

    number: int
    status: Status
    faces: int = 0
    sha256: str = ""
    error: str = ""
    audit: dict[str, Any] | None = None
    source: str = ""
    unchanged: int = 0
    small: int = 0
    uncertain: int = 0
    faceless: bool = False
    parts: tuple[tuple[str, Outcome], ...] = ()

    @property
    def photos(self) -> list[Outcome]:
        """The outcomes of single photos: itself, or a shard's."""
        return [outcome for _, outcome in self.parts] or [self]

    @property
    def errors(self) -> list[str]:
        """One line for each failed photo, and for the task itself."""
        return [one.error for one in (self, *(part for _, part in self.parts)) if one.error]


class ChunkWorker:
    """Processes files with one pipeline. Building it raises what `build_pipeline` raises."""

    def __init__(self, setup: WorkerSetup) -> None:
        self.setup = setup
        use_one_thread()
        self.pipeline: Pipeline = build_pipeline(
            setup.registry,
            setup.methods,
            setup.request,
            key=setup.key,
            estimators=setup.estimators,
            device=setup.device,
            batch_size=setup.batch_size,
            thorough=setup.thorough,
            detector=setup.detector,
            min_face=setup.min_face,
        )
        use_one_thread()  # again: a plugin may have imported torch

    def describe(self) -> dict[str, Any]:
        """Return the entries of ``run.json`` about components, device and torch's version.

        Raises
        ------
        FaceprivError
            As raised by a component's ``info``; any other error becomes a `PluginError`.
        """
        estimators = self.pipeline.estimators
        try:
            return {
                "device": self.setup.device,
                "detector": self.setup.detector,
                "torch": _installed("torch"),
                "methods": [method.info() for method in self.pipeline.methods],
                "estimators": {name: e.name for name, e in estimators.items()},
                "estimator_weights": {name: e.weights for name, e in estimators.items()},
            }
        except FaceprivError:
            raise
        except Exception as error:  # a plugin may raise anything
            raise PluginError(one_line(error)) from error

    def process(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        """Process `tasks`, with faces of several photos in a batch; yields one outcome per task, in any order.

        Raises
        ------
        WeightsError
            If weights are missing or damaged: no file can be processed.
        """
        held: list[tuple[FileTask, Prepared]] = []
        for task in tasks:
            try:
                prepared = self.pipeline.prepare(task.read())
            except WeightsError:
                raise
            except Exception as error:  # an error in one file does not stop the others
                yield _failed(task, error)
                continue
            if self.setup.strict and (prepared.small or prepared.uncertain):
                yield _not_sure(task, prepared, self.setup.min_face)
                continue
            if not prepared.faces:
                outcome = self._without_face(task, prepared.photo)
                yield replace(outcome, uncertain=prepared.uncertain, faceless=True)
                continue
            held.append((task, prepared))
            faces = sum(len(item.faces) for _, item in held)
            if faces >= self.setup.batch_size or sum(item.photo.pixels.size for _, item in held) > _HELD_VALUES:
                yield from self._finish(held)
                held = []
        yield from self._finish(held)

    def _without_face(self, task: FileTask, photo: Photo) -> Outcome:
        if self.setup.on_no_face == "skip":
            return Outcome(task.number, "no-face")
        if self.setup.on_no_face == "copy":
            return self._write(task, photo, "copied", 0)
        text = f"{task.label}: no face found (--on-no-face skip or copy makes this no error)"
        return Outcome(task.number, "failed", error=text)

    def _finish(self, held: Sequence[tuple[FileTask, Prepared]]) -> Iterator[Outcome]:
        """Protect and write prepared photos; if the batch fails, one by one, so that only the faulty photo fails."""
        try:
            results = self.pipeline.finish([prepared for _, prepared in held])
        except WeightsError:
            raise
        except Exception as error:  # an error in one file does not stop the others
            if len(held) == 1:
                yield _failed(held[0][0], error)
                return
            for one in held:
                yield from self._finish([one])
            return
        for (task, _), result in zip(held, results, strict=True):
            audit = self._audit(task, result) if self.setup.audit else None
            outcome = self._write(task, result.photo, "ok", len(result.prepared.faces))
            if outcome.sha256:
                counts = {"small": result.prepared.small, "uncertain": result.prepared.uncertain}
                outcome = replace(outcome, audit=audit, unchanged=_unchanged(result), **counts)
            yield outcome

    def _write(self, task: FileTask, photo: Photo, status: Status, faces: int) -> Outcome:
        try:
            if not task.staged.parent.is_dir():  # the parent was killed, and the next run removed the folder
                raise ImageError(f"{task.label}: the staging folder has gone")
            write_image(photo, task.staged, keep_metadata=self.setup.keep_metadata)
            return Outcome(task.number, status, faces, file_sha256(task.staged), source=photo.content_hash)
        except Exception as error:  # a full disk or an unsuitable format: only this file fails
            return _failed(task, error)

    def _audit(self, task: FileTask, result: Protected) -> dict[str, Any]:
        request = self.setup.request
        return {
            "input": task.label,
            "settings": _settings(self.setup),
            "obfuscate": list(request.hidden),
            "policy": request.policy,
            "strength": request.strength,
            "seed": request.seed,
            "faces": [_audit_face(result.prepared, n) for n in range(len(result.prepared.faces))],
        }


def _not_sure(task: FileTask, item: Prepared, min_face: float) -> Outcome:
    """Return the failure of a photo whose faces cannot all be protected well."""
    counts = [(item.small, f"narrower than {min_face:g} pixels"), (item.uncertain, "uncertain")]
    said = " and ".join(f"{count} face{'s' * (count != 1)} {what}" for count, what in counts if count)
    return Outcome(task.number, "failed", error=f"{task.label}: {said}, so not written (without --strict it is)")


def _unchanged(result: Protected) -> int:
    """Return how many faces of a photo did not change."""
    before = result.prepared
    if np.array_equal(before.photo.pixels, result.photo.pixels):
        return len(before.faces)
    return sum(np.array_equal(*pair) for pair in zip(before.batch.images, result.crops, strict=True))


def _settings(setup: WorkerSetup) -> dict[str, dict[str, str]]:
    """Return method -> its options as texts, for the methods that have any."""
    options = {name: setup.registry.find("method", name).options for name in setup.methods}
    return {name: {key: str(value) for key, value in own.items()} for name, own in options.items() if own}


def _audit_face(item: Prepared, n: int) -> dict[str, Any]:
    def named(labels: Mapping[str, Any]) -> dict[str, str]:
        return {a: spec.classes[labels[a][n]] if labels[a][n] >= 0 else "unknown" for a, spec in ATTRIBUTES.items()}

    box = [round(float(v), 1) for v in item.faces[n].box]
    return {"box": box, "source": named(item.source), "target": named(item.target)}


def _failed(task: FileTask, error: Exception) -> Outcome:
    text, source, staged = one_line(error), cleaned(task.label), cleaned(str(task.staged))
    # Texts about a file name it already.
    named = isinstance(error, FaceprivError) and (source in text or staged in text)
    text = text.replace(staged, source)
    return Outcome(task.number, "failed", error=text if named else f"{source}: {text}")


def _installed(distribution: str) -> str:
    """Return a distribution's version without importing it, or an empty text."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
