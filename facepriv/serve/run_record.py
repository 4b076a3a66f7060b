"""The record of a run over a folder, which page, server and the run's own process share.

Each output folder has one record, in the user's state directory: readable by its owner alone, as it states what is
hidden. The process of the run holds the lock ``alive`` for as long as it lives, however it ends.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from facepriv.errors import DataError, one_line
from facepriv.files import atomic_write, digest, make_private, parse

#: Days for which the record of a run that is over is kept.
_KEPT_DAYS = 30
# Seconds that a new run waits for its lock: the server holds it for a moment when it looks whether a run lives.
_LOOKS = 5.0
#: The contact sheet, once it is made.
SHEET = "sheet.html"
_ASKED, _STATE, _STOP, _ALIVE = "asked.json", "state.json", "stop", "alive"


def records_folder(*, make: bool = True) -> Path:
    """Return the folder of all records, made if it is missing; raises `DataError` if there is no place for them."""
    try:
        folder = user_state_path("facepriv", appauthor=False) / "serve"
        if make:
            make_private(folder)
    except (OSError, RuntimeError) as error:
        raise DataError(f"no state directory can be written ({one_line(error)}): set XDG_STATE_HOME") from error
    return folder


class RunRecord:
    """The record of the runs into one output folder.

    Parameters
    ----------
    folder : Path
        Below `records_folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, out: Path) -> RunRecord:
        """Return the record of an output folder (a real path)."""
        return cls(records_folder() / digest([str(out)]))

    @property
    def name(self) -> str:
        """Its id."""
        return self.folder.name

    def begin(self, asked: dict[str, Any]) -> None:
        """Start a new record for what is asked; an earlier one is replaced. Raises `ImageError` if it cannot."""
        make_private(self.folder)
        for name in (_STOP, SHEET):
            (self.folder / name).unlink(missing_ok=True)
        self.write({"state": "starting", "updated": time.time()})
        self._put(_ASKED, asked)

    def asked(self) -> dict[str, Any]:
        """Return what the run is asked to do; empty if there is none."""
        return self._get(_ASKED)

    def state(self) -> dict[str, Any]:
        """Return the last state that the run wrote; empty if there is none."""
        return self._get(_STATE)

    def write(self, state: dict[str, Any]) -> None:
        """Write the run's state."""
        self._put(_STATE, state)

    def stop(self) -> None:
        """Ask the run to stop."""
        (self.folder / _STOP).touch(mode=0o600)

    @property
    def stopping(self) -> bool:
        """Whether the run is asked to stop."""
        return (self.folder / _STOP).exists()

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Hold the lock that shows that the run lives; raises `DataError` if another process holds it."""
        lock = FileLock(self.folder / _ALIVE, mode=0o600)
        try:
            lock.acquire(timeout=_LOOKS)
        except Timeout:
            raise DataError("a run into this folder is going on already") from None
        try:
            yield
        finally:
            lock.release()

    @property
    def lives(self) -> bool:
        """Whether the run's process lives."""
        if not self.folder.is_dir():
            return False
        try:
            with FileLock(self.folder / _ALIVE, timeout=0, mode=0o600):
                return False
        except Timeout:
            return True

    def remove(self) -> None:
        """Remove the record, and the contact sheet in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _put(self, name: str, content: dict[str, Any]) -> None:
        atomic_write(self.folder / name, json.dumps(content).encode(), private=True)

    def _get(self, name: str) -> dict[str, Any]:
        try:
            found = parse((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def all_records() -> list[RunRecord]:
    """Return the records of this user, those of the last runs first; old ones are removed."""
    folder = records_folder(make=False)
    found = [RunRecord(path) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    kept = []
    for record in found:
        updated = float(record.state().get("updated", 0))
        if time.time() - updated > 86_400 * _KEPT_DAYS and not record.lives:
            record.remove()
        else:
            kept.append((updated, record))
    return [record for _, record in sorted(kept, key=lambda each: -each[0])]


@contextmanager
def turn(stopping: Callable[[], bool]) -> Iterator[None]:
    """Wait until no other run of this user works, and keep the turn meanwhile.

    Parameters
    ----------
    stopping : callable
        Asked now and then; if it returns true, `KeyboardInterrupt` is raised.
    """
    lock = FileLock(records_folder() / "turn", mode=0o600)
    while True:
        if stopping():
            raise KeyboardInterrupt
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()
