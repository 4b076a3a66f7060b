"""Ground-truth labels of a set of photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.record import Record
from facepriv.schema import AGE, ATTRIBUTES


@dataclass(frozen=True)
class Truth:
    """Labels of the N photos of a set.

    Parameters
    ----------
    subjects : ndarray
        (N,) people; a photo without an identity label counts as its own person.
    named : bool
        Whether all photos have an identity label, so that matchers can be measured.
    classes : dict
        Attribute -> (N,) int64 class index, -1 unknown.
    years : ndarray
        (N,) age, NaN unknown.
    """

    subjects: NDArray[np.str_]
    named: bool
    classes: dict[str, NDArray[np.int64]]
    years: NDArray[np.float64]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Truth:
        """Return the labels of records."""
        classes = {
            name: np.array([spec.index(r.labels[name]) if name in r.labels else -1 for r in records], dtype=np.int64)
            for name, spec in ATTRIBUTES.items()
        }
        years = np.array([np.nan if r.years is None else r.years for r in records], dtype=np.float64)
        named = all(r.subject for r in records)
        return cls(np.array([r.subject or f"file/{r.name}" for r in records]), named, classes, years)

    def knows(self, attribute: str) -> bool:
        """Return whether an estimator of this attribute can be measured here; age needs years, not groups."""
        if attribute == AGE.name:
            return bool((~np.isnan(self.years)).any())
        return bool((self.classes[attribute] >= 0).any())
