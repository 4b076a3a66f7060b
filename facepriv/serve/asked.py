"""What the page asks for: its JSON, read strictly, as requests and options of the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from facepriv.errors import UsageError
from facepriv.files import parse
from facepriv.protection.options import TIMEOUT, Existing, OnNoFace
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry
from facepriv.settings import Setting, settings_of, with_settings


def read_record(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a request's body; raises `UsageError`."""
    try:
        found = parse(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError("the request is no JSON object: reload the page")
    return found


def taken(record: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """Return the fields of a record after checking their names and types.

    Parameters
    ----------
    record : mapping
    kinds : mapping
        Name -> type of every field that may occur.

    Raises
    ------
    UsageError
        If a field is unknown or of another type. A bool is no number.
    """
    for name, value in record.items():
        if name not in kinds:
            raise UsageError(f"'{name}': no such field; reload the page")
        kind = kinds[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(f"'{name}': a value of the wrong type; reload the page")
    return dict(record)


def _texts(name: str, values: Any) -> dict[str, str]:
    if not all(isinstance(part, str) for pair in values.items() for part in pair):
        raise UsageError(f"'{name}': expected texts; reload the page")
    return dict(values)


# Field of the page's JSON -> its type.
_ASK = {
    "method": str,
    "settings": dict,
    "hide": list,
    "targets": dict,
    "policy": str,
    "strength": (int, float),
    "seed": int,
    "detector": str,
    "thorough": bool,
    "min_face": (int, float),
    "keep_metadata": bool,
}


@dataclass(frozen=True)
class Ask:
    """How a photo is to be protected. Two equal ones give equal bytes.

    Parameters
    ----------
    method : str
    settings : tuple of (str, str)
        Settings of the method as texts, sorted.
    request : PrivacyRequest
    detector : str
    thorough : bool
    min_face : float
    keep_metadata : bool
    """

    method: str
    settings: tuple[tuple[str, str], ...]
    request: PrivacyRequest
    detector: str = "auto"
    thorough: bool = False
    min_face: float = 16.0
    keep_metadata: bool = False

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Ask:
        """Return what a record asks for; raises `UsageError` where it is no valid request."""
        given = taken(record, _ASK)
        hide, targets = given.pop("hide", []), _texts("targets", given.pop("targets", {}))
        if not all(isinstance(name, str) for name in hide):
            raise UsageError("'hide': expected names of attributes; reload the page")
        if not (hide or targets):
            raise UsageError("nothing to hide: choose an attribute")
        request = {name: given.pop(name) for name in ("policy", "strength", "seed") if name in given}
        settings = tuple(sorted(_texts("settings", given.pop("settings", {})).items()))
        asked = cls(
            settings=settings,
            request=PrivacyRequest(tuple(hide), targets, **request),
            **{"method": "", **given},
        )
        if not 8 <= asked.min_face <= 10_000:
            raise UsageError(f"the smallest face must be 8 to 10,000 pixels wide, got {asked.min_face:g}")
        return asked

    @property
    def finding(self) -> tuple[str, bool, float]:
        """What the faces found depend on."""
        return self.detector, self.thorough, self.min_face

    def configured(self, known: Registry) -> Registry:
        """Return a registry whose method has the settings.

        Raises
        ------
        UsageError
            If the method or a setting is unknown, has a wrong value, or is not offered by the page.
        PluginError
            If the method cannot be imported.
        """
        if not self.settings:
            known.find("method", self.method)
            return known
        closed = {s.name for s in settings_of(known.find("method", self.method)) if not offered(s)}
        for name, _ in self.settings:
            if name in closed:
                raise UsageError(f"{self.method}.{name}: the page sets no files and no free text; use facepriv apply")
        return with_settings(known, "method", self.method, dict(self.settings))


_OFFERED = {"whole number", "number", "true | false", "none"}


def offered(setting: Setting) -> bool:
    """Return whether the page offers a setting: numbers, yes or no, and words to choose from.

    Free text may be taken for the path of a file by the method, and no file outside the root may be read.
    """
    words = {*setting.choices, " | ".join(setting.choices)}
    return all(part in _OFFERED | words for part in setting.type.split(" or ")) and not setting.required


_RUN = {
    "source": str,
    "out": str,
    "on_no_face": str,
    "existing": str,
    "trust_existing": bool,
    "strict": bool,
    "audit": bool,
    "timeout": (int, float),
    "workers": (int, type(None)),
    "sheet": bool,
}


@dataclass(frozen=True)
class RunAsk:
    """What a run over a folder is asked to do beyond `Ask`; the defaults are those of ``facepriv apply``.

    Parameters
    ----------
    source, out : str
        Paths below the root.
    on_no_face, existing, trust_existing, strict, audit, timeout, workers
        See `facepriv.protection.options`.
    sheet : bool
        Whether the contact sheet is made afterwards.
    """

    source: str
    out: str
    on_no_face: OnNoFace = "fail"
    existing: Existing = "fail"
    trust_existing: bool = False
    strict: bool = False
    audit: bool = False
    timeout: float = TIMEOUT
    workers: int | None = None
    sheet: bool = True

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> RunAsk:
        """Return what a record asks for; raises `UsageError`."""
        asked = cls(**{"source": "", "out": "", **taken(record, _RUN)})
        for name, words in (("on_no_face", get_args(OnNoFace)), ("existing", get_args(Existing))):
            if getattr(asked, name) not in words:
                raise UsageError(f"'{name}': one of {', '.join(words)}")
        if not (asked.source and asked.out):
            raise UsageError("choose the folder of the photos, and name the folder of the results")
        if asked.workers is not None and not 1 <= asked.workers <= 256:
            raise UsageError(f"expected 1 to 256 processes, got {asked.workers}")
        if not 1 <= asked.timeout <= 1e6:
            raise UsageError(f"expected a time limit of 1 second or more, got {asked.timeout:g}")
        return asked

    def plain(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
