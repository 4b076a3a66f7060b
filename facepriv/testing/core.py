"""What a check is, and how the checks of one component are put together and run."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from facepriv.errors import UsageError, cleaned
from facepriv.hookspecs import Kind
from facepriv.registry import registry
from facepriv.testing.causes import described

#: Builds the component under test afresh; takes its constructor's options.
Make = Callable[..., Any]


class NotApplicable(unittest.SkipTest):
    """Raised by a check that has nothing to check in this component; pytest shows it as skipped."""


class Advice(Exception):
    """Raised by a check that finds what is no error, and probably not meant."""


class ConformanceWarning(UserWarning):
    """What a called check warns with, where its `result` is marked as `warned`."""


class Finding(AssertionError):
    """A component does not conform.

    Parameters
    ----------
    message : str
    follows : str
        Name of another check: where that one fails too, this finding only repeats it.
    """

    def __init__(self, message: str, follows: str = "") -> None:
        super().__init__(message)
        self.follows = follows


@dataclass(frozen=True)
class Result:
    """The outcome of one check.

    Parameters
    ----------
    name : str
    passed : bool
    detail : str
        What failed, what the warning is, or why the check does not apply.
    warned : bool
        Whether it passed with a warning.
    error : BaseException or None
        What was raised where it failed.
    rank : int
        Place in the order in which failures are to be read: those that explain others come first.
    """

    name: str
    passed: bool
    detail: str = ""
    warned: bool = False
    error: BaseException | None = field(default=None, compare=False, repr=False)
    rank: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Check:
    """One check of one component: call it (it raises where the component does not conform), or take its `result`."""

    name: str
    run: Callable[[], None]
    rank: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        try:
            self.run()
        except Advice as advice:
            warnings.warn(f"{self.name}: {advice}", ConformanceWarning, stacklevel=2)

    def result(self) -> Result:
        """Run the check and return its outcome; never raises."""
        try:
            self.run()
        except NotApplicable as reason:
            return Result(self.name, True, f"not applicable: {reason}", rank=self.rank)
        except Advice as advice:
            return Result(self.name, True, str(advice), warned=True, rank=self.rank)
        except Finding as finding:
            return Result(self.name, False, cleaned(str(finding)), error=finding, rank=self.rank)
        except (Exception, SystemExit) as error:  # a broken plugin may raise anything, and that is the finding
            return Result(self.name, False, described(error), error=error, rank=self.rank)
        return Result(self.name, True, rank=self.rank)


def require(condition: object, message: str, follows: str = "") -> None:
    """Raise `Finding` with `message` unless `condition` holds (`assert` vanishes under ``python -O``)."""
    if not condition:
        raise Finding(message, follows)


def checks(subject: Any, kind: Kind = "perturber") -> list[Check]:
    """Return the conformance checks of `subject`, not yet run.

    Parameters
    ----------
    subject : str, class, callable or instance
        The name of an installed component, what builds one, or one (which is copied for every check).
    kind : {"perturber", "estimator", "matcher"}
        What it is.
    """
    from facepriv.testing import evaluators, perturbers, plugins

    tables: dict[str, tuple[Callable[[Make], None], ...]] = {
        "perturber": perturbers.CHECKS,
        "estimator": evaluators.ESTIMATOR_CHECKS,
        "matcher": evaluators.MATCHER_CHECKS,
    }
    if kind not in tables:
        raise UsageError(f"there are no conformance checks for a '{kind}': one of {', '.join(tables)}")
    make, roots = _factory(subject, kind), perturbers.ROOTS if kind == "perturber" else evaluators.ROOTS
    ranks = {check.__name__: rank for rank, check in enumerate(roots)}
    found = {check.__name__: partial(check, make) for check in tables[kind]}
    if isinstance(subject, str):
        found |= {check.__name__: partial(check, kind, subject) for check in plugins.CHECKS}
    return [Check(name, run, ranks.get(name, len(ranks) + place)) for place, (name, run) in enumerate(found.items())]


def run_checks(subject: Any, kind: Kind = "perturber") -> list[Result]:
    """Run the conformance checks of `subject` and return their outcomes; parameters as for `checks`."""
    return [check.result() for check in checks(subject, kind)]


def _factory(subject: Any, kind: Kind) -> Make:
    if isinstance(subject, str):
        # Not found before it is called, so that a missing plugin is a failed check and not a broken test file.
        return lambda **options: registry().create(kind, subject, **options)
    if callable(subject):
        return subject
    return partial(_copy, subject)


def _copy(instance: Any, **options: Any) -> Any:
    if options:
        raise NotApplicable("an instance was given: give its class or a factory")
    return deepcopy(instance)
