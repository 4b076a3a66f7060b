"""Decide where each result goes and which results to make; no file is overwritten unless the user asks for it."""

from __future__ import annotations

import errno
import hashlib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facepriv.errors import UsageError
from facepriv.files import file_sha256, real_path
from facepriv.image import IMAGE_SUFFIXES
from facepriv.protection.inputs import FOREIGN_SUFFIXES, Discovery, Found, is_shard
from facepriv.protection.manifest import BESIDE_SUFFIX, RUN_FOLDER, ManifestRow, RunRecord
from facepriv.protection.options import Existing

#: Maximum length of a file name on common file systems, in bytes.
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Job:
    """One file to make: its source, its destination and its name in the manifest."""

    source: Path
    output: Path
    name: str


@dataclass(frozen=True)
class Place:
    """Where a run writes.

    Parameters
    ----------
    jobs : tuple of Job
    record : Path or None
        The run folder, or None. A single output file has one only with an audit, since there is nothing to resume.
    staging : Path
        Parent of the temporary folder for results, on the file system of the outputs.
    label : str
        Part of that folder's name, different for runs to different places.
    """

    jobs: tuple[Job, ...]
    record: Path | None
    staging: Path
    label: str = "staging"


def place(found: Discovery, out: str, *, audit: bool = False) -> Place:
    """Map inputs to outputs.

    Parameters
    ----------
    found : Discovery
    out : str
        A folder, or for a single input file an image file. A path that does not exist is a file if it has the suffix
        of an image and no trailing slash.
    audit : bool
        Keep a run folder for a single file too.

    Raises
    ------
    UsageError
        If `out` is empty, has an unsupported format or is not writable, if an output would be an input, or if two
        inputs would become one output.
    """
    path = Path(out)
    _check_out(out, path)
    is_file = path.is_file() or (
        not path.is_dir() and not out.endswith(("/", os.sep)) and path.suffix.lower() in IMAGE_SUFFIXES
    )
    if is_file and not found.one_file:
        raise UsageError(f"{out}: names one file, but the input is a folder, a pattern or several files; name a folder")
    shards = any(is_shard(file.source) for file in found.files)
    if shards and (is_file or (is_shard(path) and not path.is_dir())):
        raise UsageError(f"{out}: protected shards keep their names; name the folder for them")
    if is_file:
        jobs: tuple[Job, ...] = (Job(found.files[0].source, path, path.name),)
        where = Place(jobs, _beside(path) if audit else None, path.parent, _label(path.name))
    else:
        jobs = tuple(Job(f.source, path / f.name, str(f.name)) for f in found.files)
        where = Place(jobs, path / RUN_FOLDER, path / RUN_FOLDER)
    _check_distinct(found.files)
    _check_inputs_safe(jobs)
    return where


@dataclass
class Triage:
    """Jobs sorted by what remains to do.

    Parameters
    ----------
    todo, done : list of Job
        Jobs to do, and jobs already done.
    again : list of Job
        Those of `todo` whose existing output answers another request or another input.
    refused : list of (Job, str)
        Jobs that cannot be done, with the reason.
    """

    todo: list[Job] = field(default_factory=list)
    done: list[Job] = field(default_factory=list)
    again: list[Job] = field(default_factory=list)
    refused: list[tuple[Job, str]] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """One line for each job that is refused."""
        return [f"{job.output}: {reason}" for job, reason in self.refused]

    @property
    def errors_by_reason(self) -> list[str]:
        """One line for each reason, with the first of its jobs and the number of the others."""
        first: dict[str, Path] = {}
        count: dict[str, int] = {}
        for job, reason in self.refused:
            first.setdefault(reason, job.output)
            count[reason] = count.get(reason, 0) + 1
        more = {reason: f" and {n - 1} more" if n > 1 else "" for reason, n in count.items()}
        return [f"{output}{more[reason]}: {reason}" for reason, output in first.items()]


