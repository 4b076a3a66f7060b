"""Where each result goes, and which results are to be made: nothing is ever written over unasked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

from facepriv.errors import UsageError
from facepriv.files import file_sha256
from facepriv.image import IMAGE_SUFFIXES
from facepriv.protection.inputs import Discovery, Found, is_shard
from facepriv.protection.manifest import BESIDE_SUFFIX, RUN_FOLDER, Row, Run

Existing = Literal["fail", "resume", "overwrite"]


@dataclass(frozen=True)
class Job:
    """One file to make: where from, where to, and its name in the manifest."""

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
        The run folder, or None where none is kept: beside a single file it would be litter unless an audit was asked
        for, and nothing has to be resumed there.
    staging : Path
        Parent of the temporary folder in which results are made, on the file system of the outputs.
    label : str
        Part of that folder's name: runs to different places must not share it.
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
        A folder, or for a single input file an image file. What exists decides; what does not is a file if its
        suffix is an image's and no slash ends it.
    audit : bool
        Keep a run folder beside a single file too.

    Raises
    ------
    UsageError
        If `out` cannot be written below, an output would be an input, or two inputs would become one output.
    """
    path = Path(out)
    _check_above(path)
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
        beside = path.with_name(path.name + BESIDE_SUFFIX)
        where = Place(jobs, beside if audit else None, path.parent, path.name)
    else:
        jobs = tuple(Job(f.source, path / f.name, str(f.name)) for f in found.files)
        where = Place(jobs, path / RUN_FOLDER, path / RUN_FOLDER)
    _check_distinct(found.files)
    _check_inputs_safe(jobs)
    return where


@dataclass
class Triage:
    """Jobs sorted: to be made, made already, and (job, one line) that cannot be made."""

    todo: list[Job] = field(default_factory=list)
    done: list[Job] = field(default_factory=list)
    refused: list[tuple[Job, str]] = field(default_factory=list)


def triage(jobs: Sequence[Job], existing: Existing, run: Run, chain: str) -> Triage:
    """Sort jobs by what is there already.

    Parameters
    ----------
    jobs : sequence of Job
    existing : {"fail", "resume", "overwrite"}
        What an output that is there already means. ``resume`` takes it for done only if its manifest row says that
        facepriv made exactly these bytes with the same chain of methods: an unprotected photo that was copied into the
        output folder must not pass for a protected one.
    run : Run
        The record so far.
    chain : str
        The chain of methods, as rows name it.
    """
    sorted_jobs = Triage()
    for job in jobs:
        refusal = _blocked(job.output)
        if refusal is None and existing == "fail" and job.output.exists():
            refusal = "exists already; --resume finishes an interrupted run, --overwrite replaces what is there"
        made = False
        if refusal is None and existing == "resume" and job.output.exists():
            made, refusal = _recorded(job, run.history.get(job.name, []), chain)
        if refusal is not None:
            sorted_jobs.refused.append((job, f"{job.output}: {refusal}"))
        else:
            (sorted_jobs.done if made else sorted_jobs.todo).append(job)
    return sorted_jobs


def _recorded(job: Job, rows: list[Row], chain: str) -> tuple[bool, str | None]:
    """Return whether an existing output is known to be whole and of this chain, or why it must not be touched."""
    digest = file_sha256(job.output)
    if digest not in [row.sha256 for row in rows]:
        return False, "is there, but no manifest row says that facepriv made it so; remove it or give --overwrite"
    last = rows[-1]
    if last.sha256 != digest:
        return False, None  # ours, and a later attempt to replace it was cut short: make it again
    if last.method == chain and last.status == "partial":
        return False, None
    if last.method != chain:
        return False, f"was made with {last.method}, not {chain}; choose another folder or give --overwrite"
    return True, None


def _blocked(output: Path) -> str | None:
    """Return why nothing can be written at `output`, or None."""
    if output.is_dir():
        return "is a folder"
    above = _file_above(output)
    return f"{above} is a file, so nothing can be written below it" if above else None


def _file_above(path: Path) -> Path | None:
    """Return the nearest parent of `path` that exists, if it is no folder."""
    for parent in path.absolute().parents:
        if parent.is_dir():
            return None
        if parent.exists():
            return parent
    return None


def _check_above(out: Path) -> None:
    above = _file_above(out)
    if above:
        raise UsageError(f"{out}: {above} is a file, so nothing can be written below it")


def _check_distinct(files: Sequence[Found]) -> None:
    for one, other in pairwise(files):  # sorted by name, so equal names are neighbours
        if one.name == other.name:
            raise UsageError(
                f"{one.source} and {other.source} would both become '{one.name}'; nothing was written: "
                "name the folder that holds both, or run them into two folders"
            )


def _check_inputs_safe(jobs: Sequence[Job]) -> None:
    inputs = {job.source.resolve(): job.source for job in jobs}
    for job in jobs:
        if job.output.resolve() in inputs:
            raise UsageError(f"{job.output}: is an input and would be written over; choose another output folder")
