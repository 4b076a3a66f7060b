"""The folder below which the page may read and write; links do not lead out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from facepriv.errors import UsageError
from facepriv.files import real_path
from facepriv.image import IMAGE_SUFFIXES

#: Most names of a folder that are looked at, so that a folder of millions still answers.
_MOST_NAMES = 20_000


class Root:
    """A folder whose contents the page may use; names that begin with a dot are out of bounds.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    UsageError
        If it is no folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = real_path(folder)
        if not self.folder.is_dir():
            raise UsageError(f"{folder}: is no folder; name one with --root")

    def path(self, name: str) -> Path:
        """Return the real path of a name below the root; it need not exist.

        Parameters
        ----------
        name : str
            Relative, with slashes; empty or "." is the root itself.

        Raises
        ------
        UsageError
            If it leads out of the root, by itself or by a link, or has a hidden part.
        """
        parts = Path(name).parts
        if "\0" in name or Path(name).anchor:
            raise UsageError(f"{_shown(name)}: expected a name below the root")
        if any(part.startswith(".") for part in parts):
            raise UsageError(f"{_shown(name)}: names that begin with a dot are out of bounds")
        real = real_path(self.folder.joinpath(*parts))
        if not self.holds(real):
            raise UsageError(f"{_shown(name)}: leads out of the root; start facepriv serve with another --root")
        return real

    def holds(self, path: Path) -> bool:
        """Return whether a path, links followed, lies below the root or is the root."""
        return real_path(path).is_relative_to(self.folder)

    def name(self, path: Path) -> str:
        """Return the name of a real path below the root."""
        return path.relative_to(self.folder).as_posix()

    def check_links(self, folder: Path) -> None:
        """Raise `UsageError` if a link below a folder leads out of the root."""
        found = [path for path in _links(folder) if not self.holds(path)]
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise UsageError(f"{self._of(found[0])}{more}: a link that leads out of the root; remove it")

    def listing(self, name: str) -> dict[str, object]:
        """Return what is in a folder: ``folders`` (name, path), the number of ``photos`` directly in it, ``cut``.

        Raises
        ------
        UsageError
            If it is no folder below the root, or cannot be read.
        """
        folder = self.path(name)
        folders, photos, looked = [], 0, 0
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    looked += 1
                    if looked > _MOST_NAMES:
                        break
                    if entry.name.startswith(".") or (entry.is_symlink() and not self.holds(Path(entry.path))):
                        continue
                    if entry.is_dir():
                        folders.append(entry.name)
                    photos += os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
        except OSError as error:
            raise UsageError(f"{_shown(name)}: {error.strerror}") from error
        here = self.name(folder)
        listed = [{"name": each, "path": f"{here}/{each}".removeprefix("./")} for each in sorted(folders)]
        above = None if folder == self.folder else self.name(folder.parent)
        return {"path": here, "above": above, "folders": listed, "photos": photos, "cut": looked > _MOST_NAMES}

    def _of(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else str(path)


def _links(folder: Path) -> Iterator[Path]:
    """Yield all links below a folder, itself not followed any further."""
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(here, name)
            if path.is_symlink():
                yield path


def _shown(name: str) -> str:
    return name or "."
