"""Receipts record which request an output answers, in the user's state directory and not in the output folder.

The public record of a run must not reveal what was hidden, so it cannot show whether an output answers the request of a
resumed run. A receipt can: it is a keyed digest (HMAC-SHA256) of the request and the contents of input and output.
Each output folder has one file, named by a hash of its path. Its first line holds the secret key of its receipts, the
others hold one receipt each. Receipts contain no names of photos or requests, and require the secret to compute.

A receipt is written *before* the output gets its name. A finished output therefore always has one, even if the run is
killed. A lost receipt only costs time: a resumed run makes that output again. Files not written for a year are removed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from platformdirs import user_state_path

from facepriv.errors import one_line
from facepriv.files import real_path

_HEAD = b"facepriv-receipts 1 "
_SECRET_BYTES = 32
_WHOLE_HEAD = re.compile(re.escape(_HEAD) + rb"([0-9a-f]{%d})" % (2 * _SECRET_BYTES))
#: Length of a receipt in characters: 128 bits, as hex.
_LENGTH = 32
#: Days for which the receipts of an output folder are kept after the last run into it.
_KEPT_DAYS = 365


@dataclass(frozen=True)
class Claim:
    """The statement that a receipt certifies: this output answers this request for this input.

    Parameters
    ----------
    request : str
        All inputs that determine an output besides the photo, see `facepriv.protection.resume.request_text`.
    name, status : str
        Those of the output's row, see `facepriv.protection.manifest.ManifestRow`.
    source, made : str
        SHA-256 of the input and of the output, hex.
    audit : bool
        Whether the record contains what was hidden.
    on_no_face : str
        The option, if the output depends on it; else empty.
    """

    request: str
    name: str
    status: str
    source: str
    made: str
    audit: bool
    on_no_face: str = ""

    def receipt(self, secret: bytes) -> bytes:
        """Return the receipt under a secret."""
        parts = [
            self.request,
            self.name,
            self.status,
            self.source,
            self.made,
            self.audit,
            self.on_no_face,
        ]
        digest = hmac.new(secret, json.dumps(parts).encode(), hashlib.sha256).hexdigest()
        return digest[:_LENGTH].encode()


@dataclass(frozen=True)
class Receipts:
    """The receipts of one output folder."""

    secret: bytes
    known: frozenset[bytes]

    def confirm(self, claim: Claim) -> bool:
        """Return whether there is a receipt for a claim."""
        return claim.receipt(self.secret) in self.known


def receipts_path(record: Path) -> Path:
    """Return the path of the receipts of a run folder."""
    name = hashlib.sha256(os.fsencode(real_path(record))).hexdigest()
    return user_state_path("facepriv", appauthor=False) / "receipts" / name


def described_place(record: Path) -> str:
    """Return the location of the receipts of a run folder, for messages."""
    try:
        return str(receipts_path(record))
    except (OSError, RuntimeError):
        return "there is no home folder, and XDG_STATE_HOME is not set"


def read_receipts(record: Path | None) -> Receipts | None:
    """Read the receipts of a run folder; None if this user has none or they cannot be read."""
    if record is None:
        return None
    try:
        head, _, rest = receipts_path(record).read_bytes().partition(b"\n")
    except (OSError, RuntimeError):  # no home folder, no permission or no such file: no receipts are known
        return None
    whole = _WHOLE_HEAD.fullmatch(head)
    return Receipts(bytes.fromhex(whole[1].decode()), frozenset(rest.split())) if whole else None


class ReceiptWriter:
    """Adds receipts of one run folder. If the state directory is not writable, the run goes on and `problem` is set.

    Parameters
    ----------
    record : Path or None
        The run folder; None: no receipts are kept.
    """

    def __init__(self, record: Path | None) -> None:
        self.record = record
        self.problem = ""
        self._descriptor: int | None = None
        self._secret = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def add(self, claim: Claim) -> None:
        """Write a receipt; it then survives the end of this process."""
        if self.record is None or self.problem:
            return
        try:
            if self._descriptor is None:
                self._open(receipts_path(self.record))
            assert self._descriptor is not None
            # One line per call, so that lines of concurrent runs do not mix. The leading line end terminates an earlier
            # line that a full disk left incomplete.
            os.write(self._descriptor, b"\n" + claim.receipt(self._secret) + b"\n")
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            place = getattr(error, "filename", None) or "the state directory"
            self.problem = (
                f"{place}: {reason}; --resume will not know what this run made: set XDG_STATE_HOME to a folder "
                "that can be written"
            )

    def _open(self, path: Path) -> None:
        _make_private(path.parent)
        start = _start(path)
        if not _WHOLE_HEAD.match(start or b""):
            _remove_old(path.parent)
            _begin(path, replace=start is not None)
        found = _WHOLE_HEAD.match(_start(path) or b"")
        if found is None:
            raise OSError(f"{path}: was changed by another program")
        self._secret = bytes.fromhex(found[1].decode())
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)


def _make_private(folder: Path) -> None:
    """Make a facepriv folder in the user's state directory, accessible to the user only."""
    ours = folder.parent
    if not ours.is_absolute():
        raise OSError("there is no home folder")
    ours.parent.mkdir(parents=True, exist_ok=True)
    ours.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix" and ours.stat().st_mode & 0o077:
        ours.chmod(0o700)
    folder.mkdir(mode=0o700, exist_ok=True)


def _remove_old(folder: Path) -> None:
    """Remove the receipts of output folders without recent runs; most of those folders no longer exist."""
    oldest = time.time() - _KEPT_DAYS * 86_400
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # another run was faster
            if file.stat().st_mtime < oldest:
                file.unlink()


def _start(path: Path) -> bytes | None:
    """Return the bytes of a file's first line, up to the expected length; None if there is no file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_HEAD) + 2 * _SECRET_BYTES)
    except FileNotFoundError:
        return None


def _begin(path: Path, *, replace: bool) -> None:
    """Create a file with a new secret atomically; if two runs do so at once, the first one's file stays.

    A damaged file is replaced: its receipts are useless without their secret.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_HEAD + secrets.token_hex(_SECRET_BYTES).encode() + b"\n")
        if replace or not _linked(temporary, path):
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _linked(file: Path, name: Path) -> bool:
    """Add a hard link to a file unless the name is taken; returns False if the file system has no hard links."""
    try:
        os.link(file, name)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True
