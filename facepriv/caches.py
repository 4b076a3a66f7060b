"""The user's cache, and folders that hold faces, descriptors or scores of real people: for their owner alone."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

_OTHERS = 0o077


def cache_folder(name: str) -> Path:
    """Return the folder of this name in facepriv's part of the user's cache, which need not exist yet."""
    return user_cache_path("facepriv", appauthor=False) / name


def make_private(folder: Path) -> bool:
    """Make a folder that nobody but its owner can enter.

    A folder of facepriv's part of the user's cache that others can enter, as earlier versions made it, is closed to
    them. Any other folder that exists keeps its mode, because the user chose it.

    Parameters
    ----------
    folder : Path
        Made with its parents where it is missing.

    Returns
    -------
    bool
        Whether others are kept out. Always true on Windows, where the user's profile has no mode bits.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_open(folder):
        return True
    if folder.absolute().is_relative_to(cache_folder("").absolute()):
        with suppress(OSError):  # another user's folder, or a file system without modes
            folder.chmod(0o700)
    return not _is_open(folder)


def prepare_work_folder(folder: Path, what: str = "scores, descriptors and faces of real people") -> str:
    """Make a folder of kept work, see `make_private`; returns the line that tells the user about it.

    Parameters
    ----------
    folder : Path
    what : str
        What is kept there.
    """
    place = shlex.quote(str(folder))
    warning = "" if make_private(folder) else f"; other users can enter that folder: chmod 700 {place}"
    return f"{what} are kept in {place}; to remove them: rm -r {place}{warning}"


def _is_open(folder: Path) -> bool:
    return os.name == "posix" and bool(folder.stat().st_mode & _OTHERS)
