"""What the user asked for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facepriv.errors import UsageError
from facepriv.protection.plan import Existing
from facepriv.protection.request import PrivacyRequest
from facepriv.protection.worker import TIMEOUT, OnNoFace

#: Shortest secret that a key file may hold, in bytes.
KEY_BYTES = 16


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Parameters
    ----------
    inputs : tuple of str
        Files, folders, patterns, see `facepriv.protection.inputs.discover`.
    out : str
        See `facepriv.protection.plan.place`.
    methods : tuple of str
        Applied in order.
    request : PrivacyRequest
    key : bytes
        The run's secret, see `new_key` and `read_key`.
    estimators : mapping
        Attribute -> estimator's name where not the default.
    device : str
    batch_size : int
        How many faces a method is given at once.
    workers : int or None
        Processes; None chooses by the number of files and CPUs, 0 works in this process.
    on_no_face : {"fail", "skip", "copy"}
    existing : {"fail", "resume", "overwrite"}
    thorough : bool
        See `facepriv.faces.find_faces`.
    keep_metadata, audit : bool
    timeout : float
        Seconds after which a worker process that has finished no file is killed; in this process nothing is.
    engine : str
        Where the work is done: ``local``, or an engine that a plugin brings.
    address : str
        Of a cluster, for an engine that takes one.
    """

    inputs: tuple[str, ...]
    out: str
    methods: tuple[str, ...]
    request: PrivacyRequest = field(default_factory=PrivacyRequest)
    key: bytes = field(default_factory=lambda: new_key(), repr=False)
    estimators: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    batch_size: int = 8
    workers: int | None = None
    on_no_face: OnNoFace = "fail"
    existing: Existing = "fail"
    thorough: bool = False
    keep_metadata: bool = False
    audit: bool = False
    timeout: float = TIMEOUT
    engine: str = "local"
    address: str = ""

    @property
    def chain(self) -> str:
        """The methods as manifest rows name them."""
        return " > ".join(self.methods)


def new_key() -> bytes:
    """Return a fresh secret for the draws of targets; it is kept nowhere."""
    return secrets.token_bytes(32)


def read_key(path: Path, out: str) -> bytes:
    """Read the secret of a run from a file.

    Raises
    ------
    UsageError
        If the file cannot be read, is too short to be a secret, or lies in the output, which others are to see.
    """
    if path.resolve().is_relative_to(Path(out).resolve()):
        raise UsageError(f"{path}: the key lies in the output folder; keep it elsewhere, it undoes the drawn targets")
    try:
        key = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; make a key with: head -c 32 /dev/urandom > {path}") from error
    if len(key) < KEY_BYTES:
        raise UsageError(f"{path}: holds {len(key)} bytes, a key has at least {KEY_BYTES}")
    return key