def triage(
    jobs: Sequence[Job], existing: Existing, run: RunRecord, chain: str, answers: Callable[[Job, ManifestRow], bool]
) -> Triage:
    """Sort jobs by the state of their outputs.

    Parameters
    ----------
    jobs : sequence of Job
    existing : {"fail", "resume", "overwrite"}
        How to treat an existing output. ``resume`` counts it as done only if, by its manifest row, facepriv made
        exactly these bytes with the same chain of methods, and if it answers the request of this run. Outputs for
        another request are made again. Files that facepriv did not make are refused: an unprotected photo copied into
        the output folder must not pass for a protected one.
    run : RunRecord
        The record so far.
    chain : str
        The chain of methods, as written in rows.
    answers : callable
        Takes a job and its last row; returns whether the output answers the request. See
        `facepriv.protection.resume.OutputCheck`.
    """
    sorted_jobs = Triage()
    for job in jobs:
        refusal = _blocked(job.output)
        there = refusal is None and job.output.exists()
        if there and existing == "fail":
            refusal = "exists already; --resume finishes an interrupted run, --overwrite replaces what is there"
        row = None
        if there and existing == "resume":
            row, refusal = _recorded(job, run.history.get(job.name, []), chain)
        if refusal is not None:
            sorted_jobs.refused.append((job, refusal))
        elif row is not None and answers(job, row):
            sorted_jobs.done.append(job)
        else:
            sorted_jobs.todo.append(job)
            if row is not None:
                sorted_jobs.again.append(job)
    return sorted_jobs


def _recorded(job: Job, rows: list[ManifestRow], chain: str) -> tuple[ManifestRow | None, str | None]:
    """Return the row of an output that is intact and from this chain, or the reason why it must not be replaced."""
    digest = file_sha256(job.output)
    if digest not in [row.sha256 for row in rows]:
        return None, "is there, but the manifest has no row of it; remove it or give --overwrite"
    last = rows[-1]
    if last.sha256 != digest:
        return None, None  # made by facepriv, but a later attempt to replace it was interrupted: make it again
    if last.method != chain:
        return None, f"was made with {last.method}, not {chain}; choose another folder or give --overwrite"
    return (None if last.status == "partial" else last), None


def check_writable(where: Place) -> None:
    """Raise `PermissionError` if the permissions of the existing folder do not allow writing."""
    folder = next(parent for parent in (where.staging.absolute() / "x").parents if parent.is_dir())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(where.staging))


def _blocked(output: Path) -> str | None:
    """Return why nothing can be written at `output`, or None."""
    if output.is_dir():
        return "is a folder"
    above = _file_above(output)
    return f"{above} is a file, so nothing can be written below it" if above else None


def _file_above(path: Path) -> Path | None:
    """Return the nearest existing parent of `path` if it is not a folder."""
    for parent in path.absolute().parents:
        if parent.is_dir():
            return None
        if parent.exists():
            return parent
    return None


def _check_out(out: str, path: Path) -> None:
    if not out:
        raise UsageError("the output is an empty text; name a folder with -o, '.' for the one that you are in")
    above = _file_above(path)
    if above:
        raise UsageError(f"{out}: {above} is a file, so nothing can be written below it")
    suffix = path.suffix.lower()
    if suffix in FOREIGN_SUFFIXES and not path.is_dir() and not out.endswith(("/", os.sep)):
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise UsageError(f"{out}: facepriv does not write {suffix} (it writes {known}); a folder's name ends with '/'")


def _beside(path: Path) -> Path:
    """Return the run folder of a single output file; raises `UsageError` if its name is too long."""
    name = path.name + BESIDE_SUFFIX
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise UsageError(f"{path}: its name is too long for an audit beside it; name a folder, or a shorter file")
    return path.with_name(name)


def _label(name: str) -> str:
    """Return a short text for use in a file name; the full name with prefix and suffix could be too long."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _folded(name: str) -> str:
    """Return a name as compared by a file system that ignores case and Unicode normalisation."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_distinct(files: Sequence[Found]) -> None:
    """Raise `UsageError` if two outputs would be the same file on this or another file system."""
    seen: dict[str, Found] = {}
    for file in files:
        other = seen.setdefault(_folded(str(file.name)), file)
        if other is file:
            continue
        where = "" if other.name == file.name else " on a disk that ignores case or Unicode normalisation"
        raise UsageError(
            f"{other.source} and {file.source} would both become '{other.name}'{where}; nothing was written: "
            "rename one, name the folder that holds both, or run them into two folders"
        )


def _check_inputs_safe(jobs: Sequence[Job]) -> None:
    inputs: dict[str, list[Path]] = {}
    for job in jobs:
        inputs.setdefault(_folded(str(real_path(job.source))), []).append(job.source)
    for job in jobs:
        output = real_path(job.output)
        for source in inputs.get(_folded(str(output)), []):
            # On a file system that ignores case, one file has several paths.
            if real_path(source) == output or (output.exists() and output.samefile(source)):
                raise UsageError(f"{job.output}: is an input and would be written over; choose another output folder")
