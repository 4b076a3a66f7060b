"""A pool of worker processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from facepriv.errors import DataError

T = TypeVar("T")
R = TypeVar("R")


def spread(build: Callable[[], Callable[[T], R]], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """Yield a worker's result for each task, in order; every process builds its own worker.

    Parameters
    ----------
    build : callable
        Returns the worker; it is sent to other processes.
    workers : int
        Number of processes; 0 uses this process.

    Raises
    ------
    DataError
        If a worker process dies.
    """
    if not workers:
        use_one_thread()
        yield from map(build(), tasks)
        return
    build()  # errors in building are raised here, not in a worker
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), _start, (build,)) as pool:
            yield from pool.map(_do, tasks)
    except BrokenProcessPool as error:
        raise DataError("a worker process died, perhaps because memory ran out: use fewer workers") from error


_worker: list[Callable[[Any], Any]] = []


def _start(build: Callable[[], Callable[[Any], Any]]) -> None:
    """Initialise a worker process: it keeps what it builds, and ends when its parent ends."""
    end_with_parent()
    use_one_thread()
    _worker.append(build())


def end_with_parent() -> None:
    """End this process when its parent ends: a killed parent cannot stop it, and its task could run for minutes."""
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(task: Any) -> Any:
    return _worker[0](task)


#: Results may depend on the number of threads that share a sum, so there is always one.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def use_one_thread() -> None:
    """Make torch use one thread, now or when it is imported later."""
    os.environ.update(ONE_THREAD)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Make torch use one thread inside the block, and afterwards as many as before.

    The setting is the process's, so Python threads that compute at the same time should not rely on another one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def environment(values: Mapping[str, str], *prefixes: str) -> Iterator[None]:
    """Set variables inside the block; afterwards restore them and all variables that begin with `prefixes`."""

    def concerned() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name in values or name.startswith(prefixes)}

    former = concerned()
    os.environ.update(values)
    try:
        yield
    finally:
        for name in concerned():
            del os.environ[name]
        os.environ.update(former)
