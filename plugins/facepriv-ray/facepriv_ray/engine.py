"""An engine on a Ray cluster, through Ray Data: the tasks are a dataset, mapped over a pool of actors.

An actor supervises a `LocalEngine` with one worker process. A file that kills or hangs its worker is therefore handled
as on one machine, and the output bytes are the same. An actor writes under unique names, and the caller renames each
result to the name in its task. If Ray runs a task again, because its node died or seemed dead, the task still has one
result and never two writers on a file.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from facepriv import __version__
from facepriv.errors import FaceprivError, PluginError, UsageError, one_line
from facepriv.protection.engine import Engine
from facepriv.protection.inputs import is_shard
from facepriv.protection.local import LocalEngine
from facepriv.protection.options import WorkerSetup
from facepriv.protection.worker import FileTask, Outcome
from facepriv_ray.cluster import SAME, connected, ray_errors

_T = TypeVar("_T")

#: Most files in a dataset block. A block runs again when a node dies, and its results arrive together at its end.
_BLOCK_FILES = 32
# Least number of blocks per actor, if there are enough files: no actor then waits long for the last one.
_BLOCKS_AN_ACTOR = 4
#: Actors that share a GPU: finding faces, reading and writing run on CPUs there, too.
_A_GPU = 4
#: Attempts at a block, and then at each of its files alone, that may crash an actor or node; Ray has no limit itself.
_ATTEMPTS = 3


@dataclass(frozen=True)
class _Made:
    """A task's outcome, and the file written for it under a unique name."""

    outcome: Outcome
    file: Path


def make_engine(setup: WorkerSetup, *, files: int, workers: int | None, address: str) -> RayEngine:
    """Return the engine of a run, see `facepriv.protection.engine.Engine`; the number of files does not matter."""
    return RayEngine(setup, workers, address)


