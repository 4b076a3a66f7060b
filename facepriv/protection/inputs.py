"""Finds the image files that a command line names, and what each is called below the output folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path, PurePosixPath

from facepriv.image import IMAGE_SUFFIXES
from facepriv.protection.manifest import RUN_FOLDER

#: Photos of kinds that facepriv does not read. Met in a folder they are named, so that none is left out silently.
FOREIGN_SUFFIXES = frozenset(
    (".apng", ".arw", ".avif", ".cr2", ".cr3", ".dng", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe",
     ".jxl", ".mpo", ".nef", ".orf", ".pgm", ".pnm", ".ppm", ".raf", ".rw2", ".tga")
)  # fmt: skip

#: What a tar shard's file name ends with, see `facepriv.protection.shards`. A compressed tar cannot be read in places.
SHARD_SUFFIX = ".tar"


def is_shard(path: Path) -> bool:
    """Tell by its name whether a file is a shard."""
    return path.suffix.lower() == SHARD_SUFFIX


@dataclass(frozen=True)
class Found:
    """One input file, and its name relative to the output folder."""

    source: Path
    name: PurePosixPath


@dataclass
class Discovery:
    """What was found.

    Parameters
    ----------
    files : list of Found
        Sorted by name; no file twice under one name.
    problems : list of str
        One line for each argument, or folder within it, that gave nothing.
    ignored : int
        Files passed over in folders and patterns because they are no images, or hidden.
    one_file : bool
        Whether the arguments come down to a single file that was named itself, not by a folder.
    """

    files: list[Found] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ignored: int = 0
    one_file: bool = False


def discover(
    arguments: Sequence[str], *, out: Path | None = None, kinds: Collection[str] = frozenset(IMAGE_SUFFIXES)
) -> Discovery:
    """Find all image files.

    Parameters
    ----------
    arguments : sequence of str
        Files; folders, searched recursively; patterns such as ``photos/**/*.jpg``. A single folder's contents are named
        relative to it; several folders' each keep the folder's name. What a pattern finds is named relative to the
        part before its first wildcard.
    out : Path, optional
        The output folder: it may lie inside an input folder, and is not searched.
    kinds : collection of str
        Suffixes of the files that are meant, in small letters with their dot.

    Returns
    -------
    Discovery
        Files and folders whose name begins with a dot are passed over unless named themselves, and so are
        the run folders that `apply` writes.
    """
    search = _Search(out, kinds)
    folders = 0
    for argument in arguments:
        path = Path(argument)
        before = search.count()
        if path.is_dir():
            folders += 1
            search.folder(path, path if len(arguments) == 1 else _absolute(path).parent)
        elif path.exists():
            search.named(path)
        elif has_magic(argument):
            folders += search.pattern(argument)
        else:
            search.problems.append(f"{argument}: no such file or folder")
        if search.count() == before:
            shards = "" if SHARD_SUFFIX in kinds else "; unpack tar shards first"
            search.problems.append(f"{argument}: no image file there (read are {', '.join(sorted(kinds))}{shards})")
    files = sorted(search.found.values(), key=lambda f: f.name)
    return Discovery(files, search.problems, search.ignored, len(arguments) == len(files) == 1 and not folders)


class _Search:
    """Collects what `discover` finds."""

    def __init__(self, out: Path | None, kinds: Collection[str]) -> None:
        self.kinds = kinds
        self.out = out.resolve() if out is not None else None
        self.found: dict[tuple[Path, PurePosixPath], Found] = {}
        self.problems: list[str] = []
        self.ignored = 0

    def count(self) -> int:
        """How much was said so far: an argument that adds nothing deserves a line."""
        return len(self.found) + len(self.problems)

    def named(self, path: Path) -> None:
        """Take a file that was named itself."""
        if self._is_meant(path):
            self._take(path, PurePosixPath(path.name))
        else:
            self._foreign(path)

    def _foreign(self, path: Path) -> None:
        known = ", ".join(sorted(self.kinds))
        self.problems.append(f"{path}: not a kind of file that facepriv reads ({known}); convert it first")

    def pattern(self, pattern: str) -> int:
        """Take what a glob finds; returns how many of its matches are folders."""
        base = _fixed_part(pattern)
        folders = 0
        for match in sorted(glob(pattern, recursive=True)):
            path = Path(match)
            if not path.is_dir():
                self._offer(path, base)
            elif not self._is_ours(path):
                folders += 1
                self.folder(path, base)
        return folders

    def folder(self, folder: Path, base: Path) -> None:
        """Take all images below `folder`, named relative to `base`."""
        for path in self._walk(folder):
            self._offer(path, base)

    def _walk(self, folder: Path) -> Iterator[Path]:
        for here, folders, files in os.walk(folder, onerror=self._unreadable):
            folders[:] = sorted(f for f in folders if self._enters(Path(here, f)))
            yield from (Path(here, name) for name in sorted(files))

    def _enters(self, folder: Path) -> bool:
        """Tell whether a folder met within another is searched."""
        if folder.name.startswith(".") or self._is_ours(folder):
            return False
        if folder.is_symlink():  # it may lead in a circle, or anywhere
            self.problems.append(f"{folder}: a link to a folder is not followed; name it itself")
            return False
        return True

    def _unreadable(self, error: OSError) -> None:
        self.problems.append(f"{error.filename}: {error.strerror}")

    def _is_ours(self, folder: Path) -> bool:
        return folder.name == RUN_FOLDER or (self.out is not None and folder.resolve() == self.out)

    def _offer(self, path: Path, base: Path) -> None:
        """Take a file met in a folder or by a pattern, if it is of a kind that is meant."""
        if path.name.startswith("."):
            self.ignored += 1
            return
        if not self._is_meant(path):
            if path.suffix.lower() in FOREIGN_SUFFIXES:
                self._foreign(path)
            else:
                self.ignored += 1
            return
        absolute, start = _absolute(path), _absolute(base)
        name = absolute.relative_to(start).as_posix() if absolute.is_relative_to(start) else path.name
        self._take(path, PurePosixPath(name))

    def _is_meant(self, path: Path) -> bool:
        return path.suffix.lower() in self.kinds

    def _take(self, path: Path, name: PurePosixPath) -> None:
        self.found[path.resolve(), name] = Found(path, name)


def _absolute(path: Path) -> Path:
    """Make absolute without "..", which could lead out of the output folder; links stay as they are."""
    return Path(os.path.abspath(path))


def _fixed_part(pattern: str) -> Path:
    """Return the folder that a pattern starts from: its parts before the first wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)
