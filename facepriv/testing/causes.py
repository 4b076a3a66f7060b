"""Why checks fail: which failures have one cause, and where a plugin's code raised."""

from __future__ import annotations

import sysconfig
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

import facepriv
from facepriv.errors import FaceprivError, one_line

if TYPE_CHECKING:
    from facepriv.testing.core import Result

_CORE = str(Path(facepriv.__file__).parent)
_KIT = str(Path(__file__).parent)
_STANDARD = sysconfig.get_paths()["stdlib"]


@dataclass
class Cause:
    """The failure that explains, and the names of the checks that fail for the same reason."""

    result: Result
    repeats: list[str] = field(default_factory=list)


def causes(results: Sequence[Result]) -> list[Cause]:
    """Return the causes of all failures in `results`, those that explain most first.

    Failures have one cause where the same error was raised in the same place, where a `Finding` names a failed check
    that it follows, and where the kit itself stumbles over a component that has failed a check of its form.
    """
    found: list[Cause] = []
    by_name: dict[str, Cause] = {}
    by_place: dict[Hashable, Cause] = {}
    for result in sorted((r for r in results if not r.passed), key=lambda r: r.rank):
        place = _place(result.error)
        cause = by_place.get(place) or by_name.get(getattr(result.error, "follows", ""))
        if cause is None and place is None and found:
            cause = found[0]
        if cause is None:
            cause = Cause(result)
            found.append(cause)
        else:
            cause.repeats.append(result.name)
        by_name[result.name] = cause
        if place is not None:
            by_place.setdefault(place, cause)
    return found


def described(error: BaseException) -> str:
    """Return an error in one line; where it is not one of ours, with the place in the plugin's code."""
    origin = _origin(error)
    text = one_line(error)
    if isinstance(origin, FaceprivError):
        return text
    for path, line in _path(origin):
        own = path.startswith((_CORE, "<frozen")) or (path.startswith(_STANDARD) and "site-packages" not in path)
        if not own:
            return f"{text} ({Path(path).name}, line {line})"
    return text


def _place(error: BaseException | None) -> Hashable:
    """Return what is equal for errors of one cause; None for an error that the kit itself made by mistake."""
    if error is None:
        return object()
    origin = _origin(error)
    path = [step for step in _path(origin) if not step[0].startswith(_KIT)]
    if hasattr(error, "follows") and not path:
        return id(error)  # a finding stands for itself, or says what it follows
    if not path:
        return None
    if path[-1][0].startswith(_CORE):
        return type(origin), path[-1]  # one line of the core refuses one thing, however it was reached
    return type(origin), tuple(step for step in path if not step[0].startswith(_CORE))


def _origin(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _path(error: BaseException) -> list[tuple[str, int]]:
    """Return file and line of every call between the check and the error, the check's first."""
    return [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