class RayEngine(Engine):
    """Runs tasks on a Ray cluster, with one model per actor.

    Parameters
    ----------
    setup : WorkerSetup
        Sent to the nodes, including the run's key.
    workers : int, optional
        Largest number of actors; by default one per CPU, or with the device ``cuda`` a few per GPU.
    address : str
        Address of a cluster with this machine as a node, see `facepriv_ray.cluster.connected`; empty: that in
        ``RAY_ADDRESS``, or else a cluster of this machine alone.
    """

    name = "ray"

    def __init__(self, setup: WorkerSetup, workers: int | None = None, address: str = "") -> None:
        self.setup = setup
        self.workers = workers
        self._gpu = setup.device == "cuda"
        self.address = address or os.environ.get("RAY_ADDRESS", "")
        self._ours = ExitStack()

    def close(self) -> None:
        """Leave the cluster, which ends all actors; unfinished work is lost. Further calls do nothing."""
        self._ours.close()

    def start(self) -> dict[str, Any]:
        """Connect, and build the pipeline once on some node; return its description.

        Raises
        ------
        FaceprivError
            As `build_pipeline`; `PluginError` without Ray; `UsageError` if there is no such cluster, or it lacks the
            resources for the work.
        """
        if self.setup.device.startswith("cuda:"):
            raise UsageError(f"--device {self.setup.device}: Ray assigns the GPUs; give --device cuda")
        ray = self._ours.enter_context(connected(self.address))
        self._count = self._actors(ray.cluster_resources())
        with ray_errors():
            described = ray.get(ray.remote(_describe).options(**self._needs).remote(self.setup))
        if isinstance(described, FaceprivError):
            raise described
        self._described = described
        return described

    def run(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard, exactly once, even if nodes die.

        Raises
        ------
        FaceprivError
            If no file can be processed: see `ChunkWorker.process`; or a node has other packages or folders.
        """
        missing = {task.number: task for task in tasks}
        for most in (_BLOCK_FILES, 1):
            for answer in self._all_answers(list(missing.values()), most):
                if isinstance(answer, FaceprivError):
                    raise answer
                task = missing.pop(answer.outcome.number, None)
                if task is None:  # Ray ran the block twice
                    answer.file.unlink(missing_ok=True)
                else:
                    yield _named(answer, task)
        for task in missing.values():
            text = f"{task.source}: the Ray actor or its node died at this file, {_ATTEMPTS} times"
            yield Outcome(task.number, "failed", error=text)

    @property
    def _needs(self) -> dict[str, float]:
        """The resources that an actor needs of its node."""
        return {"num_cpus": 1, "num_gpus": 1 / _A_GPU if self._gpu else 0}

    def _actors(self, cluster: Mapping[str, float]) -> int:
        count = int(cluster.get("CPU", 0))
        if self._gpu:
            count = min(count, _A_GPU * int(cluster.get("GPU", 0)))
        if count < 1:
            raise UsageError(f"the Ray cluster has no {'GPU with a ' * self._gpu}CPU to work on")
        return min(count, self.workers or count)

    def _all_answers(self, tasks: Sequence[FileTask], most: int) -> Iterator[_Made | FaceprivError]:
        """Map photos, with a limit per block, then shards, one per block."""
        photos, shards = ([task for task in tasks if is_shard(task.source) is kind] for kind in (False, True))
        if photos:
            yield from self._answers(photos, most)
        if shards:
            yield from self._answers(shards, 1)

    def _answers(self, tasks: Sequence[FileTask], most: int) -> Iterator[_Made | FaceprivError]:
        """Map all tasks over the pool, with a limit per block; yield results as blocks finish."""
        import ray.data

        blocks = -(-len(tasks) // max(1, min(most, len(tasks) // (_BLOCKS_AN_ACTOR * self._count))))
        items = [{"task": _anywhere(task)} for task in tasks]
        with ray_errors():
            data = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
                _Supervisor,
                fn_constructor_args=(self.setup, __version__, self._described),
                batch_size=None,
                batch_format="numpy",
                compute=ray.data.ActorPoolStrategy(size=min(self._count, blocks)),
                **self._needs,
            )
            context = data.context
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            context.execution_no_progress_timeout_s = -1  # a shard may take hours; the actor ends workers that hang
            for batch in data.iter_batches(batch_size=None, batch_format="numpy"):
                yield from batch["answer"]


class _Supervisor:
    """The actor: processes blocks of tasks with its own worker process, and returns errors as values."""

    def __init__(self, setup: WorkerSetup, version: str, described: Mapping[str, Any]) -> None:
        self.setup = setup
        self.version = version
        self.described = described
        self._engine: LocalEngine | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        tasks = list(batch["task"])
        answers = list(_errors_as_values(self._guarded(tasks)))
        column = np.empty(len(answers), dtype=object)
        column[:] = answers
        return {"answer": column}

    def _guarded(self, tasks: Sequence[FileTask]) -> Iterator[_Made]:
        """Process tasks, or skip them if they killed the actor too often."""
        for folders in {task.staged.parent for task in tasks}, {task.source.parent for task in tasks}:
            if not any(folder.is_dir() for folder in folders):
                raise UsageError(f"{min(folders)}: not there; all nodes must see the folders of inputs and outputs")
        # One byte per attempt; the file is removed at the block's end.
        begun = tasks[0].staged.with_suffix(".begun")
        with begun.open("ab") as file:
            file.write(b".")
            count = file.tell()
        if count <= _ATTEMPTS:
            yield from self._work(tasks)
        begun.unlink(missing_ok=True)

    def _work(self, tasks: Sequence[FileTask]) -> Iterator[_Made]:
        attempts = {task.number: replace(task, staged=_another(task.staged)) for task in tasks}
        for outcome in self._started().run(list(attempts.values())):
            yield _Made(outcome, attempts[outcome.number].staged)

    def _started(self) -> LocalEngine:
        if self._engine is None:
            engine = LocalEngine(self.setup, 1)
            if (__version__, engine.start()) != (self.version, self.described):
                raise PluginError(f"its facepriv, methods or models are of another version than elsewhere: {SAME}")
            self._engine = engine
        return self._engine


def _describe(setup: WorkerSetup) -> dict[str, Any] | FaceprivError:
    """Build the pipeline on a node for its description; return an error as a value."""

    def describe() -> Iterator[dict[str, Any]]:
        with LocalEngine(setup, 1) as engine:
            yield engine.start()

    return next(_errors_as_values(describe()))


def _errors_as_values(work: Iterator[_T]) -> Iterator[_T | FaceprivError]:
    """Yield the items of `work` and the error that ends it, with the node: Ray would wrap it in tracebacks."""
    try:
        yield from work
    except Exception as error:
        told = error if isinstance(error, FaceprivError) else PluginError(one_line(error))
        told.args = (f"{told} (on node {_node()})",)
        yield told


def _node() -> str:
    import ray

    return ray.util.get_node_ip_address()


def _anywhere(task: FileTask) -> FileTask:
    """Return a task that is valid on other machines."""
    return replace(task, source=Path(os.path.abspath(task.source)), staged=Path(os.path.abspath(task.staged)))


def _another(staged: Path) -> Path:
    """Return a path beside `staged`, with the same suffix, unique to this attempt."""
    return staged.with_name(f"{staged.stem}-{secrets.token_hex(8)}{staged.suffix}")


def _named(made: _Made, task: FileTask) -> Outcome:
    """Rename an actor's file to the name in its task."""
    if made.outcome.sha256:
        try:
            os.replace(made.file, task.staged)
        except OSError as error:
            return Outcome(task.number, "failed", error=f"{task.source}: {error.strerror}")
    return made.outcome
