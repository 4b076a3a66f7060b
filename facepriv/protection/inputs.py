"""Finds the image files named on a command line, and the name of each below the output folder.

Outputs of earlier runs are left out. Files that may hold photos of another format are reported.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import filter as matching
from glob import has_magic
from pathlib import Path, PurePath, PurePosixPath

from facepriv.files import real_path
from facepriv.image import IMAGE_SUFFIXES
from facepriv.protection.manifest import MANIFEST, RUN_FOLDER, read_run

#: Suffix of a tar shard, see `facepriv.protection.shards`. A compressed tar does not allow random access.
SHARD_SUFFIX = ".tar"

# Files that may hold photos in formats that facepriv does not read; each is reported, none is skipped silently.
# Videos, documents and icons are not photos. They count as ignored files.
_IMAGES = """
.apng .avci .avcs .avif .avifs .cin .dcm .dcx .dib .dicom .dpx .exr .fpx .gif .hdp .hdr .heic .heics .heif .heifs .hif
.iff .j2c .j2k .jbg .jbig .jfi .jfif .jif .jls .jng .jp2 .jpc .jpe .jpf .jpm .jps .jpx .jxl .jxr .miff .mng .mpo .pam
.pbm .pcd .pct .pcx .pfm .pgm .pict .pjp .pjpeg .pns .pnm .ppm .ptif .qoi .ras .rgb .rgba .sgi .svs .tga .thm .wbmp .wdp
"""
_EDITORS = ".afphoto .kra .ora .pdn .psb .psd .psp .pspimage .xcf"
_RAW = """
.3fr .arq .arw .bay .cr2 .cr3 .craw .crw .dcr .dng .drf .eip .erf .fff .gpr .iiq .k25 .kdc .lfp .lfr .lri .mdc .mef .mos
.mrw .nef .nrw .orf .ori .pef .ptx .raf .raw .rw2 .rwl .rwz .sr2 .srf .srw .x3f
"""
_ARCHIVES = ".7z .rar .tar .taz .tbz .tbz2 .tgz .tlz .txz .tzst .zip"
_COMPRESSED = ".br .bz2 .gz .lz .lz4 .lzma .xz .z .zst"

#: Suffixes of photo formats that facepriv does not read.
FOREIGN_SUFFIXES = frozenset(f"{_IMAGES} {_EDITORS} {_RAW}".split())
#: Suffixes of archives, which are not opened.
ARCHIVE_SUFFIXES = frozenset(_ARCHIVES.split())
#: Suffixes of single compressed files; the suffix before gives the format.
COMPRESSED_SUFFIXES = frozenset(_COMPRESSED.split())


def is_shard(path: Path) -> bool:
    """Return whether a file is a shard, judged by its name."""
    return path.suffix.lower() == SHARD_SUFFIX


@dataclass(frozen=True)
class Found:
    """One input file, and its name relative to the output folder."""

    source: Path
    name: PurePosixPath


@dataclass
class Discovery:
    """The files found.

    Parameters
    ----------
    files : list of Found
        Sorted by name; no file twice under one name.
    problems : list of str
        One line for each argument, or folder within it, without results.
    ignored : int
        Number of files skipped in folders and patterns because they are hidden or not images.
    one_file : bool
        Whether the arguments give a single file that was named directly, not through a folder.
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
        Files; folders, searched recursively; patterns such as ``photos/**/*.jpg``. The contents of a single folder are
        named relative to it; with several folders, names start with the folder's name. Matches of a pattern are named
        relative to the part before its first wildcard.
    out : Path, optional
        The output folder. It may lie inside an input folder; it is not searched.
    kinds : collection of str
        Suffixes of the files to find, in lower case with their dot.

    Returns
    -------
    Discovery
        Files and folders whose name begins with a dot, and run folders written by `apply`, are skipped unless named
        directly. A link to a folder is followed only if it is named directly (in a pattern: before the first wildcard).
    """
    search = _Search(out, kinds)
    folders = 0
    for argument in arguments:
        path = Path(argument)
        before = search.answers
        if path.is_dir():
            folders += 1
            search.folder(path, path if len(arguments) == 1 else _absolute(path).parent)
        elif path.exists():
            search.named(path)
        elif has_magic(argument):
            folders += search.pattern(argument)
        else:
            search.problem(f"{argument}: no such file or folder")
        if search.answers == before:
            search.problem(f"{argument}: no image file there (read are {', '.join(sorted(kinds))})")
    files = sorted(search.found.values(), key=lambda f: f.name)
    one_file = len(arguments) == len(files) == 1 and not folders
    return Discovery(files, list(search.problems), len(search.ignored), one_file)


class _Search:
    """Collects the results of `discover`."""

    def __init__(self, out: Path | None, kinds: Collection[str]) -> None:
        self.kinds = kinds
        self.out = real_path(out) if out is not None else None
        self.found: dict[tuple[Path, PurePosixPath], Found] = {}
        # A pattern may match a file or a folder several times.
        self.problems: dict[str, None] = {}
        self.ignored: set[Path] = set()
        #: Number of files found and problems noted; an argument that adds neither is reported.
        self.answers = 0

    def problem(self, text: str) -> None:
        """Record a problem, once."""
        self.problems[text] = None
        self.answers += 1

    def named(self, path: Path) -> None:
        """Add a file that was named directly."""
        if self._is_meant(path):
            self._take(path, PurePosixPath(path.name))
        else:
            self.problem(f"{path}: {unread(path, self.kinds, named=True)}")

    def pattern(self, pattern: str) -> int:
        """Add the matches of a pattern; returns how many of them are folders."""
        base = _fixed_part(pattern)
        rest = list(Path(pattern).parts[len(base.parts) :])
        if pattern.endswith(("/", os.sep)):
            rest.append("**")  # folders only
        folders = 0
        for path in self._matches(base, rest):
            if not path.is_dir():
                self._offer(path, base)
            elif not self._is_ours(path):
                folders += 1
                self.folder(path, base)
        return folders

    def _matches(self, path: Path, parts: Sequence[str]) -> Iterator[Path]:
        """Yield the matches of the rest of a pattern below a path, as `glob` does, without following folder links."""
        if not parts:
            yield path
        elif path.is_dir():
            part, rest = parts[0], parts[1:]
            if part == "**":
                yield from self._matches(path, rest)
                for name in self._names(path):
                    if (path / name).is_dir() and self._enters(path / name):
                        yield from self._matches(path / name, parts)
                return
            for below in self._named_like(path, part):
                if not below.is_dir() or below.name == ".." or self._follows(below):
                    yield from self._matches(below, rest)

    def _named_like(self, folder: Path, part: str) -> list[Path]:
        """Return the matches of one part of a pattern in a folder; a wildcard does not match a leading dot."""
        if not has_magic(part):
            return [folder / part] if (folder / part).exists() else []
        names = matching(self._names(folder), part)
        return [folder / name for name in names if part.startswith(".") or not name.startswith(".")]

    def _names(self, folder: Path) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except OSError as error:
            self._unreadable(error)
            return []

    def folder(self, folder: Path, base: Path) -> None:
        """Add all images below `folder`, named relative to `base`."""
        for path in self._walk(folder):
            self._offer(path, base)

    def _walk(self, folder: Path) -> Iterator[Path]:
        for here, folders, files in os.walk(folder, onerror=self._unreadable):
            folders[:] = sorted(f for f in folders if self._enters(Path(here, f)))
            yield from (Path(here, name) for name in sorted(files))

    def _enters(self, folder: Path) -> bool:
        """Return whether to search a folder found within another."""
        return not folder.name.startswith(".") and not self._is_ours(folder) and self._follows(folder)

    def _follows(self, folder: Path) -> bool:
        """Return whether a folder is not a link; links may form cycles or lead elsewhere."""
        if folder.is_symlink():
            self.problem(f"{folder}: a link to a folder is not followed; name it itself")
        return not folder.is_symlink()

    def _unreadable(self, error: OSError) -> None:
        self.problem(f"{error.filename}: {error.strerror}")

    def _is_ours(self, folder: Path) -> bool:
        return folder.name == RUN_FOLDER or (self.out is not None and real_path(folder) == self.out)

    def _offer(self, path: Path, base: Path) -> None:
        """Add a file found in a folder or by a pattern, if it is of a wanted kind."""
        if path.name.startswith("."):
            self.ignored.add(_absolute(path))
            return
        if not self._is_meant(path):
            reason = unread(path, self.kinds)
            if reason:
                self.problem(f"{path}: {reason}")
            else:
                self.ignored.add(_absolute(path))
            return
        absolute, start = _absolute(path), _absolute(base)
        name = absolute.relative_to(start).as_posix() if absolute.is_relative_to(start) else path.name
        self._take(path, PurePosixPath(name))

    def _is_meant(self, path: Path) -> bool:
        return path.suffix.lower() in self.kinds

    def _take(self, path: Path, name: PurePosixPath) -> None:
        self.found[real_path(path), name] = Found(path, name)
        self.answers += 1


def _absolute(path: Path) -> Path:
    """Make a path absolute, without ".." (which could lead out of the output folder); links are not resolved."""
    return Path(os.path.abspath(path))


def _fixed_part(pattern: str) -> Path:
    """Return the folder where a pattern starts: its parts before the first wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def unread(name: PurePath, kinds: Collection[str], *, named: bool = False) -> str:
    """Return why a file that may hold photos is not read, and how to proceed; an empty text for any other file.

    Parameters
    ----------
    name : PurePath
        A path, or a member's name in a shard. Its suffix is not in `kinds`.
    kinds : collection of str
        Suffixes of the files that are read, in lower case with their dot.
    named : bool
        Whether the user named this file directly; then it counts whatever its suffix.
    """
    suffix = name.suffix.lower()
    compressed = suffix in COMPRESSED_SUFFIXES
    inner = PurePath(name.stem).suffix.lower() if compressed else suffix
    if inner in ARCHIVE_SUFFIXES or (compressed and (inner in kinds or inner in FOREIGN_SUFFIXES)):
        remedy = "unpack it first"
    elif named or inner in FOREIGN_SUFFIXES:
        remedy = "convert it first"
    else:
        return ""
    return f"not a kind of file that facepriv reads ({', '.join(sorted(kinds))}); {remedy}"


