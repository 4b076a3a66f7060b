"""File helpers: atomic writes, hashes, and reading JSON from other programs."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from facepriv.errors import DataError, ImageError, one_line


def atomic_write(path: Path | str, data: bytes, *, private: bool = False) -> None:
    """Write `data` to `path` atomically.

    The bytes go to a temporary file ``.facepriv-*.tmp`` in the same folder (created if missing), which is synced and
    renamed. The mode bits follow the umask; a `private` file is readable by its owner only.

    Raises
    ------
    ImageError
        If a file or folder cannot be written; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".facepriv-{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            mode = 0o600 if private else 0o666
            with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise ImageError(f"{path}: cannot be written ({reason}): choose an output folder that can") from error


def real_path(path: Path | str) -> Path:
    """Return an absolute path without links, as `Path.resolve` does, which raises where links form a loop."""
    return Path(os.path.realpath(path))


def make_folder(folder: Path) -> None:
    """Create the folder of a command's -o with its parents; raises `DataError` if it cannot be created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be made ({error.strerror}); name another with -o") from error


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of `data` as hex."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse(text: str | bytes) -> Any:
    """Return the content of JSON text; raises only `ValueError`, also if it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def digest(parts: Iterable[str]) -> str:
    """Return a short hash of texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file as hex; raises `DataError` if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> None:
    """Write arrays by name to an ``.npz`` file atomically; its folder is created if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    save = np.savez_compressed if compressed else np.savez
    save(partial, allow_pickle=False, **arrays)
    os.replace(partial, path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays written by `save_arrays`; nothing in the file is unpickled."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


_OTHERS = 0o077


def cache_folder(name: str) -> Path:
    """Return the folder of this name in facepriv's part of the user's cache; it may not exist yet."""
    return user_cache_path("facepriv", appauthor=False) / name


def make_private(folder: Path) -> bool:
    """Create a folder accessible to its owner only.

    An existing folder in facepriv's part of the user's cache that is open to others, as made by earlier versions, is
    restricted to its owner. Any other existing folder keeps its mode, because the user chose it.

    Parameters
    ----------
    folder : Path
        Created with its parents if missing.

    Returns
    -------
    bool
        Whether others have no access. Always true on Windows, where the user's profile has no mode bits.

    Raises
    ------
    OSError
        If the folder cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_open(folder):
        return True
    if folder.absolute().is_relative_to(cache_folder("").absolute()):
        with suppress(OSError):  # another user's folder, or a file system without modes
            folder.chmod(0o700)
    return not _is_open(folder)


def prepare_work_folder(folder: Path, what: str = "scores, descriptors and faces of real people") -> str:
    """Create a work folder, see `make_private`; returns a line that informs the user about it.

    Parameters
    ----------
    folder : Path
    what : str
        The kind of data kept there.
    """
    place = shlex.quote(str(folder))
    warning = "" if make_private(folder) else f"; other users can enter that folder: chmod 700 {place}"
    return f"{what} are kept in {place}; to remove them: rm -r {place}{warning}"


def _is_open(folder: Path) -> bool:
    return os.name == "posix" and bool(folder.stat().st_mode & _OTHERS)
