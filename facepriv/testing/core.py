"""What a check is, and how the checks of one component are put together and run."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

from facepriv.errors import UsageError, one_line
from facepriv.hookspecs import Kind
from facepriv.registry import registry

#: Builds the component under test afresh; takes its constructor's options.
Make = Callable[..., Any]


class NotApplicable(unittest.SkipTest):
    """Raised by a check that has nothing to check in this component; pytest shows it as skipped."""


@dataclass(frozen=True)
class Result:
    """The outcome of one check; `detail` says what failed, or why the check does not apply."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Check:
    """One check of one component: call it (it raises where the component does not conform), or take its `result`."""

    name: str
    run: Callable[[], None]

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        self.run()

    def result(self) -> Result:
        """Run the check and return its outcome; never raises."""
        try:
            self.run()
        except NotApplicable as reason:
            return Result(self.name, True, f"not applicable: {reason}")
        except (Exception, SystemExit) as error:  # a broken plugin may raise anything, and that is the finding
            return Result(self.name, False, one_line(error).removeprefix("AssertionError: "))
        return Result(self.name, True)


def require(condition: object, message: str) -> None:
    """Raise `AssertionError` with `message` unless `condition` holds (`assert` vanishes under ``python -O``)."""
    if not condition:
        raise AssertionError(message)


def checks(subject: Any, kind: Kind = "method") -> list[Check]:
    """Return the conformance checks of `subject`, not yet run.

    Parameters
    ----------
    subject : str, class, callable or instance
        The name of an installed component, what builds one, or one (which is copied for every check).
    kind : {"method", "estimator", "matcher"}
        What it is.
    """
    from facepriv.testing import evaluators, perturbers, plugins

    tables: dict[str, tuple[Callable[[Make], None], ...]] = {
        "method": perturbers.CHECKS,
        "estimator": evaluators.ESTIMATOR_CHECKS,
        "matcher": evaluators.MATCHER_CHECKS,
    }
    if kind not in tables:
        raise UsageError(f"there are no conformance checks for a '{kind}': one of {', '.join(tables)}")
    found = [_bound(check, _factory(subject, kind)) for check in tables[kind]]
    if isinstance(subject, str):
        found += [Check(check.__name__, partial(check, kind, subject)) for check in plugins.CHECKS]
    return found


def run_checks(subject: Any, kind: Kind = "method") -> list[Result]:
    """Run the conformance checks of `subject` and return their outcomes; parameters as for `checks`."""
    return [check.result() for check in checks(subject, kind)]


def _bound(check: Callable[[Make], None], make: Make) -> Check:
    return Check(check.__name__, partial(check, make))


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
