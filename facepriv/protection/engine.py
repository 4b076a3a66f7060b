"""The interface of an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from facepriv.protection.worker import FileTask, Outcome


class Engine(ABC):
    """Executes tasks; as a context manager it releases its resources at the end.

    All engines give the same bytes for the same device. A plugin provides one as a component of kind ``engine``. Its
    target is a function ``make(setup, *, files, workers, address)`` that returns an engine for this number of files.
    ``workers`` is the number of processes that the user wants, or None. ``address`` is a cluster's address, or empty.
    """

    #: The name recorded in ``run.json``.
    name: ClassVar[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def start(self) -> dict[str, Any]:
        """Start up; returns the description of the pipeline. Raises what `build_pipeline` raises."""

    @abstractmethod
    def run(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard, once and in any order.

        Raises
        ------
        FaceprivError
            If no file can be processed, see `ChunkWorker.process`.
        """

    def close(self) -> None:
        """Stop all work at once; unfinished work is lost. May be called again."""
        return
