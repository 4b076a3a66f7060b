"""The configuration of a run, passed unchanged to all parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Self

from facepriv.protection.keys import new_key
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry

OnNoFace = Literal["fail", "skip", "copy"]
Existing = Literal["fail", "resume", "overwrite"]

#: Default timeout: seconds without a finished file after which a worker process is considered hung.
TIMEOUT = 300.0


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """The options that apply to every file.

    Parameters
    ----------
    methods : tuple of str
        Applied in order.
    request : PrivacyRequest
    key : bytes or None
        The run's secret, see `facepriv.protection.keys.read_key`. None: a fresh one. Without a key, ``resume`` accepts
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
        With ``resume``, see `facepriv.protection.resume.Answers`.
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
