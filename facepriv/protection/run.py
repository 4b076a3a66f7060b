"""The run over many files: which to do, doing them on an engine, and committing each result with its manifest row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from facepriv._version import __version__
from facepriv.errors import UsageError
from facepriv.image import IMAGE_SUFFIXES
from facepriv.protection.commit import Committer, staging
from facepriv.protection.earlier import leave_out_earlier
from facepriv.protection.engine import Engine
from facepriv.protection.inputs import SHARD_SUFFIX, Discovery, discover, is_shard
from facepriv.protection.manifest import Run, check_free, open_manifest, read_folder_if_any
from facepriv.protection.options import Options, WorkerSetup
from facepriv.protection.plan import Job, Place, Triage, check_writable, place, triage
from facepriv.protection.receipts import Claim, ReceiptWriter
from facepriv.protection.request import PrivacyRequest
from facepriv.protection.resume import Answers, claim, request_text
from facepriv.protection.worker import Outcome
from facepriv.registry import Registry, check_changeable
from facepriv.registry import registry as installed

# What a shard counts as: how many photos it holds is known when it is opened.
_FILES_A_SHARD = 1000


@dataclass(frozen=True)
class RunPlan:
    """What a run would do; nothing is written yet.

    Parameters
    ----------
    options : Options
    registry : Registry
    found : Discovery
    where : Place
    former : Run
        The record so far.
    work : Triage
    trusted : tuple of Claim
        What the user vouches for with ``trust_existing``.
    warnings : tuple of str
    """

    options: Options
    registry: Registry
    found: Discovery
    where: Place
    former: Run
    work: Triage
    trusted: tuple[Claim, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class Summary:
    """Counts of a run, one line for each input that failed, and warnings.

    Parameters
    ----------
    done, faces : int
        Photos that were protected, and the faces in them that were changed.
    unchanged, unchanged_faces : int
        Photos whose faces all came out as they went in; and all such faces, those in protected photos too.
    no_face, copied, already, ignored : int
    errors, warnings : list of str
    """

    done: int = 0
    faces: int = 0
    unchanged: int = 0
    unchanged_faces: int = 0
    no_face: int = 0
    copied: int = 0
    already: int = 0
    ignored: int = 0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if everything was done, 1 if anything failed. A photo that came out unchanged did not fail."""
        return 1 if self.errors else 0

    def count(self, outcome: Outcome) -> None:
        """Add the outcome of a photo, or of every photo of a shard."""
        for photo in outcome.photos:
            same = photo.status == "ok" and photo.unchanged == photo.faces
            self.done += photo.status == "ok" and not same
            self.unchanged += same
            self.faces += photo.faces - photo.unchanged
            self.unchanged_faces += photo.unchanged
            self.copied += photo.status == "copied"
            self.no_face += photo.status == "no-face"
        self.errors.extend(outcome.errors)


def make_plan(options: Options, registry: Registry | None = None) -> RunPlan:
    """Find the files and sort out what is to be done.

    Methods are loaded only where outputs of an earlier run are to be resumed.

    Raises
    ------
    UsageError
        If the call is wrong: unknown names, colliding outputs, nothing found, or outputs of an earlier run of which
        this user has no receipts.
    """
    registry = installed() if registry is None else registry
    if not options.methods:
        raise UsageError("no method named; 'facepriv methods' lists them")
    if not all(options.inputs):
        raise UsageError("an input is an empty text; name a file or a folder, '.' for the one that you are in")
    methods = {name: registry.find("method", name) for name in options.methods}
    for name in options.estimators.values():
        registry.find("estimator", name)
    if all(descriptor.attributes for descriptor in methods.values()):
        check_changeable({name: d.attributes for name, d in methods.items()}, options.request.hidden)
    found = discover(options.inputs, out=Path(options.out), kinds={*IMAGE_SUFFIXES, SHARD_SUFFIX})
    found, warnings = leave_out_earlier(found, options.inputs)
    if not found.files:
        raise UsageError("; ".join([*found.problems, *warnings]) or "no input named")
    where = place(found, options.out, audit=options.audit)
    former = read_folder_if_any(where.record)
    answers = Answers(
        WorkerSetup.of(options, registry),
        options.key,
        where.record,
        options.trust_existing,
        partial(_describe, options, registry),
    )
    work = triage(where.jobs, options.existing, former, options.chain, answers)
    if work.again:
        warnings.append(
            f"{work.again[0].output}{_and_more(work.again)}: answers another request or another photo; made again"
        )
    return RunPlan(options, registry, found, where, former, work, tuple(answers.trusted), tuple(warnings))


