"""Worker processes on this machine, each processing chunks of files end to end.

Workers are spawned, not forked. They inherit no threads or loaded models, so results do not depend on the caller.
Workers write only to the staging folder and the parent renames the results. A worker that outlives a killed parent
therefore changes no output. A worker that sends no message within the timeout is killed.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from facepriv.errors import FaceprivError, PluginError, UsageError, one_line
from facepriv.pool import ONE_THREAD, environment
from facepriv.protection.engine import Engine
from facepriv.protection.options import WorkerSetup
from facepriv.protection.shards import with_shards
from facepriv.protection.worker import ChunkWorker, FileTask, Outcome

#: Maximum number of files in a chunk, so that little work is lost when a worker dies.
_CHUNK_FILES = 16
#: Minimum time limit for loading a method, in seconds, whatever the timeout: several workers may share a cold disk.
_LOADING = 120.0
# Idle time is added up in steps while the parent runs, so that time in which the machine slept does not count.
_STEP = 1.0


@dataclass
class _Worker:
    """A worker process in the parent: the parent's end of the pipe, the open tasks, and the time without a message."""

    process: BaseProcess
    pipe: Connection
    ready: bool = False
    open: dict[int, FileTask] = field(default_factory=dict)
    silent: float = 0.0
    hung: bool = False

    @property
    def idle(self) -> bool:
        return self.ready and not self.open

    def give(self, tasks: Sequence[FileTask]) -> None:
        self.silent = 0.0
        self.open = {task.number: task for task in tasks}
        self.pipe.send(list(tasks))


def make_engine(setup: WorkerSetup, *, files: int, workers: int | None, address: str) -> Engine:
    """Return the engine of a run on this machine.

    Raises
    ------
    UsageError
        If the address of a cluster is given.
    """
    if address:
        raise UsageError("--address names a cluster: give its --engine too")
    count = default_workers(files, setup.device) if workers is None else workers
    return LocalEngine(setup, min(count, files)) if count else InlineEngine(setup)


