"""The record of a run: ``facepriv-run/manifest.jsonl``, one line per file, and ``run.json``, the software used.

Neither reveals what was hidden (attribute, target, policy, seed, box, command line, hash of the original) unless the
user asked for an audit: "target: female" reveals it, and "flip" allows inverting it.

A file's line is on disk *before* the file appears under its name. A finished file therefore always has its line, even
if the run is killed. A line without its file means that the file is still to be made. The last line of a file counts.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from facepriv.errors import DataError, UsageError
from facepriv.files import parse

#: Name of the run folder inside the output folder.
RUN_FOLDER = "facepriv-run"
#: For a single output file ``NAME`` the run folder is ``NAME.facepriv``, written for an audit only.
BESIDE_SUFFIX = ".facepriv"
MANIFEST = "manifest.jsonl"
RUN = "run.json"
#: Folder, in the run folder, with the outcome of each photo of a shard; the shard has its own line in the manifest.
SHARDS = "shards"
#: If the file system has no flock, this file in the run folder marks that a run is writing.
LOCK = "lock"
FORMAT = 1
# Errors of file systems without flock: Lustre without the option, some network and FUSE mounts.
_NO_FLOCK = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}

Status = Literal["ok", "no-face", "failed", "copied", "partial"]


@dataclass(frozen=True)
class ManifestRow:
    """One line of a manifest.

    Parameters
    ----------
    file : str
        The output's name relative to the output folder, with ``/``.
    method, version, weights : str
        The chain of methods joined by ``" > "``, their versions and the hashes of their weights likewise.
    status : {"ok", "no-face", "failed", "copied", "partial"}
        ``ok``, ``copied`` (no face found, written unchanged) and ``partial`` (a shard without its failed photos) have
        an output; the others do not.
    faces : int
        Number of faces treated.
    sha256 : str
        Of the output file; empty if there is none. Never of the original.
    audit : dict or None
        What was hidden and how, only if the user asked for it.
    """

    file: str
    method: str
    version: str
    weights: str
    status: Status
    faces: int = 0
    sha256: str = ""
    audit: dict[str, Any] | None = None

    @property
    def has_output(self) -> bool:
        """Whether the file was written."""
        return self.status in ("ok", "copied", "partial")

    def to_json(self) -> str:
        """Return the line, without its end."""
        content = asdict(self)
        if self.audit is None:
            del content["audit"]
        return json.dumps(content, sort_keys=False)


@dataclass
class RunRecord:
    """The contents of a run folder.

    Parameters
    ----------
    folder : Path or None
    info : dict
        ``run.json``: ``facepriv``, ``engine``, ``device``, ``torch``, ``methods`` (each with ``name``, ``version``,
        ``weights``, ``seen``, ``dtype``), and ``earlier``, the same for earlier runs into the same output folder.
    history : dict
        File -> its rows, oldest first.
    """

    folder: Path | None
    info: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[ManifestRow]] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, ManifestRow]:
        """File -> its last row, by name."""
        return {file: rows[-1] for file, rows in sorted(self.history.items())}

    @property
    def seen(self) -> set[str]:
        """Evaluators that a method of this folder was trained against; they are not unseen evaluators for it."""
        runs = [self.info, *self.info.get("earlier", [])]
        return {name for run in runs for method in run.get("methods", []) for name in method.get("seen", [])}


def run_folder(path: Path) -> Path:
    """Return the run folder that belongs to `path`: an output folder, an output file, or the run folder itself."""
    if (path / MANIFEST).is_file():
        return path
    if (path / RUN_FOLDER).is_dir():
        return path / RUN_FOLDER
    path = Path(os.path.abspath(path))  # "." has no name
    return path.with_name(path.name + BESIDE_SUFFIX) if path.name else path / RUN_FOLDER


def read_run(path: Path) -> RunRecord:
    """Read the record of `path`, see `run_folder`.

    Raises
    ------
    DataError
        If there is no record, or it is damaged or of another format.
    """
    folder = run_folder(path)
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{path}: no record of a run there ({RUN_FOLDER}/{MANIFEST}); 'facepriv apply' writes it")
    return read_folder_if_any(folder)


def read_folder_if_any(folder: Path | None) -> RunRecord:
    """Read a run folder; a missing one, or None, gives an empty record.

    An incomplete last line, which a killed run may leave, is skipped: its file was not written yet.
    """
    if folder is None or not (folder / MANIFEST).is_file():
        return RunRecord(folder)
    manifest = folder / MANIFEST
    run = RunRecord(folder, _read_info(folder / RUN))
    whole = manifest.read_bytes().split(b"\n")[:-1]
    for number, line in enumerate(whole, start=1):
        try:
            row = _row(parse(line))
        except (TypeError, ValueError) as error:
            raise DataError(f"{manifest}: line {number} is damaged ({error})") from error
        run.history.setdefault(row.file, []).append(row)
    return run


class ManifestWriter:
    """Appends rows; each is on disk when `append` returns. Created by `open_manifest`."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder = folder
        self._descriptor = descriptor

    def photos_of(self, shard: str) -> Path:
        """Return the file for the rows of a shard's photos: named like the shard, with ``.jsonl``."""
        return self._folder / SHARDS / f"{shard}.jsonl"

    def append(self, row: ManifestRow) -> None:
        """Write one row durably; on an `OSError` (such as a full disk) no part of the row remains."""
        line = row.to_json().encode() + b"\n"
        end = os.fstat(self._descriptor).st_size
        try:
            while line:  # a nearly full disk may accept only a part
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise


