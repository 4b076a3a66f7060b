"""Sampling weights of training faces: equal for all sets, higher for rarer genders and races, lower for children."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.pack import Pack
from facepriv.schema import ADULT

#: Weight of a child relative to an adult of the same stratum, as the bars apply to adults.
CHILDREN = 0.4


def balanced_weights(pack: Pack, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return sampling weights (N,), summing to 1, for `rows` of a pack.

    Every set has the same total. Within a set, genders have the same total, and a race of n faces has a total
    proportional to sqrt(n): full balance would overfit to the few faces of a rare race. Weights of children are then
    multiplied by `CHILDREN`.
    """
    weights = np.ones(len(rows))
    sets, gender, race = pack.columns["set"][rows], pack.labels["gender"][rows], pack.labels["race"][rows]
    for name in np.unique(sets):
        inside = sets == name
        for of_gender in (inside & (gender == g) for g in np.unique(gender[inside])):
            for label in np.unique(race[of_gender]):
                stratum = of_gender & (race == label)
                weights[stratum] = 1 / math.sqrt(stratum.sum())
            weights[of_gender] /= weights[of_gender].sum()
        weights[inside] /= weights[inside].sum()
    weights[pack.years[rows] < ADULT] *= CHILDREN
    return weights / weights.sum()
