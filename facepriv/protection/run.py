"""The run over many files: plan the jobs, run them on an engine, and commit each result with its manifest row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from facepriv import __version__
from facepriv.errors import UsageError
from facepriv.image import IMAGE_SUFFIXES
from facepriv.protection.commit import Committer, staging
from facepriv.protection.engine import Engine
from facepriv.protection.inputs import SHARD_SUFFIX, Discovery, discover, is_shard, leave_out_earlier
from facepriv.protection.manifest import RunRecord, check_free, open_manifest, read_folder_if_any
from facepriv.protection.options import Options, WorkerSetup
from facepriv.protection.plan import Job, Place, Triage, check_writable, place, triage
from facepriv.protection.receipts import Claim, ReceiptWriter
from facepriv.protection.request import PrivacyRequest
from facepriv.protection.resume import OutputCheck, claim, request_text
from facepriv.protection.worker import Outcome
from facepriv.registry import Registry, check_changeable
from facepriv.registry import registry as installed

# Number of files that a shard counts as; its number of photos is known only when it is opened.
_FILES_A_SHARD = 1000


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run; nothing is written yet.

    Parameters
    ----------
    options : Options
    registry : Registry
    found : Discovery
    where : Place
    former : RunRecord
        The record so far.
    work : Triage
    trusted : tuple of Claim
        Claims accepted because of ``trust_existing``.
    warnings : tuple of str
    """

    options: Options
    registry: Registry
    found: Discovery
    where: Place
    former: RunRecord
    work: Triage
    trusted: tuple[Claim, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class Summary:
    """Counts of a run, one line for each input that failed, and warnings.

    Parameters
    ----------
    done, faces : int
        Number of protected photos, and of changed faces in them.
    unchanged, unchanged_faces : int
        Number of photos with no changed face, and of all unchanged faces, including those in protected photos.
    with_unchanged, faceless : int
        Number of photos with any unchanged face, and of photos where no face was found, whatever was then done.
    small, uncertain : int
        Numbers of faces that cannot be protected well, see `facepriv.faces.finding.Found`.
    no_face, copied, already, ignored : int
    errors, warnings : list of str
    """

    done: int = 0
    faces: int = 0
    unchanged: int = 0
    unchanged_faces: int = 0
    with_unchanged: int = 0
    faceless: int = 0
    small: int = 0
    uncertain: int = 0
    no_face: int = 0
    copied: int = 0
    already: int = 0
    ignored: int = 0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if everything was done, 1 if anything failed. An unchanged photo is not a failure."""
        return 1 if self.errors else 0

    def count(self, outcome: Outcome) -> None:
        """Add the outcome of a photo, or of every photo of a shard."""
        for photo in outcome.photos:
            same = photo.status == "ok" and photo.unchanged == photo.faces
            self.done += photo.status == "ok" and not same
            self.unchanged += same
            self.faces += photo.faces - photo.unchanged
            self.unchanged_faces += photo.unchanged
            self.with_unchanged += photo.unchanged > 0
            self.faceless += photo.faceless
            self.small += photo.small
            self.uncertain += photo.uncertain
            self.copied += photo.status == "copied"
            self.no_face += photo.status == "no-face"
        self.errors.extend(outcome.errors)


def make_plan(options: Options, registry: Registry | None = None) -> RunPlan:
    """Find the files and determine the jobs.

    Methods are loaded only to resume an earlier run with existing outputs.

    Raises
    ------
    UsageError
        If the call is wrong: unknown names, colliding outputs, no files, or outputs of an earlier run without receipts
        of this user.
    """
    registry = installed() if registry is None else registry
    if not options.methods:
        raise UsageError("no method named; 'facepriv methods' lists them")
    if not all(options.inputs):
        raise UsageError("an input is an empty text; name a file or a folder, '.' for the one that you are in")
    methods = {name: registry.find("method", name) for name in options.methods}
    for name in options.estimators.values():
        registry.find("estimator", name)
    installed().find("detector", options.detector)
    if all(descriptor.attributes for descriptor in methods.values()):
        check_changeable({name: d.attributes for name, d in methods.items()}, options.request.hidden)
    found = discover(options.inputs, out=Path(options.out), kinds={*IMAGE_SUFFIXES, SHARD_SUFFIX})
    found, warnings = leave_out_earlier(found, options.inputs)
    if not found.files:
        raise UsageError("; ".join([*found.problems, *warnings]) or "no input named")
    where = place(found, options.out, audit=options.audit)
    former = read_folder_if_any(where.record)
    answers = OutputCheck(
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
    """Raise the errors that `run_plan` would raise before writing; nothing is written, but methods are loaded.

    Raises
    ------
    FaceprivError, OSError
        If the methods cannot be built, another run is writing there, or the folder is not writable.
    """
    if not plan.work.todo:
        return
    with _engine(plan.options, plan.registry, 1) as engine:
        engine.start()
    if plan.where.record is not None:
        check_free(plan.where.record)
    check_writable(plan.where)


def run_plan(plan: RunPlan, report: Callable[[Job, Outcome], None] | None = None) -> Summary:
    """Run all jobs of a plan.

    Parameters
    ----------
    plan : RunPlan
    report : callable, optional
        Called for every file when it is done, in order of completion.

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
                engine.close()  # before the staging folder is removed: no worker may write there any more


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
    """Return the warning about unchanged faces, with the reason if the request explains it."""
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
    """Return the description of the pipeline as an engine's workers give it, computed on this machine."""
    with _engine(_on_this_machine(options), registry, 1) as engine:
        return engine.start()


def _on_this_machine(options: Options) -> Options:
    """Return a cluster's options adapted to this machine, which may not have the cluster's devices."""
    return options if options.engine == "local" else replace(options, engine="local", address="", device="cpu")


def _engine(options: Options, registry: Registry, files: int) -> Engine:
    setup = WorkerSetup.of(options, registry)
    # Engines always come from the installed registry, whatever registry the methods are from.
    engine: Engine = installed().create(
        "engine", options.engine, setup=setup, files=files, workers=options.workers, address=options.address
    )
    return engine
