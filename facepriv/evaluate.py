"""What independent models see in photos: the step between a folder of photos and the metrics.

Photos are looked at as a stranger would: the face is found and aligned anew in every photo, protected or not. A face
that is not found, or that a model cannot take, is NaN, which the metrics count as an error.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, Evaluator, FaceMatcher, Images
from facepriv.datasets.crops import crop_subject
from facepriv.engines.chunk import use_one_thread
from facepriv.errors import DataError
from facepriv.hookspecs import Kind
from facepriv.registry import Registry
from facepriv.schema import GENDER

#: Side of the crops that judges are given, in pixels.
JUDGE_SIZE = 224
_CHUNK = 16

#: Name of a judge -> what it says of each photo, (N, K), (N,) or (N, D), NaN where it saw none; "seen" -> (N,) bool.
Looks = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Judges:
    """Who looks: estimators and matchers by name; builds them where it is used, so it travels to other processes."""

    registry: Registry
    estimators: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()

    def build(self) -> dict[str, Evaluator]:
        """Return name -> model; raises `UsageError` for an unknown name."""
        named: list[tuple[Kind, str]] = [("estimator", n) for n in self.estimators]
        named += [("matcher", n) for n in self.matchers]
        return {name: self.registry.create(kind, name) for kind, name in named}

    def fingerprint(self) -> str:
        """Return a hash of what decides their words: their packages' files, detection and alignment."""
        descriptors = [self.registry.find("estimator", n) for n in self.estimators]
        descriptors += [self.registry.find("matcher", n) for n in self.matchers]
        packages = {d.target.partition(":")[0].partition(".")[0] for d in descriptors}
        names = ",".join((*self.estimators, "|", *self.matchers))
        return digest([names, str(JUDGE_SIZE), *(package_hash(p) for p in sorted({*packages, "facepriv.faces"}))])


def look(
    paths: Sequence[Path],
    judges: Judges,
    *,
    workers: int = 1,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Looks:
    """Let every judge look at the face nearest the centre of each photo.

    Parameters
    ----------
    paths : sequence of Path
        N photos.
    workers : int
        Processes; 0 works in this one. The number changes no result.
    cache : Path, optional
        Folder in which results are kept, under a hash of the files and the judges.
    progress : callable, optional
        Told how many photos are done, now and then.

    Raises
    ------
    DataError
        If a photo is missing, or a worker process dies.
    """
    kept = None if cache is None else cache / f"looks-{digest([judges.fingerprint(), *map(_file_hash, paths)])}.npz"
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            return dict(file)
    chunks = [list(paths[start : start + _CHUNK]) for start in range(0, len(paths), _CHUNK)]
    parts = []
    for part in _parts(chunks, judges, workers):
        parts.append(part)
        if progress:
            progress(sum(len(p["seen"]) for p in parts))
    looks = _stacked(parts, judges)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f".{os.getpid()}-{kept.name}")
        np.savez(partial, allow_pickle=False, **looks)
        os.replace(partial, kept)
    return looks


def judged(model: Evaluator, images: Images) -> NDArray[np.float32]:
    """Return what one model says of aligned crops (N, S, S, 3): estimates (N, K) or (N,), or descriptors (N, D)."""
    if isinstance(model, FaceMatcher):
        return model.embed(images)
    assert isinstance(model, AttributeEstimator)
    return model.predict(images)


class Told(AttributeEstimator):
    """Says of every face the gender that it was told, for methods that are to be given true labels."""

    attribute: ClassVar[str] = "gender"
    trained_on: ClassVar[str] = "nothing: repeats a known label"

    def __init__(self, label: str) -> None:
        self.label = label

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Return (N, 2) with probability 1 for the label."""
        row = np.zeros(len(GENDER.classes), dtype=np.float32)
        row[GENDER.index(self.label)] = 1
        return np.tile(row, (len(images), 1))


def package_hash(package: str) -> str:
    """Return a hash of a package's code and weights; a changed file is a changed result."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        origin = "" if spec is None else str(spec.origin)
        return digest([package, _file_hash(Path(origin)) if Path(origin).is_file() else ""])
    root = Path(next(iter(spec.submodule_search_locations)))
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix in {".py", ".safetensors", ".json", ".onnx"})
    return digest([package, *(f"{p.relative_to(root)} {_file_hash(p)}" for p in files)])


def digest(parts: Iterable[str]) -> str:
    """Return a short hash of texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _parts(chunks: list[list[Path]], judges: Judges, workers: int) -> Iterator[Looks]:
    if not workers:
        use_one_thread()
        models = judges.build()
        yield from (_look_at(chunk, models) for chunk in chunks)
        return
    judges.build()  # what cannot be built is an error here, not in a worker
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), _start, (judges,)) as pool:
            yield from pool.map(_work, chunks)
    except BrokenProcessPool as error:
        raise DataError(
            "a process that looked at photos died, perhaps for want of memory: use fewer workers"
        ) from error


_models: dict[str, Evaluator] = {}


def _start(judges: Judges) -> None:
    """Begin a worker process: its models live as long as it does."""
    use_one_thread()
    _models.update(judges.build())


def _work(chunk: list[Path]) -> Looks:
    return _look_at(chunk, _models)


def _look_at(chunk: list[Path], models: dict[str, Evaluator]) -> Looks:
    crops = [crop_subject(path, JUDGE_SIZE) for path in chunk]
    seen = np.array([not isinstance(crop, str) for crop in crops])
    looks: Looks = {"seen": seen}
    if not seen.any():
        return looks
    images = np.stack([crop for crop in crops if not isinstance(crop, str)]).astype(np.float32) / np.float32(255)
    for name, model in models.items():
        said = judged(model, images)
        looks[name] = np.full((len(chunk), *said.shape[1:]), np.nan, dtype=np.float32)
        looks[name][seen] = said
    return looks


def _stacked(parts: list[Looks], judges: Judges) -> Looks:
    """Join the chunks; one without any face says nothing of its judges, and is NaN for all of them."""
    told = next((part for part in parts if part["seen"].any()), None)
    if told is None:
        # What a judge says of a black square tells how wide its answers are.
        black = np.zeros((1, JUDGE_SIZE, JUDGE_SIZE, 3), dtype=np.float32)
        told = {"seen": np.zeros(1, bool)} | {name: judged(model, black) for name, model in judges.build().items()}
    joined: Looks = {}
    for name, example in told.items():
        rows = [part.get(name, np.full((len(part["seen"]), *example.shape[1:]), np.nan, np.float32)) for part in parts]
        joined[name] = np.concatenate(rows)
    return joined
