"""What independent models say of aligned faces: the step between photos and the metrics.

A face that is not found, or that a model cannot take, is NaN, which the metrics count as an error.
`facepriv.evaluation.looks` shows them photos, as a stranger would look at them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, Evaluator, Images
from facepriv.datasets.crops import Crop
from facepriv.engines.chunk import use_one_thread
from facepriv.errors import DataError
from facepriv.evaluation.answers import judged
from facepriv.hookspecs import Kind
from facepriv.registry import Registry
from facepriv.schema import GENDER

#: Side of the crops that judges are given, in pixels.
JUDGE_SIZE = 224

T = TypeVar("T")
R = TypeVar("R")

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


def save_looks(path: Path, looks: Looks) -> None:
    """Write looks to a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    np.savez(partial, allow_pickle=False, **looks)
    os.replace(partial, path)


def load_looks(path: Path) -> Looks:
    """Return what `save_looks` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


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


def spread(build: Callable[[], Callable[[T], R]], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """Yield, in order, what a worker makes of each task; every process builds its own worker.

    Parameters
    ----------
    build : callable
        Returns the worker; it travels to other processes.
    workers : int
        Processes; 0 works in this one.

    Raises
    ------
    DataError
        If a worker process dies.
    """
    if not workers:
        use_one_thread()
        yield from map(build(), tasks)
        return
    build()  # what cannot be built is an error here, not in a worker
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), _start, (build,)) as pool:
            yield from pool.map(_do, tasks)
    except BrokenProcessPool as error:
        raise DataError("a worker process died, perhaps for want of memory: use fewer workers") from error


_worker: list[Callable[[Any], Any]] = []


def _start(build: Callable[[], Callable[[Any], Any]]) -> None:
    """Begin a worker process: what it builds lives as long as it does, and it no longer than its parent."""
    Thread(target=_end_with_parent, daemon=True).start()
    use_one_thread()
    _worker.append(build())


def _end_with_parent() -> None:
    """Wait for the parent's end: one that was killed could tell nobody, and the tasks in hand go on for minutes."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(task: Any) -> Any:
    return _worker[0](task)


def look_at(crops: Sequence[Crop], models: Mapping[str, Evaluator]) -> Looks:
    """Return what built judges say of crops (`JUDGE_SIZE`); nothing but ``seen`` where no crop shows a face."""
    seen = np.array([not isinstance(crop, str) for crop in crops])
    looks: Looks = {"seen": seen}
    if not seen.any():
        return looks
    images = np.stack([crop for crop in crops if not isinstance(crop, str)]).astype(np.float32) / np.float32(255)
    for name, model in models.items():
        said = judged(model, images)
        looks[name] = np.full((len(crops), *said.shape[1:]), np.nan, dtype=np.float32)
        looks[name][seen] = said
    return looks


def joined(parts: Sequence[Looks], judges: Judges) -> Looks:
    """Join chunks; one without any face says nothing of its judges, and is NaN for all of them."""
    told = next((part for part in parts if part["seen"].any()), None)
    if told is None:
        # What a judge says of a black square tells how wide its answers are.
        black = np.zeros((1, JUDGE_SIZE, JUDGE_SIZE, 3), dtype=np.float32)
        told = {"seen": np.zeros(1, bool)} | {name: judged(model, black) for name, model in judges.build().items()}
    whole: Looks = {}
    for name, example in told.items():
        rows = [part.get(name, np.full((len(part["seen"]), *example.shape[1:]), np.nan, np.float32)) for part in parts]
        whole[name] = np.concatenate(rows)
    return whole
