"""What an engine is to the run that uses it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from facepriv.engines.chunk import Outcome, Task


class Engine(ABC):
    """Carries tasks out; as a context manager it lets go of what it holds at the end."""

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
    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard, once and in any order.

        Raises
        ------
        FaceprivError
            If no file can be done: see `ChunkWorker.process`.
        """

    def close(self) -> None:
        """End all work at once; what was not finished is lost. May be called again."""
        return


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
