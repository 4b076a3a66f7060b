"""Check by receipts whether existing outputs answer the request of a resumed run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from facepriv import __version__
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
from facepriv.registry import registry as installed
from facepriv.schema import attribute

#: Placeholder for the key of a run without one: any fresh draws answer such a request.
_FRESH = "fresh"


def request_text(setup: WorkerSetup, key: bytes | None, description: Mapping[str, Any]) -> str:
    """Return everything that determines an output besides the photo, as text. It is secret: it contains what is hidden.

    Device, engine, number of workers and batch size are left out. They may change the last bit of a pixel, but not the
    request.

    Parameters
    ----------
    setup : WorkerSetup
    key : bytes or None
        The secret given by the user; None for a fresh one.
    description : mapping
        That of the pipeline, see `facepriv.protection.engine.Engine.start`.
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
        "detector": (setup.detector, *_built(installed(), "detector", setup.detector)),
        "min_face": setup.min_face,
        "keep_metadata": setup.keep_metadata,
    }
    return json.dumps(content, sort_keys=True)


def claim(
    request: str, name: str, status: str, *, source: str, made: str, audit: bool, shard: bool, on_no_face: OnNoFace
) -> Claim:
    """Return the claim of a receipt; see `Claim` for the parameters.

    `on_no_face` determines the contents of a shard, and whether it may contain unprotected photos without a face. It
    has no effect on a photo with faces.
    """
    return Claim(request, name, status, source, made, audit, on_no_face if shard or status == "copied" else "")


class OutputCheck:
    """Checks whether an output answers the request of this run.

    Parameters
    ----------
    setup : WorkerSetup
    key : bytes or None
        See `request_text`.
    record : Path or None
        The run folder.
    trust : bool
        If this user has no receipts for the run folder, accept outputs whose status fits.
    describe : callable
        Returns the description of the pipeline. It is called only if an output exists.
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
        #: Claims accepted because the user trusts them; they get receipts.
        self.trusted: list[Claim] = []

    @cached_property
    def _receipts(self) -> Receipts | None:
        return read_receipts(self.record)

    @cached_property
    def _request(self) -> str:
        return request_text(self.setup, self.key, self.describe())

    def __call__(self, job: Job, row: ManifestRow) -> bool:
        """Return whether the output of a job answers the request, given its last row.

        Raises
        ------
        UsageError
            If this user has no receipts for the run folder, and `trust` is false.
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
            return False  # the run reports the error
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
    """Return the target of a component, the version of its package, and its options (files by their contents)."""
    descriptor = registry.find(kind, name)
    options = {key: (repr(value), _content(value)) for key, value in descriptor.options.items()}
    return descriptor.target, registry.owner(descriptor).version, options


def _content(value: object) -> str:
    """Return the hashes of the files that an option names, if any."""
    if isinstance(value, tuple):
        return " ".join(_content(part) for part in value)
    if not isinstance(value, str | Path):
        return ""
    try:
        return file_sha256(Path(value)) if Path(value).is_file() else ""
    except OSError:  # not a file name, or a file that the method cannot read either
        return ""


def _draws(request: PrivacyRequest) -> bool:
    """Return whether any target depends on the secret. Even `flip` of two classes draws for a face of unknown class."""
    settled = {name: (*attribute(name).classes, "same", "neutral") for name in request.hidden}
    return any(request.targets.get(name) not in known for name, known in settled.items())
