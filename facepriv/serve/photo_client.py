"""The server's end of the photo process: a queue of jobs, one at a time, and a new process where one died or hung."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from facepriv.errors import FaceprivError
from facepriv.pool import ONE_THREAD, environment
from facepriv.protection.options import TIMEOUT
from facepriv.serve.photo_process import PhotoSetup, serve

#: Most jobs that wait; each may hold an uploaded photo.
MOST_WAITING = 32
#: Seconds between looks at whether the server is to end while a job runs.
_STEP = 0.5


class Busy(FaceprivError):
    """Too many jobs wait already."""


class PhotoClosed(Exception):
    """The photo is no longer in memory; the page sends it again."""


class PhotoClient:
    """Runs the jobs of `facepriv.serve.photo_process` in order.

    Parameters
    ----------
    setup : PhotoSetup
    timeout : float
        Seconds after which a job counts as hung and its process is killed.
    """

    def __init__(self, setup: PhotoSetup, timeout: float = TIMEOUT) -> None:
        self.setup, self.timeout = setup, timeout
        # One thread talks to the process, so jobs wait in its queue.
        self._queue = ThreadPoolExecutor(1, "photos")
        self._waiting = 0
        self._about: Future[tuple[str, Any]] | None = None
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._ending = False

    @property
    def pid(self) -> int | None:
        """The process's id, None before the first job."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process, and load what the first photo needs; returns at once."""
        self._about = self._queue.submit(self._run, "about", {})
        self._queue.submit(self._run, "warm_up", {})

    async def about(self) -> Any:
        """Return what the controls offer, see `Models.about`; raises `FaceprivError` if the process fails."""
        if self._about is None or (self._about.done() and self._about.result()[0] != "done"):
            self.start()
        assert self._about is not None
        return self._value(*await asyncio.wrap_future(self._about))

    async def do(self, job: str, **given: Any) -> Any:
        """Run one job of the process when its turn comes; returns its value.

        Raises
        ------
        Busy
            If too many wait.
        PhotoClosed
            If the job's photo is not open.
        FaceprivError
            If the job failed, or its process died or hung.
        """
        if self._waiting >= MOST_WAITING:
            raise Busy("too much is waiting already: try again in a moment")
        self._waiting += 1
        try:
            ending, value = await asyncio.get_running_loop().run_in_executor(self._queue, self._run, job, given)
        finally:
            self._waiting -= 1
        return self._value(ending, value)

    def _value(self, ending: str, value: Any) -> Any:
        if ending == "closed":
            raise PhotoClosed
        if ending == "wrong":
            raise FaceprivError(value)
        return value

    def close(self) -> None:
        """End the process at once, and wait for the thread."""
        self._ending = True
        self._kill()
        self._queue.shutdown(cancel_futures=True)
        self._kill()

    def _run(self, job: str, given: dict[str, Any]) -> tuple[str, Any]:
        if self._ending:
            return "wrong", "facepriv serve is ending"
        pipe = self._started()
        try:
            pipe.send((job, given))
            if not self._answered(pipe):
                self._kill()
                return "wrong", f"nothing happened for {self.timeout:.0f} s, so the work was ended"
            return pipe.recv()
        except (EOFError, OSError):
            self._kill()
            return "wrong", "the process that holds the photos ended: perhaps memory ran out, or a method crashed"

    def _answered(self, pipe: Connection) -> bool:
        until = time.monotonic() + self.timeout
        while (left := until - time.monotonic()) > 0 and not self._ending:
            if pipe.poll(min(_STEP, left)):
                return True
        return False

    def _started(self) -> Connection:
        if self._pipe is not None and self._process is not None and self._process.is_alive():
            return self._pipe
        self._kill()
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.setup), daemon=True)
        with environment(ONE_THREAD):
            process.start()
        theirs.close()
        self._process, self._pipe = process, ours
        return ours

    def _kill(self) -> None:
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        if process is not None:
            process.kill()
            process.join()
        if pipe is not None:
            pipe.close()
