"""The classes for checks and their results."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from facepriv.errors import cleaned
from facepriv.testing.failures import described

#: Builds a new instance of the component under test; takes its constructor's options.
Make = Callable[..., Any]


class NotApplicable(unittest.SkipTest):
    """Raised by a check that does not apply to this component; pytest shows it as skipped."""


class Advice(Exception):
    """Raised by a check for something that is not an error but probably unintended."""


class ConformanceWarning(UserWarning):
    """The warning of a called check, in cases where its `result` has `warned` set."""


class Finding(AssertionError):
    """A component does not conform.

    Parameters
    ----------
    message : str
    follows : str
        Name of another check; if that check fails too, this finding has the same cause.
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
        The failure, the warning, or the reason why the check does not apply.
    warned : bool
        Whether it passed with a warning.
    error : BaseException or None
        The exception raised, if it failed.
    rank : int
        Position in the order for reading failures; those that explain others come first.
    """

    name: str
    passed: bool
    detail: str = ""
    warned: bool = False
    error: BaseException | None = field(default=None, compare=False, repr=False)
    rank: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Check:
    """One check of one component: call it (it raises if the component does not conform), or get its `result`."""

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
        except (Exception, SystemExit) as error:  # a broken plugin may raise anything; that is the finding
            return Result(self.name, False, described(error), error=error, rank=self.rank)
        return Result(self.name, True, rank=self.rank)


def require(condition: object, message: str, follows: str = "") -> None:
    """Raise `Finding` with `message` unless `condition` holds (`assert` vanishes under ``python -O``)."""
    if not condition:
        raise Finding(message, follows)
