"""The machines of a Ray cluster, through Ray Data: the tasks are a dataset, mapped over a pool of actors.

An actor is a supervisor around a `LocalEngine` of one worker process: what befalls a file that kills or hangs its
worker is the same as on one machine, and so are the bytes. An actor writes under names that nobody else has, and the
caller gives a result the name that the task wants; so a task that Ray runs again, because its node died or was thought
dead, has one result and never two writers on a file.
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

from facepriv._version import __version__
from facepriv.errors import FaceprivError, PluginError, UsageError, one_line
from facepriv.protection.engine import Engine
from facepriv.protection.inputs import is_shard
from facepriv.protection.local import LocalEngine
from facepriv.protection.options import WorkerSetup
from facepriv.protection.worker import FileTask, Outcome
from facepriv_ray.cluster import SAME, connected, ray_errors

_T = TypeVar("_T")

#: Files of one dataset block, at most: what is done again when a node dies, and known only when all of them are done.
_BLOCK_FILES = 32
# Blocks an actor has to do at least, where there are files enough: none waits long for the last.
_BLOCKS_AN_ACTOR = 4
#: Actors that share a GPU: finding faces, reading and writing are the work of CPUs there, too.
_A_GPU = 4
#: How often a block, and then each file of it alone, may take its actor or node with it; Ray itself never gives up.
_ATTEMPTS = 3


@dataclass(frozen=True)
class _Made:
    """A task's outcome, and the file that was made for it under a name of its own."""

    outcome: Outcome
    file: Path


def make_engine(setup: WorkerSetup, *, files: int, workers: int | None, address: str) -> RayEngine:
    """Return the engine of a run, see `facepriv.protection.engine.Engine`; the number of files does not matter."""
    return RayEngine(setup, workers, address)


class RayEngine(Engine):
    """Runs tasks on a Ray cluster, one model an actor.

    Parameters
    ----------
    setup : WorkerSetup
        Travels to the nodes, and the run's key with it.
    workers : int, optional
        Actors, at most; otherwise one a CPU, or with the device ``cuda`` a few a GPU.
    address : str
        Of a cluster that this machine is a node of, see `facepriv_ray.cluster.connected`; empty: what
        ``RAY_ADDRESS`` says, and else a cluster of this machine alone.
    """

    name = "ray"

    def __init__(self, setup: WorkerSetup, workers: int | None = None, address: str = "") -> None:
        self.setup = setup
        self.workers = workers
        self._gpu = setup.device == "cuda"
        self.address = address or os.environ.get("RAY_ADDRESS", "")
        self._ours = ExitStack()

    def close(self) -> None:
        """Leave the cluster, which ends all actors; what they had not finished is lost. May be called again."""
        self._ours.close()

    def start(self) -> dict[str, Any]:
        """Connect, and build the pipeline once on some node; returns its description.

        Raises
        ------
        FaceprivError
            What `build_pipeline` raises; `PluginError` without Ray; `UsageError` if there is no such cluster, or
            nothing in it that could do the work.
        """
        if self.setup.device.startswith("cuda:"):
            raise UsageError(f"--device {self.setup.device}: Ray hands the GPUs out; say --device cuda")
        ray = self._ours.enter_context(connected(self.address))
        self._count = self._actors(ray.cluster_resources())
        with ray_errors():
            described = ray.get(ray.remote(_describe).options(**self._needs).remote(self.setup))
        if isinstance(described, FaceprivError):
            raise described
        self._described = described
        return described

    def run(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard, once, whatever nodes die.

        Raises
        ------
        FaceprivError
            If no file can be done: see `ChunkWorker.process`; or a node has other packages, or other folders.
        """
        missing = {task.number: task for task in tasks}
        for most in (_BLOCK_FILES, 1):
            for answer in self._all_answers(list(missing.values()), most):
                if isinstance(answer, FaceprivError):
                    raise answer
                task = missing.pop(answer.outcome.number, None)
                if task is None:  # Ray ran its block twice
                    answer.file.unlink(missing_ok=True)
                else:
                    yield _named(answer, task)
        for task in missing.values():
            text = f"{task.source}: the Ray actor or its node died at this file, {_ATTEMPTS} times"
            yield Outcome(task.number, "failed", error=text)

    @property
    def _needs(self) -> dict[str, float]:
        """What an actor takes of its node."""
        return {"num_cpus": 1, "num_gpus": 1 / _A_GPU if self._gpu else 0}

    def _actors(self, cluster: Mapping[str, float]) -> int:
        count = int(cluster.get("CPU", 0))
        if self._gpu:
            count = min(count, _A_GPU * int(cluster.get("GPU", 0)))
        if count < 1:
            raise UsageError(f"the Ray cluster has no {'GPU with a ' * self._gpu}CPU to work on")
        return min(count, self.workers or count)

    def _all_answers(self, tasks: Sequence[FileTask], most: int) -> Iterator[_Made | FaceprivError]:
        """Map photos, at most so many to a block, then shards, each of which is a block."""
        photos, shards = ([task for task in tasks if is_shard(task.source) is kind] for kind in (False, True))
        if photos:
            yield from self._answers(photos, most)
        if shards:
            yield from self._answers(shards, 1)

    def _answers(self, tasks: Sequence[FileTask], most: int) -> Iterator[_Made | FaceprivError]:
        """Map all tasks over the pool, at most so many to a block; yields as blocks are done."""
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
            context.execution_no_progress_timeout_s = -1  # a shard may take hours; what hangs ends in the actor
            for batch in data.iter_batches(batch_size=None, batch_format="numpy"):
                yield from batch["answer"]


class _Supervisor:
    """An actor's part: works on blocks of tasks with a worker process of its own, and answers errors as values."""

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
        """Work on tasks, or do nothing where that killed the actor too often."""
        for folders in {task.staged.parent for task in tasks}, {task.source.parent for task in tasks}:
            if not any(folder.is_dir() for folder in folders):
                raise UsageError(f"{min(folders)}: not there; all nodes must see the folders of inputs and outputs")
        # As many bytes as attempts were begun; it goes with the block's end.
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
    """Build the pipeline on a node for its description; an error comes as a value."""

    def describe() -> Iterator[dict[str, Any]]:
        with LocalEngine(setup, 1) as engine:
            yield engine.start()

    return next(_errors_as_values(describe()))


def _errors_as_values(work: Iterator[_T]) -> Iterator[_T | FaceprivError]:
    """Yield what `work` does, and the error that ends it, with the node: Ray would wrap it in tracebacks."""
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
    """Return a task that other machines understand."""
    return replace(task, source=Path(os.path.abspath(task.source)), staged=Path(os.path.abspath(task.staged)))


def _another(staged: Path) -> Path:
    """Return a name beside `staged`, of the same kind, that no other attempt has."""
    return staged.with_name(f"{staged.stem}-{secrets.token_hex(8)}{staged.suffix}")


def _named(made: _Made, task: FileTask) -> Outcome:
    """Give what an actor made its task's name."""
    if made.outcome.sha256:
        try:
            os.replace(made.file, task.staged)
        except OSError as error:
            return Outcome(task.number, "failed", error=f"{task.source}: {error.strerror}")
    return made.outcome
