"""Tar shards: collections too large for one folder, in the layout of WebDataset.

A shard is one task. Its photos are read in place from the tar and never extracted under their own names. The protected
photos are staged one by one and packed into one new tar, with the same names and order. The tar gets its name only
when it is complete and recorded. Members that are not photos (labels, captions) are dropped, as they may reveal what
the photos now hide. A photo that cannot be read is an error, as in a folder.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from facepriv.errors import ImageError, cleaned, one_line
from facepriv.files import file_sha256
from facepriv.image.formats import IMAGE_SUFFIXES
from facepriv.protection.inputs import is_shard, unread
from facepriv.protection.worker import FileTask, Outcome, Span

RunTasks = Callable[[Sequence[FileTask]], Iterator[Outcome]]


@dataclass(frozen=True)
class Member:
    """One photo of a shard: its name, the position of its bytes, and the reason if it is refused."""

    name: str
    span: Span
    refusal: str = ""


def with_shards(run: RunTasks, tasks: Sequence[FileTask]) -> Iterator[Outcome]:
    """Run tasks that may be whole shards, with a `run` that handles photos only; yields one outcome per task."""
    photos = [task for task in tasks if not is_shard(task.source)]
    if photos:
        yield from run(photos)
    for task in tasks:
        if is_shard(task.source):
            yield _protect(run, task)


def members_of(shard: Path) -> list[Member]:
    """List the possible photos of a shard, in its order; folders, hidden files and other kinds are skipped.

    Raises
    ------
    ImageError
        If the file is not a tar, is truncated or cyclic, or contains no photo.
    """
    members: list[Member] = []
    names: set[str] = set()
    try:
        with shard.open("rb") as file:
            for info in _walk(file):
                if _may_be_photo(info):
                    members.append(Member(info.name, (info.offset_data, info.size), _refusal(info, names)))
                    names.add(info.name)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise ImageError(f"{shard}: is no whole tar file ({one_line(error)}): make it again") from error
    if not members:
        raise ImageError(f"{shard}: no photo in it (read are {', '.join(sorted(IMAGE_SUFFIXES))})")
    return members


def _walk(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield a tar's members; raises `tarfile.ReadError` where `tarfile` itself would stop early or loop forever."""
    with tarfile.open(fileobj=file, mode="r:") as tar:
        last = -1
        while (info := tar.next()) is not None:
            if info.offset <= last or info.offset_data <= info.offset or info.size < 0:
                raise tarfile.ReadError("a member's place or size is impossible")
            last = info.offset
            tar.members.clear()  # it would keep them all
            yield info
        file.seek(tar.offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"damaged at byte {tar.offset:,}")


def _may_be_photo(info: tarfile.TarInfo) -> bool:
    path = PurePosixPath(info.name)
    if path.name.startswith(".") or not (info.isreg() or _is_link(info)):
        return False
    return _is_read(path) or bool(unread(path, IMAGE_SUFFIXES))


def _is_read(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_link(info: tarfile.TarInfo) -> bool:
    return info.issym() or info.islnk()


def _refusal(info: tarfile.TarInfo, names: set[str]) -> str:
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts:
        return "its name leads out of the folder that it would be unpacked to: rename it"
    if not _is_read(path):
        return unread(path, IMAGE_SUFFIXES)
    if info.name in names:
        return "a member before it has the same name: rename one"
    if _is_link(info):
        return "is a link: pack the photos themselves, with --dereference and --hard-dereference"
    if info.issparse():
        return "is stored with holes: pack the shard without --sparse"
    return ""


def _protect(run: RunTasks, task: FileTask) -> Outcome:
    """Make one protected shard at ``task.staged``."""
    folder = task.staged.with_name(task.staged.name + ".d")
    try:
        source = file_sha256(task.source)  # first, so that a resumed run detects later changes of the file
        members = members_of(task.source)
        folder.mkdir()
        try:
            made = _photos(run, task, members, folder)
            return replace(_outcome(task, members, made, folder), source=source)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        text = f"{task.source}: {error.strerror or one_line(error)}"
    except ImageError as error:
        text = str(error)
    return Outcome(task.number, "failed", error=text)


def _photos(run: RunTasks, task: FileTask, members: Sequence[Member], folder: Path) -> dict[int, Outcome]:
    """Protect the photos of a shard, each into a file of `folder`; returns number in the shard -> outcome."""
    tasks = []
    made = {}
    for number, member in enumerate(members):
        one = FileTask(number, task.source, _staged(folder, number, member), cleaned(member.name), member.span)
        if member.refusal:
            made[number] = Outcome(number, "failed", error=f"{one.label}: {member.refusal}")
        else:
            tasks.append(one)
    return made | {outcome.number: outcome for outcome in run(tasks)}


def _outcome(task: FileTask, members: Sequence[Member], made: dict[int, Outcome], folder: Path) -> Outcome:
    """Pack the results, and return the outcome of the whole shard."""
    parts = tuple((member.name, replace(made[n], number=n)) for n, member in enumerate(members))
    failed = sum(outcome.status == "failed" for _, outcome in parts)
    if failed == len(parts):
        return Outcome(task.number, "failed", parts=parts)
    with open(task.staged, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for number, (name, outcome) in enumerate(parts):
            if outcome.sha256:
                _add(tar, name, _staged(folder, number, members[number]))
    with open(task.staged, "rb") as file:
        os.fsync(file.fileno())
    faces = sum(outcome.faces for _, outcome in parts)
    return Outcome(task.number, "partial" if failed else "ok", faces, file_sha256(task.staged), parts=parts)


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    """Add a file with its name and bytes only: no owner, no time."""
    info = tarfile.TarInfo(name)
    info.size = path.stat().st_size
    with path.open("rb") as file:
        tar.addfile(info, file)
    tar.members.clear()  # tarfile would keep them all


def _staged(folder: Path, number: int, member: Member) -> Path:
    return folder / f"{number:08d}{PurePosixPath(member.name).suffix}"
