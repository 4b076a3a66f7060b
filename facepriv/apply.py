"""The run over many files: which to do, doing them on an engine, and committing each result with its manifest row."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Literal

from facepriv import __version__
from facepriv.components import check_changeable
from facepriv.contracts import PrivacyRequest
from facepriv.engines.base import Engine
from facepriv.engines.chunk import TIMEOUT, OnNoFace, Outcome, Setup, Task
from facepriv.engines.inline import InlineEngine
from facepriv.engines.local import LocalEngine
from facepriv.engines.ray import RayEngine
from facepriv.errors import ImageError, UsageError, one_line
from facepriv.images import IMAGE_SUFFIXES, atomic_write
from facepriv.inputs import SHARD_SUFFIX, Discovery, discover, is_shard
from facepriv.manifest import ManifestWriter, Row, open_manifest, read_folder_if_any
from facepriv.outputs import Existing, Job, Place, Triage, place, triage
from facepriv.registry import Registry
from facepriv.registry import registry as installed

#: Shortest secret that a key file may hold, in bytes.
KEY_BYTES = 16
# Each holds the models once; on a GPU, there too.
_MOST_WORKERS = {"cpu": 16, "gpu": 4}
_FILES_A_WORKER = 8
# What a shard counts as: how many photos it holds is known when it is opened.
_FILES_A_SHARD = 1000


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Parameters
    ----------
    inputs : tuple of str
        Files, folders, patterns, see `facepriv.inputs.discover`.
    out : str
        See `facepriv.outputs.place`.
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
    engine : {"local", "ray"}
        On this machine, or on a cluster.
    address : str
        Of the cluster, see `facepriv.engines.ray.RayEngine`.
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
    engine: Literal["local", "ray"] = "local"
    address: str = ""

    @property
    def chain(self) -> str:
        """The methods as manifest rows name them."""
        return " > ".join(self.methods)


@dataclass(frozen=True)
class Plan:
    """What a run would do; nothing is written yet."""

    options: Options
    registry: Registry
    found: Discovery
    where: Place
    work: Triage


@dataclass
class Summary:
    """Counts of a run, and one line for each input that failed."""

    done: int = 0
    faces: int = 0
    no_face: int = 0
    copied: int = 0
    already: int = 0
    ignored: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if everything was done, 1 if anything failed."""
        return 1 if self.errors else 0

    def count(self, outcome: Outcome) -> None:
        """Add the outcome of a photo, or of every photo of a shard."""
        self.faces += outcome.faces
        for photo in outcome.photos:
            self.done += photo.status == "ok"
            self.copied += photo.status == "copied"
            self.no_face += photo.status == "no-face"
        self.errors.extend(outcome.errors)


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


def make_plan(options: Options, registry: Registry | None = None) -> Plan:
    """Find the files and sort out what is to be done; checks what can be checked without loading a method.

    Raises
    ------
    UsageError
        If the call is wrong (unknown names, colliding outputs, nothing found).
    """
    registry = installed() if registry is None else registry
    if not options.methods:
        raise UsageError("no method named; 'facepriv methods' lists them")
    methods = {name: registry.find("perturber", name) for name in options.methods}
    for name in options.estimators.values():
        registry.find("estimator", name)
    if all(descriptor.attributes for descriptor in methods.values()):
        check_changeable({name: d.attributes for name, d in methods.items()}, options.request.hidden)
    found = discover(options.inputs, out=Path(options.out), kinds={*IMAGE_SUFFIXES, SHARD_SUFFIX})
    if not found.files:
        raise UsageError("; ".join(found.problems) or "no input named")
    where = place(found, options.out, audit=options.audit)
    run = read_folder_if_any(where.record)
    return Plan(options, registry, found, where, triage(where.jobs, options.existing, run, options.chain))


def run_plan(plan: Plan, report: Callable[[Job, Outcome], None] | None = None) -> Summary:
    """Do what is to be done.

    Parameters
    ----------
    plan : Plan
    report : callable, optional
        Told of every file as it is done, in the order in which they finish.

    Returns
    -------
    Summary

    Raises
    ------
    FaceprivError
        If the methods cannot be built, before anything is written.
    """
    refused = [text for _, text in plan.work.refused]
    summary = Summary(already=len(plan.work.done), ignored=plan.found.ignored, errors=[*plan.found.problems, *refused])
    if not plan.work.todo:
        return summary
    with _engine(plan) as engine:
        info = {"facepriv": __version__, "engine": engine.name, **engine.start()}
        manifest = open_manifest(plan.where.record, info) if plan.where.record else nullcontext()
        with manifest as record, _staging(plan.where) as staging:
            commit = _Committer(plan, info["methods"], staging, record)
            try:
                for outcome in engine.run(commit.tasks):
                    job, final = commit(outcome)
                    summary.count(final)
                    if report:
                        report(job, final)
            finally:
                engine.close()  # before the staging folder goes: nobody may write there any more
    return summary