@contextmanager
def open_manifest(folder: Path, info: Mapping[str, Any]) -> Iterator[ManifestWriter]:
    """Open the manifest of a run folder for appending, and write its ``run.json``.

    The folder is created if needed. Previous contents of ``run.json`` that differ move to ``earlier``.

    Raises
    ------
    UsageError
        If another run is writing into the same folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MANIFEST
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        with _locked(descriptor, folder):
            _cut_torn_line(path)
            _write_info(folder / RUN, info)
            yield ManifestWriter(folder, descriptor)
    finally:
        os.close(descriptor)


def check_free(folder: Path) -> None:
    """Raise `UsageError` if a run is writing into a run folder; leaves no files behind."""
    if (folder / MANIFEST).is_file():
        with (folder / MANIFEST).open("r+b") as file, _locked(file.fileno(), folder):
            return


@contextmanager
def _locked(descriptor: int, folder: Path) -> Iterator[None]:
    """Hold the run folder's lock; it is released when the process ends, for whatever reason.

    Raises
    ------
    UsageError
        If another run holds it.
    """
    if _flock(descriptor, folder):
        yield
    else:
        with _lock_file(folder):
            yield


def _flock(descriptor: int, folder: Path) -> bool:
    """Lock an open file; returns False if flock is not supported, raises `UsageError` if another run holds the lock."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(_busy(folder)) from None
    except ImportError:  # Windows
        return False
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        return False
    return True


@contextmanager
def _lock_file(folder: Path) -> Iterator[None]:
    """Hold a lock without flock: a file that names this process and is removed at the end of the run.

    A lock file left by a dead process of this machine is taken over.
    """
    from filelock import SoftFileLock, Timeout

    path = folder / LOCK
    lock = SoftFileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"{_busy(folder)}; if it died on another machine, remove {path}") from None
    try:
        yield
    finally:
        lock.release()


def _busy(folder: Path) -> str:
    return f"{folder.parent}: another facepriv run is writing there; wait until it has ended"


def _cut_torn_line(path: Path) -> None:
    """Remove the incomplete last line of a killed run, so that the next line starts on its own."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = parse(path.read_bytes())
        if isinstance(info, dict) and info.get("format") != FORMAT:
            raise DataError(f"{path}: format {info.get('format')!s:.20}, this facepriv reads {FORMAT}")
        _check_info(info)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); remove it, the manifest beside it stays") from error
    return dict(info)


def _row(content: Any) -> ManifestRow:
    """Return a manifest's line as a row; raises `TypeError` or `ValueError` for invalid content."""
    row = ManifestRow(**content)
    texts = (row.file, row.method, row.version, row.weights, row.sha256)
    valid = all(isinstance(text, str) for text in texts) and row.status in get_args(Status)
    if not valid or type(row.faces) is not int or row.faces < 0 or not isinstance(row.audit, dict | None):
        raise ValueError("a field holds what no run writes")
    return row


def _check_info(info: Any) -> None:
    """Raise `ValueError` unless the required fields have the form that a run writes."""
    runs = [info, *(_held(info, "earlier", list))] if isinstance(info, dict) else [info]
    for run in runs:
        for method in _held(run, "methods", list):
            if not all(isinstance(name, str) for name in _held(method, "seen", list)):
                raise ValueError("a method has seen what has no name")


def _held(content: Any, name: str, kind: type) -> Any:
    """Return a field of an object, or an empty value; raises `ValueError` if either is of another type."""
    if not isinstance(content, dict) or not isinstance(content.get(name, kind()), kind):
        raise ValueError(f"{name} is no {kind.__name__} of an object")
    return content.get(name, kind())


def _write_info(path: Path, info: Mapping[str, Any]) -> None:
    from facepriv.files import atomic_write

    former = _read_info(path)
    earlier = former.pop("earlier", [])
    now = {"format": FORMAT, **info}
    if former and former != now:
        earlier = [*(run for run in earlier if run != former), former]
    atomic_write(path, (json.dumps({**now, "earlier": earlier}, indent=1) + "\n").encode())