def leave_out_earlier(found: Discovery, arguments: Sequence[str]) -> tuple[Discovery, list[str]]:
    """Leave out the outputs of earlier runs: protecting them again would flip some attributes back.

    Parameters
    ----------
    found : Discovery
    arguments : sequence of str
        The arguments behind `found`. An output folder, or part of one, that is named explicitly is a normal input.

    Returns
    -------
    found : Discovery
        Without the files listed as outputs in the record of an earlier run.
    warnings : list of str
        One line for each output folder.

    Raises
    ------
    DataError
        If such a record is damaged.
    """
    named = [_absolute(Path(argument)) for argument in arguments]
    outputs = {folder: _outputs(folder) for folder in _output_folders(found.files, named)}
    left: dict[Path, int] = dict.fromkeys(outputs, 0)
    kept = []
    for file in found.files:
        path = _absolute(file.source)
        folder = next((parent for parent in path.parents if path in outputs.get(parent, ())), None)
        if folder is None:
            kept.append(file)
        else:
            left[folder] += 1
    warnings = [
        f"{os.path.relpath(folder)}: is the output folder of an earlier run; what that run made is left out "
        f"({count} file{'s' * (count != 1)}): name the folder itself to protect it once more"
        for folder, count in left.items()
        if count
    ]
    return replace(found, files=kept), warnings


def _output_folders(files: Sequence[Found], named: Sequence[Path]) -> list[Path]:
    """Return the output folders above some files, except those that an argument names or lies in."""
    above = {parent for file in files for parent in _absolute(file.source).parents}
    return sorted(
        folder
        for folder in above
        if (folder / RUN_FOLDER / MANIFEST).is_file() and not any(path.is_relative_to(folder) for path in named)
    )


def _outputs(folder: Path) -> set[Path]:
    return {folder / name for name, row in read_run(folder).rows.items() if row.has_output}