class _Committer:
    """Gives finished results their names. The row goes first, see `facepriv.manifest`."""

    def __init__(
        self, plan: Plan, methods: Sequence[Mapping[str, Any]], staging: Path, record: ManifestWriter | None
    ) -> None:
        self.jobs = plan.work.todo
        self.record = record
        self.replace = plan.options.existing != "fail"
        self.chain = {key: " > ".join(m[key] for m in methods) for key in ("version", "weights")}
        self.chain["method"] = plan.options.chain
        self.tasks = [
            Task(n, job.source, staging / f"{n:08d}{job.output.suffix}") for n, job in enumerate(plan.work.todo)
        ]

    def __call__(self, outcome: Outcome) -> tuple[Job, Outcome]:
        """Record an outcome and move its file; what stands in the way makes it a failed one."""
        job, task = self.jobs[outcome.number], self.tasks[outcome.number]
        if outcome.sha256 and job.output.exists() and not self.replace:
            outcome = _refused(outcome, f"{job.output}: appeared during the run and was left alone")
        outcome = self._recorded(job, outcome)
        if outcome.sha256:
            try:
                job.output.parent.mkdir(parents=True, exist_ok=True)
                os.replace(task.staged, job.output)
            except OSError as error:
                outcome = self._recorded(job, _refused(outcome, f"{job.output}: {error.strerror}"))
        if not outcome.sha256:
            with suppress(OSError):  # the disk may be full: its room is for others
                task.staged.unlink(missing_ok=True)
        return job, outcome

    def _recorded(self, job: Job, outcome: Outcome) -> Outcome:
        """Record an outcome; returns it, or a failed one for a file of which no row can be written."""
        try:
            self._append(job, outcome)
        except (OSError, ImageError) as error:
            if outcome.sha256:
                reason = getattr(error, "strerror", None) or one_line(error)
                return _refused(outcome, f"{job.output}: cannot be recorded ({reason}): make room, then --resume")
        return outcome

    def _append(self, job: Job, outcome: Outcome) -> None:
        if not self.record:
            return
        if outcome.parts:
            rows = [self._row(name, part).to_json() + "\n" for name, part in outcome.parts]
            atomic_write(self.record.photos_of(job.name), "".join(rows).encode())
        self.record.append(self._row(job.name, outcome))

    def _row(self, name: str, outcome: Outcome) -> Row:
        return Row(
            file=name,
            status=outcome.status,
            faces=outcome.faces,
            sha256=outcome.sha256,
            audit=outcome.audit,
            **self.chain,
        )


def _refused(outcome: Outcome, text: str) -> Outcome:
    return Outcome(outcome.number, "failed", error=text)


@contextmanager
def _staging(where: Place) -> Iterator[Path]:
    """Make the folder in which results wait for their names; what killed runs to the same place left of theirs goes.

    Its name is new in every run: a worker that outlived a killed parent may still write under the old one.
    """
    prefix = f".facepriv-{where.label}-"
    for left in where.staging.glob(f"{escape(prefix)}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = where.staging / f"{prefix}{secrets.token_hex(8)}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _engine(plan: Plan) -> Engine:
    options = plan.options
    setup = Setup(
        registry=plan.registry,
        methods=options.methods,
        request=options.request,
        key=options.key,
        estimators=options.estimators,
        device=options.device,
        batch_size=options.batch_size,
        on_no_face=options.on_no_face,
        thorough=options.thorough,
        keep_metadata=options.keep_metadata,
        audit=options.audit,
        timeout=options.timeout,
    )
    if options.engine == "ray":
        return RayEngine(setup, options.workers, options.address)
    files = sum(_FILES_A_SHARD if is_shard(job.source) else 1 for job in plan.work.todo)
    workers = default_workers(files, options.device) if options.workers is None else options.workers
    return LocalEngine(setup, min(workers, files)) if workers else InlineEngine(setup)


def default_workers(files: int, device: str) -> int:
    """Choose a number of processes: one a CPU, but none that would have less than a few files to do.

    On a GPU too: finding faces, and reading and writing files, are the work of CPUs there as well.
    """
    most = _MOST_WORKERS["cpu" if device == "cpu" else "gpu"]
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, most, files // _FILES_A_WORKER))
