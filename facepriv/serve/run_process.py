"""The process of a run over a folder: ``facepriv apply``'s engine, then the contact sheet. It outlives the server.

``python -m facepriv.serve.run_process RECORD``; what to do is in the record, not on the command line, which others can
read. It is stopped through the record, too, as Ctrl-C stops ``apply``: what is done is whole.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread, main_thread
from typing import Any

from facepriv.errors import FaceprivError, one_line
from facepriv.evaluation.inspection import inspect_folders
from facepriv.files import atomic_write
from facepriv.protection.options import Options, read_key
from facepriv.protection.run import Summary, make_plan, run_plan
from facepriv.registry import registry
from facepriv.report.page import check_installed
from facepriv.report.sheet import LIMITS, sheet_page
from facepriv.serve.asked import Ask, RunAsk
from facepriv.serve.root import Root
from facepriv.serve.run_record import SHEET, RunRecord, turn

#: Seconds between two states on disk, and between looks at whether to stop.
_WRITE, _LOOK = 1.0, 0.5
#: Most error lines in the state.
_MOST_ERRORS = 500


class StateWriter:
    """Writes what a run does into its record, now and then.

    Parameters
    ----------
    record : RunRecord
    """

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.state: dict[str, Any] = {"state": "planning", "done": 0, "total": 0, "errors": [], "failed": 0}
        self._written = self._began = 0.0

    def stage(self, what: str, total: int) -> Callable[[int], None]:
        """Begin a stage of so many steps; returns what to call with steps done."""
        self._began = time.monotonic()
        self.write(state=what, total=total, done=0, rate=0.0)

        def advance(count: int) -> None:
            self.state["done"] += count
            self.state["rate"] = self.state["done"] / max(1e-3, time.monotonic() - self._began)
            if time.monotonic() - self._written > _WRITE:
                self.write()

        return advance

    def errors(self, texts: list[str]) -> None:
        """Add error lines."""
        self.state["failed"] += len(texts)
        self.state["errors"] += texts[: max(0, _MOST_ERRORS - len(self.state["errors"]))]

    def write(self, **changes: Any) -> None:
        """Change the state, and write it."""
        self.state |= changes
        self.record.write(self.state | {"updated": time.time()})
        self._written = time.monotonic()


def run(record: RunRecord) -> None:
    """Do what the record asks; every end is written into it."""
    writer = StateWriter(record)
    over = Event()
    Thread(target=_watch, args=(record, over), daemon=True).start()
    try:
        writer.write()
        try:
            _protect(record, writer)
        finally:
            over.set()
        writer.write(state="done")
    except KeyboardInterrupt:
        writer.write(state="stopped")
    except (FaceprivError, OSError) as error:
        writer.write(state="failed", message=one_line(error))
    except Exception as error:  # a fault of ours or of a plugin: the page shows it
        writer.write(state="failed", message=one_line(error))
        raise


def _watch(record: RunRecord, over: Event) -> None:
    """Interrupt the main thread once the record asks to stop."""
    while not over.wait(_LOOK):
        if record.stopping:
            _interrupt()
            return


def _interrupt() -> None:
    """Raise `KeyboardInterrupt` in the main thread, even if it waits for a worker, where the system allows that."""
    main = main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _protect(record: RunRecord, writer: StateWriter) -> None:
    asked = record.asked()
    root, ask, more = Root(Path(asked["root"])), Ask.read(asked["ask"]), RunAsk.read(asked["run"])
    source, out = root.path(more.source), root.path(more.out)
    for folder in (source, out):
        root.check_links(folder)
    options = Options(
        inputs=(str(source),),
        out=str(out),
        methods=(ask.method,),
        request=ask.request,
        key=read_key(Path(asked["key_file"]), str(out)) if asked["key_file"] else None,
        device=asked["device"],
        detector=ask.detector,
        thorough=ask.thorough,
        min_face=ask.min_face,
        keep_metadata=ask.keep_metadata,
        on_no_face=more.on_no_face,
        existing=more.existing,
        trust_existing=more.trust_existing,
        strict=more.strict,
        audit=more.audit,
        timeout=more.timeout,
        workers=more.workers,
    )
    plan = make_plan(options, ask.configured(registry()))
    writer.errors([*plan.found.problems, *plan.work.errors])
    writer.write(state="waiting", total=len(plan.work.todo), already=len(plan.work.done))
    with turn(lambda: record.stopping):
        advance = writer.stage("protecting", len(plan.work.todo))
        counts = Summary()

        def report(job: Any, outcome: Any) -> None:
            counts.count(outcome)
            writer.errors(outcome.errors)
            writer.state["counts"] = _plain(counts)
            advance(1)

        summary = run_plan(plan, report)
        writer.write(counts=_plain(summary), warnings=summary.warnings)
        if more.sheet and (summary.done or summary.unchanged or summary.copied or summary.already):
            _make_sheet(record, writer, source, out, ask)


def _make_sheet(record: RunRecord, writer: StateWriter, source: Path, out: Path, ask: Ask) -> None:
    check_installed("jinja2")
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = inspect_folders(source, out, detector=ask.detector, workers=workers, progress=writer)
    page = sheet_page(found, LIMITS[".html"], workers=workers, progress=writer)
    atomic_write(record.folder / SHEET, page.encode(), private=True)
    writer.write(sheet=True, looked=found.summary)


def _plain(summary: Summary) -> dict[str, int]:
    return {name: value for name, value in vars(summary).items() if isinstance(value, int)}


def main() -> None:
    """Run what the record on the command line asks for."""
    record = RunRecord(Path(sys.argv[1]))
    # A server in the background of a script ignores the signal, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(os, "nice"):
        os.nice(5)  # the page stays quick while a folder is protected
    with record.alive():
        run(record)


if __name__ == "__main__":
    main()
