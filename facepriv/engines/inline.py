"""The engine for notebooks and scripts: works in the calling process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from facepriv.engines.base import Engine
from facepriv.engines.chunk import ChunkWorker, Outcome, Setup, Task
from facepriv.shards import with_shards


class InlineEngine(Engine):
    """Works on all tasks in this process, and limits its torch to one thread for that (it stays so)."""

    name = "inline"

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def start(self) -> dict[str, Any]:
        """Build the pipeline; returns its description. Raises what `build_pipeline` raises."""
        self._worker = ChunkWorker(self.setup)
        return self._worker.describe()

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of every task, a photo or a shard."""
        yield from with_shards(self._worker.process, tasks)
