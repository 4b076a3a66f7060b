"""The one pool of worker processes."""

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


#: Results may differ with the number of threads that share a sum, so there is always one.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def use_one_thread() -> None:
    """Make torch use one thread, now or when it is imported later."""
    os.environ.update(ONE_THREAD)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@contextmanager
def environment(values: Mapping[str, str], *prefixes: str) -> Iterator[None]:
    """Set variables within; afterwards they are as they were, and so are all that begin with `prefixes`."""

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
