"""Runs over folders as the server sees them: start, list, stop, forget."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from facepriv.errors import UsageError
from facepriv.serve.asked import Ask, RunAsk
from facepriv.serve.root import Root
from facepriv.serve.run_record import SHEET, RunRecord, all_records, records_folder

#: States of a run that is over.
OVER = ("done", "stopped", "failed", "interrupted")
#: Seconds that a new process may take to show that it lives.
_STARTING = 60.0
# Two tabs may start a run into one folder at the same moment.
_begins = Lock()


@dataclass(frozen=True)
class Runs:
    """The runs below one root.

    Parameters
    ----------
    root : Root
    key_file : str
        See `facepriv.protection.options.read_key`; empty without one.
    device : str
    """

    root: Root
    key_file: str = ""
    device: str = "cpu"

    def start(self, ask: dict[str, Any], run: dict[str, Any]) -> str:
        """Start a run in a process of its own; returns its id.

        Parameters
        ----------
        ask, run : dict
            As `Ask` and `RunAsk` read them.

        Raises
        ------
        UsageError
            If the request is wrong, a folder does not lie below the root, or a run into this folder is going on.
        """
        Ask.read(ask)
        more = RunAsk.read(run)
        source, out = self.root.path(more.source), self.root.path(more.out)
        if not source.is_dir():
            raise UsageError(f"{more.source}: no such folder")
        if out == self.root.folder:
            raise UsageError("name a folder of its own for the results")
        for folder in (source, out):
            self.root.check_links(folder)
        record = RunRecord.of(out)
        asked = {"root": str(self.root.folder), "ask": ask, "run": run, "key_file": self.key_file}
        with _begins:
            if self._state(record)["state"] not in (*OVER, "none"):
                raise UsageError(f"{more.out}: a run into this folder is going on already")
            record.begin(asked | {"device": self.device})
        # Its own session: neither Ctrl-C nor a closed terminal ends it with the server.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "facepriv.serve.run_process", str(record.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=records_folder(),
            start_new_session=True,
        )
        Thread(target=process.wait, daemon=True).start()  # the system forgets it when it is over
        return record.name

    def listed(self) -> list[dict[str, Any]]:
        """Return the runs below the root, the last first: id, what was asked, and the state."""
        found = []
        for record in all_records():
            asked = record.asked()
            if asked.get("root") == str(self.root.folder):
                about = {"id": record.name, "ask": asked["ask"], "run": asked["run"]}
                found.append(about | self._state(record))
        return found

    def stop(self, name: str) -> None:
        """Ask a run to stop; what is done is whole. Raises `UsageError` if there is none."""
        self._record(name).stop()

    def forget(self, name: str) -> None:
        """Remove the record of a run that is over, with its contact sheet. Raises `UsageError` if it is not over."""
        record = self._record(name)
        if self._state(record)["state"] not in OVER:
            raise UsageError("this run is going on: stop it first")
        record.remove()

    def sheet(self, name: str) -> Path:
        """Return the path of a run's contact sheet; raises `UsageError` if there is none."""
        path = self._record(name).folder / SHEET
        if not path.is_file():
            raise UsageError("there is no contact sheet of this run")
        return path

    def going_on(self) -> int:
        """Return the number of runs below the root that are not over."""
        return sum(run["state"] not in OVER for run in self.listed())

    def _record(self, name: str) -> RunRecord:
        for record in all_records():
            if record.name == name and record.asked().get("root") == str(self.root.folder):
                return record
        raise UsageError("there is no such run")

    def _state(self, record: RunRecord) -> dict[str, Any]:
        """Return the state of a run; one whose process is gone without a word was interrupted."""
        lives = record.lives  # looked at first: a run that ends meanwhile has written its end
        state = {"state": "none", "updated": 0.0} | record.state()
        fresh = state["state"] == "starting" and time.time() - state["updated"] < _STARTING
        if state["state"] not in (*OVER, "none") and not lives and not fresh:
            state["state"] = "interrupted"
        if lives and record.stopping and state["state"] not in OVER:
            state["state"] = "stopping"
        return state
