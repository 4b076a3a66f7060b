"""What an engine is to the run that uses it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from facepriv.protection.worker import FileTask, Outcome


class Engine(ABC):
    """Carries tasks out; as a context manager it releases what it holds at the end.

    All engines give the same bytes for the same device. A plugin brings one as a component of kind ``engine``, whose
    target is a function ``make(setup, *, files, workers, address)``. It returns an engine for so many files;
    ``workers`` is the number of processes that the user wants, or None, and ``address`` that of a cluster, or empty.
    """

    #: As ``run.json`` says it.
    name: ClassVar[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def start(self) -> dict[str, Any]:
        """Make ready; returns the description of the pipeline. Raises what `build_pipeline` raises."""

    @abstractmethod
    def run(self, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard, once and in any order.

        Raises
        ------
        FaceprivError
            If no file can be done: see `ChunkWorker.process`.
        """

    def close(self) -> None:
        """End all work at once; what was not finished is lost. May be called again."""
        return
