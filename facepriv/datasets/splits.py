"""The fixed split of each data set into train, validation and test, and the two halves for independent estimators.

Splits depend on names and labels only, so they need no file and do not change with the order of reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)


def _unit(text: str) -> float:
    """Hash a text to [0, 1), uniformly and reproducibly."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def by_subject(subjects: Sequence[str], *, validation: float = 0.1, test: float = 0.15) -> NDArray[np.str_]:
    """Split by person: all photos of a subject are in one part. Returns (N,) part names."""
    draws = np.array([_unit(f"subject/{subject}") for subject in subjects])
    return np.where(draws < test, TEST, np.where(draws < test + validation, VALIDATION, TRAIN))


def by_file(
    names: Sequence[str],
    strata: Sequence[tuple[Any, ...]],
    *,
    validation: float = 0.1,
    test: float = 0.15,
    test_share: Mapping[Any, float] | None = None,
) -> NDArray[np.str_]:
    """Split files so that each stratum is divided in the same proportions.

    Parameters
    ----------
    names : sequence of str
        File names; their hash orders a stratum.
    strata : sequence of tuple
        One per file, for example (gender, age group, race).
    validation, test : float
        Shares of each stratum.
    test_share : mapping
        Stratum -> share of test, if it differs.
    """
    parts = np.full(len(names), TRAIN, dtype="<U10")
    members: dict[tuple[Any, ...], list[int]] = {}
    for i, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(i)
    for stratum, indices in members.items():
        ordered = sorted(indices, key=lambda i: (_unit(f"file/{names[i]}"), names[i]))
        in_test = round(len(ordered) * (test_share or {}).get(stratum, test))
        in_validation = round(len(ordered) * validation)
        for i in ordered[:in_test]:
            parts[i] = TEST
        for i in ordered[in_test : in_test + in_validation]:
            parts[i] = VALIDATION
    return parts


def halves(units: Sequence[str]) -> NDArray[np.str_]:
    """Assign each unit (a subject, or a file if subjects are unknown) to half "a" or "b"; returns (N,)."""
    return np.array(["a" if _unit(f"half/{unit}") < 0.5 else "b" for unit in units])