def check_plan(plan: RunPlan) -> None:
    """Raise what `run_plan` would raise before it writes anything; nothing is written, but methods are loaded.

    Raises
    ------
    FaceprivError, OSError
        If the methods cannot be built, another run is writing there, or the place cannot be written.
    """
    if not plan.work.todo:
        return
    with _engine(plan.options, plan.registry, 1) as engine:
        engine.start()
    if plan.where.record is not None:
        check_free(plan.where.record)
    check_writable(plan.where)


def run_plan(plan: RunPlan, report: Callable[[Job, Outcome], None] | None = None) -> Summary:
    """Do what is to be done.

    Parameters
    ----------
    plan : RunPlan
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
    summary = Summary(
        already=len(plan.work.done),
        ignored=plan.found.ignored,
        errors=[*plan.found.problems, *plan.work.errors],
        warnings=list(plan.warnings),
    )
    with ReceiptWriter(plan.where.record) as receipts:
        for trusted in plan.trusted:
            receipts.add(trusted)
        if plan.work.todo:
            _work(plan, receipts, summary, report)
    if receipts.problem:
        summary.warnings.append(receipts.problem)
    if summary.unchanged_faces:
        summary.warnings.append(_unchanged(summary, plan.options.request))
    return summary


def _work(
    plan: RunPlan, receipts: ReceiptWriter, summary: Summary, report: Callable[[Job, Outcome], None] | None
) -> None:
    options, where = plan.options, plan.where
    files = sum(_FILES_A_SHARD if is_shard(job.source) else 1 for job in plan.work.todo)
    with _engine(options, plan.registry, files) as engine:
        info = {"facepriv": __version__, "engine": engine.name, **engine.start()}
        request = request_text(WorkerSetup.of(options, plan.registry), options.key, info)
        manifest = open_manifest(where.record, info) if where.record else nullcontext()
        with manifest as record, staging(where) as folder:
            commit = Committer(
                plan.work.todo,
                folder,
                replace_existing=options.existing != "fail",
                chain=options.chain,
                methods=info["methods"],
                former=plan.former,
                record=record,
                receipts=receipts,
                claim=partial(_claim, options, request),
            )
            try:
                for outcome in engine.run(commit.tasks):
                    job, final = commit(outcome)
                    summary.count(final)
                    if report:
                        report(job, final)
            finally:
                engine.close()  # before the staging folder goes: nobody may write there any more


def _claim(options: Options, request: str, job: Job, outcome: Outcome) -> Claim:
    return claim(
        request,
        job.name,
        outcome.status,
        source=outcome.source,
        made=outcome.sha256,
        audit=options.audit,
        shard=is_shard(job.source),
        on_no_face=options.on_no_face,
    )


def _unchanged(summary: Summary, request: PrivacyRequest) -> str:
    """Return the warning about faces that came out as they went in, with the reason where the request is one."""
    why = ""
    if request.strength == 0:
        why = ": a strength of 0 changes nothing"
    elif not request.hidden:
        why = ": no attribute is to be hidden"
    count = summary.unchanged_faces
    return f"{count} face{'s' * (count != 1)} came out unchanged, so nothing is hidden there{why}"


def _and_more(jobs: list[Job]) -> str:
    return f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""


def _describe(options: Options, registry: Registry) -> dict[str, Any]:
    """Return the description of the pipeline, as an engine's workers give it; only this machine is asked."""
    with _engine(_on_this_machine(options), registry, 1) as engine:
        return engine.start()


def _on_this_machine(options: Options) -> Options:
    """Return what a cluster is asked for as this machine can do it, which need not have the cluster's devices."""
    return options if options.engine == "local" else replace(options, engine="local", address="", device="cpu")


def _engine(options: Options, registry: Registry, files: int) -> Engine:
    setup = WorkerSetup.of(options, registry)
    # Engines carry runs out, whatever registry the methods are of.
    engine: Engine = installed().create(
        "engine", options.engine, setup=setup, files=files, workers=options.workers, address=options.address
    )
    return engine