class LocalEngine(Engine):
    """Runs tasks on `count` worker processes.

    When a worker dies, its unfinished files are tried again, one at a time. Only a file that was the worker's single
    task when it died is reported as failed. A worker that finishes no file for `WorkerSetup.timeout` seconds is killed,
    and counts as one that died.
    """

    name = "local"

    def __init__(self, setup: WorkerSetup, count: int) -> None:
        self.setup = setup
        self.count = max(1, count)
        self._workers: list[_Worker] = []

    def close(self) -> None:
        """Stop all workers at once; unfinished work is lost. May be called again."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def start(self) -> dict[str, Any]:
        """Start the workers; returns the description of the pipeline. Raises what `build_pipeline` raises."""
        self._workers = [self._spawn() for _ in range(self.count)]
        first = self._workers[0]
        while not self._wait([first]):
            pass
        description = None if first.hung else self._receive(first)
        if description is None:
            raise PluginError(f"the worker process {_end(first)} while it loaded the method: see 'facepriv doctor'")
        first.ready = True
        return description

    def run(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard, as it finishes.

        Raises
        ------
        FaceprivError
            If a worker finds that no file can be processed (see `ChunkWorker.process`).
        """
        yield from with_shards(self._run_photos, tasks)

    def _run_photos(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        queue = deque(self._chunks(tasks))
        # An earlier run may have ended with a dead worker.
        self._workers += [self._spawn() for _ in range(self.count - len(self._workers))]
        while queue or any(worker.open for worker in self._workers):
            for worker in self._workers:
                if queue and worker.idle:
                    self._give(worker, queue)
            for worker in self._wait(self._workers):
                yield from self._answer(worker, queue)

    def _chunks(self, tasks: Sequence[FileTask]) -> Iterator[list[FileTask]]:
        """Yield the tasks in chunks that get smaller towards the end, so that workers finish at about the same time."""
        done, most = 0, min(self.setup.batch_size, _CHUNK_FILES)
        while done < len(tasks):
            size = min(most, -(-(len(tasks) - done) // (2 * self.count)))
            yield list(tasks[done : done + size])
            done += size

    def _wait(self, workers: Sequence[_Worker]) -> list[_Worker]:
        """Wait a little; return the workers that sent a message, died, or were killed here after the timeout."""
        began = time.monotonic()
        heard = wait([worker.pipe for worker in workers], _STEP)
        waited = min(time.monotonic() - began, _STEP)
        for worker in workers:
            if worker.pipe in heard or worker.idle:
                worker.silent = 0.0
                continue
            worker.silent += waited
            if worker.silent >= (self.setup.timeout if worker.ready else max(self.setup.timeout, _LOADING)):
                worker.hung = True
                worker.process.kill()
                # With a limit: a process that hangs in the kernel, on a lost disk, ends only when that responds.
                worker.process.join(5 * _STEP)
        return [worker for worker in workers if worker.hung or worker.pipe in heard]

    def _give(self, worker: _Worker, queue: deque[list[FileTask]]) -> None:
        with suppress(OSError):  # the next read of the pipe detects a dead worker, and its tasks are in `open`
            worker.give(queue.popleft())

    def _answer(self, worker: _Worker, queue: deque[list[FileTask]]) -> Iterator[Outcome]:
        """Handle one message of a worker, or its death."""
        message = None if worker.hung else self._receive(worker)
        if isinstance(message, Outcome):
            del worker.open[message.number]
            yield message
        elif message is not None:
            worker.ready = True
        else:
            lost = list(worker.open.values())
            if len(lost) == 1:
                yield Outcome(lost[0].number, "failed", error=f"{lost[0].label}: {_at_a_file(worker)}")
            queue.extend([task] for task in lost if len(lost) > 1)
            self._replace(worker, needed=bool(queue))

    def _replace(self, dead: _Worker, *, needed: bool) -> None:
        """Start another worker for a dead one; a worker that died while loading is not replaced."""
        self._workers.remove(dead)
        dead.pipe.close()
        if needed and dead.ready:
            self._workers.append(self._spawn())
        elif needed and not self._workers:
            raise PluginError(f"the last worker process {_end(dead)} while it loaded the method")

    def _receive(self, worker: _Worker) -> Any:
        """Return a worker's next message, None if it is dead; raises the error that it sent."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            return None
        if isinstance(message, FaceprivError):
            raise message
        return message

    def _spawn(self) -> _Worker:
        context = get_context("spawn")
        if os.name == "posix":
            # The first spawn would start it, and unblock interrupts afterwards.
            resource_tracker.ensure_running()
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.setup), daemon=True)
        with environment(ONE_THREAD), _interrupts_held():
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _serve(pipe: Connection, setup: WorkerSetup) -> None:
    """Run a worker: send the description, then process chunks until the parent closes its end."""
    try:
        worker = ChunkWorker(setup)
        pipe.send(worker.describe())
        while True:
            for outcome in worker.process(pipe.recv()):
                pipe.send(outcome)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    except FaceprivError as error:
        pipe.send(error)
    except Exception as error:  # a plugin's info() may raise anything
        pipe.send(PluginError(one_line(error)))


def _at_a_file(worker: _Worker) -> str:
    """Return the error text for a worker that died with a single file."""
    if worker.hung:
        return f"nothing happened for {worker.silent:.0f} s at this file (--timeout raises the limit)"
    return f"the worker process {_end(worker)} at this file"


def _end(worker: _Worker) -> str:
    """Describe how a dead worker ended."""
    if worker.hung:
        return f"did nothing for {worker.silent:.0f} s (--timeout raises the limit)"
    code = worker.process.exitcode
    if code is not None and code < 0:
        return f"was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with code {code}"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that ignore Ctrl-C (the parent ends them), without losing an interrupt of the parent itself."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


class InlineEngine(Engine):
    """Runs all tasks in this process, and limits torch to one thread (permanently)."""

    name = "inline"

    def __init__(self, setup: WorkerSetup) -> None:
        self.setup = setup

    def start(self) -> dict[str, Any]:
        """Build the pipeline; returns its description. Raises what `build_pipeline` raises."""
        self._worker = ChunkWorker(self.setup)
        return self._worker.describe()

    def run(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard."""
        yield from with_shards(self._worker.process, tasks)


# Each worker holds its own copy of the models, on a GPU in its memory too.
_MOST_WORKERS = {"cpu": 16, "gpu": 4}

_FILES_A_WORKER = 8


def default_workers(files: int, device: str) -> int:
    """Choose a number of processes: one per CPU, but fewer if there are only a few files for each.

    The same holds on a GPU: face detection and file input and output still run on CPUs.
    """
    most = _MOST_WORKERS["cpu" if device == "cpu" else "gpu"]
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, most, files // _FILES_A_WORKER))
