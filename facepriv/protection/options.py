"""The configuration of a run, passed unchanged to all parts, and its secret key, which seeds drawn targets."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, Self

from facepriv.errors import UsageError
from facepriv.files import real_path
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry

OnNoFace = Literal["fail", "skip", "copy"]
Existing = Literal["fail", "resume", "overwrite"]

#: Default timeout: seconds without a finished file after which a worker process is considered hung.
TIMEOUT = 300.0
#: Minimum length of the secret in a key file, in bytes.
KEY_BYTES = 16
#: Maximum length. An endless source (``/dev/urandom``), or a file that is not a key, is not read into memory.
MOST_KEY_BYTES = 65_536
_HOW = "make a key with: head -c 32 /dev/urandom >"


def new_key() -> bytes:
    """Return a fresh secret for the draws of targets; it is not stored."""
    return secrets.token_bytes(32)


def read_key(path: Path, out: str) -> bytes:
    """Read the secret of a run from a file.

    Raises
    ------
    UsageError
        If the file cannot be read, is too short or too long, or lies in the output folder, which others can see.
    """
    if real_path(path).is_relative_to(real_path(out)):
        raise UsageError(f"{path}: the key lies in the output folder; keep it elsewhere, it undoes the drawn targets")
    try:
        with path.open("rb") as file:
            key = file.read(MOST_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; {_HOW} {path}") from error
    if len(key) > MOST_KEY_BYTES:
        raise UsageError(f"{path}: holds more than {MOST_KEY_BYTES:,} bytes; {_HOW} key")
    if len(key) < KEY_BYTES:
        raise UsageError(f"{path}: holds {len(key)} bytes, a key has at least {KEY_BYTES}")
    return key


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """The options that apply to every file.

    Parameters
    ----------
    methods : tuple of str
        Applied in order.
    request : PrivacyRequest
    key : bytes or None
        The run's secret, see `read_key`. None: a fresh one. Without a key, ``resume`` accepts
        targets drawn by an earlier run without a key, because any fresh draw is valid. With a key, targets must have
        been drawn with this key.
    estimators : mapping
        Attribute -> name of its estimator, if not the default.
    device : str
    batch_size : int
        Number of faces passed to a method at once.
    on_no_face : {"fail", "skip", "copy"}
    thorough : bool
        See `facepriv.faces.find_faces`.
    detector : str
        Name of the face detector.
    min_face : float
        Width in pixels of the smallest faces to search for.
    strict : bool
        Whether a photo with small or uncertain faces is an error, see `facepriv.faces.finding.Found`.
    keep_metadata, audit : bool
    timeout : float
        Seconds after which a worker process that finished no file is killed. It does not apply with 0 workers.
    """

    methods: tuple[str, ...]
    request: PrivacyRequest = field(default_factory=PrivacyRequest)
    key: bytes | None = field(default=None, repr=False)
    estimators: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    batch_size: int = 8
    on_no_face: OnNoFace = "fail"
    thorough: bool = False
    detector: str = "auto"
    min_face: float = 16.0
    strict: bool = False
    keep_metadata: bool = False
    audit: bool = False
    timeout: float = TIMEOUT

    @property
    def chain(self) -> str:
        """The methods as manifest rows name them."""
        return " > ".join(self.methods)


@dataclass(frozen=True, kw_only=True)
class Options(WorkOptions):
    """The options of a run over many files: processing, inputs and outputs.

    Parameters
    ----------
    inputs : tuple of str
        Files, folders, patterns, see `facepriv.protection.inputs.discover`.
    out : str
        See `facepriv.protection.plan.place`.
    workers : int or None
        Number of processes; None chooses by the number of files and CPUs, 0 uses this process.
    existing : {"fail", "resume", "overwrite"}
        See `facepriv.protection.plan.triage`.
    trust_existing : bool
        With ``resume``, see `facepriv.protection.resume.OutputCheck`.
    engine : str
        ``local``, or an engine that a plugin provides.
    address : str
        Address of a cluster, for an engine that takes one.
    """

    inputs: tuple[str, ...]
    out: str
    workers: int | None = None
    existing: Existing = "fail"
    trust_existing: bool = False
    engine: str = "local"
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerSetup(WorkOptions):
    """The input of a worker: the options and the component descriptions. It is sent to other processes.

    Parameters
    ----------
    registry : Registry
        Component descriptions; the worker imports the components itself.
    key : bytes
        The run's secret; a fresh one if the user gives none.
    """

    registry: Registry
    key: bytes = field(default_factory=new_key, repr=False)

    @classmethod
    def of(cls, options: WorkOptions, registry: Registry) -> Self:
        """Return the setup of a run."""
        own = {each.name: getattr(options, each.name) for each in fields(WorkOptions)}
        return cls(registry=registry, **{**own, "key": options.key or new_key()})
