"""Commit a finished result as an output: write the receipt, then the manifest row, then rename the file."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepriv.errors import ImageError, one_line
from facepriv.files import atomic_write, file_sha256
from facepriv.protection.manifest import ManifestRow, ManifestWriter, RunRecord
from facepriv.protection.plan import Job, Place
from facepriv.protection.receipts import Claim, ReceiptWriter
from facepriv.protection.worker import FileTask, Outcome


class Committer:
    """Moves finished results to their final names, after writing receipt and row (see `receipts` and `manifest`).

    Parameters
    ----------
    jobs : sequence of Job
        The jobs of the run; a task's number is the index of its job.
    staging : Path
        Folder of results that are not committed yet.
    replace_existing : bool
        Whether an existing output may be replaced.
    chain : str
        The methods, as written in manifest rows.
    methods : sequence of mapping
        Their ``version`` and ``weights``, from the pipeline.
    former : RunRecord
        The record before this run.
    record : ManifestWriter or None
    receipts : ReceiptWriter
    claim : callable
        Returns the claim that the receipt of a job's outcome certifies.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        staging: Path,
        *,
        replace_existing: bool,
        chain: str,
        methods: Sequence[Mapping[str, Any]],
        former: RunRecord,
        record: ManifestWriter | None,
        receipts: ReceiptWriter,
        claim: Callable[[Job, Outcome], Claim],
    ) -> None:
        self.jobs = jobs
        self.replace_existing = replace_existing
        self.former = former
        self.record = record
        self.receipts = receipts
        self.claim = claim
        self.chain = {key: " > ".join(m[key] for m in methods) for key in ("version", "weights")} | {"method": chain}
        self.tasks = [FileTask(n, job.source, staging / f"{n:08d}{job.output.suffix}") for n, job in enumerate(jobs)]

    def __call__(self, outcome: Outcome) -> tuple[Job, Outcome]:
        """Record an outcome and move its file; an error on the way makes the outcome a failed one."""
        job, task = self.jobs[outcome.number], self.tasks[outcome.number]
        if outcome.sha256 and job.output.exists() and not self.replace_existing:
            outcome = _refused(outcome, f"{job.output}: appeared during the run and was left alone")
        if outcome.sha256:
            self.receipts.add(self.claim(job, outcome))
        outcome = self._recorded(job, outcome)
        if outcome.sha256:
            try:
                job.output.parent.mkdir(parents=True, exist_ok=True)
                os.replace(task.staged, job.output)
            except OSError as error:
                outcome = self._recorded(job, _refused(outcome, f"{job.output}: {error.strerror}"))
        if not outcome.sha256:
            with suppress(OSError):  # the disk may be full: free the space
                task.staged.unlink(missing_ok=True)
            if self.replace_existing and job.output.is_file():
                outcome = self._without_output(job, outcome)
        return job, outcome

    def _without_output(self, job: Job, outcome: Outcome) -> Outcome:
        """Handle an existing file under the name of a job that has no output now: it does not answer this request.

        If the request gives no output for the photo, a file made by facepriv is removed. If the photo failed, the file
        stays and the error says so.
        """
        if outcome.status != "no-face":
            stays = f"{job.output} stays as it was"
            return replace(outcome, error=f"{outcome.error}; {stays}" if outcome.error else stays)
        try:
            if file_sha256(job.output) in {row.sha256 for row in self.former.history.get(job.name, [])}:
                job.output.unlink()
                return outcome
            reason = "is there, and facepriv did not make it: remove it"
        except OSError as error:
            reason = f"cannot be removed ({error.strerror}): remove it"
        refused = _refused(outcome, f"{job.source}: no face found, so it has no output, but {job.output} {reason}")
        return self._recorded(job, refused)

    def _recorded(self, job: Job, outcome: Outcome) -> Outcome:
        """Record an outcome; returns it, or a failed one if its row cannot be written."""
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

    def _row(self, name: str, outcome: Outcome) -> ManifestRow:
        return ManifestRow(
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
def staging(where: Place) -> Iterator[Path]:
    """Make the staging folder; remove the staging folders that killed runs to the same place left behind.

    Its name is new in every run because a worker that outlived a killed parent may still write to the old folder.
    """
    prefix = f".facepriv-{where.label}-"
    for left in where.staging.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = where.staging / f"{prefix}{secrets.token_hex(8)}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
