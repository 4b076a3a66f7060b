"""Which faces a training step sees: the sets alike, rarer genders and races of a set more often, children less."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.pack import Pack
from facepriv.schema import ADULT

#: How often a child is drawn, where an adult of the same stratum is drawn once: the bars speak of adults.
CHILDREN = 0.4


def balanced_weights(pack: Pack, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return sampling weights (N,), summing to 1, for `rows` of a pack.

    Every set gets the same total. Within a set, genders get the same total, and races of n faces a total in
    proportion to sqrt(n): full balance would show the few faces of a rare race until they are learnt by heart.
    Children then count `CHILDREN` times.
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
