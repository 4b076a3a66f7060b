"""Collects and runs the checks of one component."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

from facepriv.errors import UsageError
from facepriv.hookspecs import Kind
from facepriv.registry import registry
from facepriv.testing import detectors, evaluators, perturbers, plugins
from facepriv.testing.core import Check, Make, NotApplicable, Result

_ROOTS: dict[str, tuple[Callable[[Make], None], ...]] = {"method": perturbers.ROOTS, "detector": detectors.ROOTS}


def checks(subject: Any, kind: Kind = "method") -> list[Check]:
    """Return the conformance checks of `subject`, not yet run.

    Parameters
    ----------
    subject : str, class, callable or instance
        The name of an installed component, a class or factory, or an instance (copied for every check).
    kind : {"method", "estimator", "matcher", "detector"}
        Its kind.
    """
    tables: dict[str, tuple[Callable[[Make], None], ...]] = {
        "method": perturbers.CHECKS,
        "estimator": evaluators.ESTIMATOR_CHECKS,
        "matcher": evaluators.MATCHER_CHECKS,
        "detector": detectors.CHECKS,
    }
    if kind not in tables:
        raise UsageError(f"there are no conformance checks for a '{kind}': one of {', '.join(tables)}")
    make, roots = _factory(subject, kind), _ROOTS.get(kind, evaluators.ROOTS)
    ranks = {check.__name__: rank for rank, check in enumerate(roots)}
    found = {check.__name__: partial(check, make) for check in tables[kind]}
    if isinstance(subject, str):
        found |= {check.__name__: partial(check, kind, subject) for check in plugins.CHECKS}
    return [Check(name, run, ranks.get(name, len(ranks) + place)) for place, (name, run) in enumerate(found.items())]


def run_checks(subject: Any, kind: Kind = "method") -> list[Result]:
    """Run the conformance checks of `subject` and return their outcomes; parameters as for `checks`."""
    return [check.result() for check in checks(subject, kind)]


def _factory(subject: Any, kind: Kind) -> Make:
    if isinstance(subject, str):
        # Looked up only when called, so that a missing plugin gives a failed check and not a broken test file.
        return lambda **options: registry().create(kind, subject, **options)
    if callable(subject):
        return subject
    return partial(_copy, subject)


def _copy(instance: Any, **options: Any) -> Any:
    if options:
        raise NotApplicable("an instance was given: give its class or a factory")
    return deepcopy(instance)
