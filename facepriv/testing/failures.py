"""Causes of failed checks: groups failures by cause, and finds where a plugin's code raised."""

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
    """The root failure, and the names of the checks that fail for the same reason."""

    result: Result
    repeats: list[str] = field(default_factory=list)


def causes(results: Sequence[Result]) -> list[Cause]:
    """Return the causes of all failures in `results`, those that explain the most failures first.

    Failures share a cause if the same error was raised in the same place, if a `Finding` names a failed check that it
    follows, or if the kit itself fails on a component that has failed a check of its form.
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
    """Return an error as one line; errors not from facepriv include the location in the plugin's code."""
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
    """Return a key that is equal for errors with the same cause; None for an error inside the kit itself."""
    if error is None:
        return object()
    origin = _origin(error)
    path = [step for step in _path(origin) if not step[0].startswith(_KIT)]
    if hasattr(error, "follows") and not path:
        return id(error)  # a finding has its own cause, unless it names the check it follows
    if not path:
        return None
    if path[-1][0].startswith(_CORE):
        return type(origin), path[-1]  # each line of the core that raises stands for one cause, whatever the call path
    return type(origin), tuple(step for step in path if not step[0].startswith(_CORE))


def _origin(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _path(error: BaseException) -> list[tuple[str, int]]:
    """Return file and line of every call between the check and the error, starting with the check."""
    return [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
