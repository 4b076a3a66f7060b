"""Attributes, their classes, and the schema stored with a model's weights.

The labels are those that classifiers assign, binary or coarse as in the literature and the data sets. They are not a
statement about a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations

import numpy as np

from facepriv.errors import UsageError


@dataclass(frozen=True)
class Attribute:
    """One attribute and its classes.

    Parameters
    ----------
    name : str
        For example ``"gender"``.
    classes : tuple of str
        Class names; a label is an index into them, -1 is unknown.
    thresholds : tuple of float
        For an ordered attribute (age), the upper edges, in years and inclusive, of all classes but the last.
    """

    name: str
    classes: tuple[str, ...]
    thresholds: tuple[float, ...] = ()

    def index(self, label: str) -> int:
        """Return the class index of `label`; raises `UsageError` with the known classes."""
        if label in self.classes:
            return self.classes.index(label)
        raise UsageError(f"unknown {self.name} class '{label}': one of {', '.join(self.classes)}")

    def bin(self, values: np.ndarray) -> np.ndarray:
        """Convert values (N,) in years to class indices (N,) int64; NaN becomes -1."""
        values = np.asarray(values, dtype=np.float64)
        index = np.searchsorted(np.asarray(self.thresholds), values, side="left").astype(np.int64)
        return np.where(np.isnan(values), -1, index)


Schema = Mapping[str, Attribute]

GENDER = Attribute("gender", ("male", "female"))
RACE = Attribute("race", ("white", "black", "asian", "indian"))
# The paper's three age groups (section 4.1): at most 30, 31 to 45, over 45 years.
AGE = Attribute("age", ("young", "middle", "old"), thresholds=(30.0, 45.0))

#: The supported attributes, in their fixed order.
ATTRIBUTES: Schema = {a.name: a for a in (GENDER, RACE, AGE)}

#: Minimum age of the faces in the bars' criteria, in years, by label.
ADULT = 15

#: Target class of each race in the evaluation preset, so that flipping is deterministic there.
RACE_PAIRS: Mapping[str, str] = {"white": "black", "black": "white", "asian": "indian", "indian": "asian"}


def attribute(name: str, schema: Schema = ATTRIBUTES) -> Attribute:
    """Return the attribute called `name`; raises `UsageError` with the most similar names."""
    if name in schema:
        return schema[name]
    raise UsageError(f"unknown attribute '{name}'{nearest(name, schema)}: known are {', '.join(schema)}")


def nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for a misspelt `name`, or an empty string."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(repr(c) for c in close)}?)" if close else ""


def selections(schema: Schema = ATTRIBUTES) -> list[tuple[str, ...]]:
    """Return every non-empty set of attributes, smallest first, in the schema's order."""
    names = list(schema)
    return [chosen for size in range(1, len(names) + 1) for chosen in combinations(names, size)]
