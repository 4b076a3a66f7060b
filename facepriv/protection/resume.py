"""Whether an output that is there answers the request of a resumed run, by its receipt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from facepriv._version import __version__
from facepriv.errors import UsageError
from facepriv.files import file_sha256
from facepriv.hookspecs import Kind
from facepriv.protection.inputs import is_shard
from facepriv.protection.manifest import ManifestRow
from facepriv.protection.options import OnNoFace, WorkerSetup
from facepriv.protection.plan import Job
from facepriv.protection.receipts import Claim, Receipts, described_place, read_receipts
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry
from facepriv.schema import attribute

#: What stands for the key of a run that was given none: any fresh draws answer such a request.
_FRESH = "fresh"


def request_text(setup: WorkerSetup, key: bytes | None, description: Mapping[str, Any]) -> str:
    """Return all that decides an output beside the photo itself, as text. It is secret: it says what is hidden.

    Device, engine, number of workers and batch size are left out. They may move the last bit of a pixel, and change
    nothing of what was asked for.

    Parameters
    ----------
    setup : WorkerSetup
    key : bytes or None
        The secret that the user gave; None for a fresh one.
    description : mapping
        Of the pipeline, see `facepriv.protection.engine.Engine.start`.
    """
    request, known = setup.request, setup.registry
    methods = [
        (m["name"], m["version"], m["weights"], *_built(known, "method", m["name"])) for m in description["methods"]
    ]
    estimators = {
        name: (model, description["estimator_weights"][name], *_built(known, "estimator", model))
        for name, model in description["estimators"].items()
    }
    policy_matters = any(name not in request.targets for name in request.hidden)
    content = {
        "facepriv": __version__,
        "methods": methods,
        "estimators": estimators,
        "hidden": request.hidden,
        "targets": dict(request.targets),
        "policy": request.policy if policy_matters else "",
        "pairs": {name: dict(pairs) for name, pairs in request.pairs.items()},
        "strength": request.strength,
        "seed": request.seed,
        "key": (_FRESH if key is None else key.hex()) if _draws(request) else "",
        "thorough": setup.thorough,
        "keep_metadata": setup.keep_metadata,
    }
    return json.dumps(content, sort_keys=True)


def claim(
    request: str, name: str, status: str, *, source: str, made: str, audit: bool, shard: bool, on_no_face: OnNoFace
) -> Claim:
    """Return what a receipt vouches for; see `Claim` for the parameters.

    `on_no_face` decides what a shard holds, and whether a photo without a face may stand there unprotected. To a photo
    with faces it means nothing.
    """
    return Claim(request, name, status, source, made, audit, on_no_face if shard or status == "copied" else "")


class Answers:
    """Tells whether an output answers the request of this run.

    Parameters
    ----------
    setup : WorkerSetup
    key : bytes or None
        See `request_text`.
    record : Path or None
        The run folder.
    trust : bool
        Where this user has no receipts at all for the run folder: take outputs for answers whose status fits.
    describe : callable
        Returns the description of the pipeline. It is called only where an output is there.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        key: bytes | None,
        record: Path | None,
        trust: bool,
        describe: Callable[[], dict[str, Any]],
    ) -> None:
        self.setup = setup
        self.key = key
        self.record = record
        self.trust = trust
        self.describe = describe
        #: What the user vouches for: it is to be given receipts.
        self.trusted: list[Claim] = []

    @cached_property
    def _receipts(self) -> Receipts | None:
        return read_receipts(self.record)

    @cached_property
    def _request(self) -> str:
        return request_text(self.setup, self.key, self.describe())

    def __call__(self, job: Job, row: ManifestRow) -> bool:
        """Tell whether the output of a job, whose last row is given, answers.

        Raises
        ------
        UsageError
            If this user has no receipts for the run folder, and is not to trust it.
        """
        assert self.record is not None
        if self._receipts is None and not self.trust:
            raise UsageError(
                f"{self.record.parent}: outputs are there, but not the receipts that say which request they answer "
                f"({described_place(self.record)}): give --trust-existing if it was this request and these photos, "
                "or --overwrite to make all again"
            )
        try:
            source = file_sha256(job.source)
        except OSError:
            return False  # the run says what is wrong with it
        claims = [self._claim(job, row, source, audit) for audit in {True, self.setup.audit}]
        if self._receipts is not None:
            return any(self._receipts.confirm(claim) for claim in claims)
        if row.status == "copied" and self.setup.on_no_face != "copy":
            return False
        self.trusted.append(self._claim(job, row, source, self.setup.audit))
        return True

    def _claim(self, job: Job, row: ManifestRow, source: str, audit: bool) -> Claim:
        return claim(
            self._request,
            job.name,
            row.status,
            source=source,
            made=row.sha256,
            audit=audit,
            shard=is_shard(job.source),
            on_no_face=self.setup.on_no_face,
        )


def _built(registry: Registry, kind: Kind, name: str) -> tuple[str, str, dict[str, tuple[str, str]]]:
    """Return the target of a component, the version of its package, and its options, files among them by content."""
    descriptor = registry.find(kind, name)
    options = {key: (repr(value), _content(value)) for key, value in descriptor.options.items()}
    return descriptor.target, registry.owner(descriptor).version, options


def _content(value: object) -> str:
    """Return the hashes of the files that an option names, if it names any."""
    if isinstance(value, tuple):
        return " ".join(_content(part) for part in value)
    if not isinstance(value, str | Path):
        return ""
    try:
        return file_sha256(Path(value)) if Path(value).is_file() else ""
    except OSError:  # a text that is no file name, or a file that the method will fail to read as well
        return ""


def _draws(request: PrivacyRequest) -> bool:
    """Tell whether a secret decides any target. Even `flip` of two classes draws for a face of unknown class."""
    settled = {name: (*attribute(name).classes, "same", "neutral") for name in request.hidden}
    return any(request.targets.get(name) not in known for name, known in settled.items())
