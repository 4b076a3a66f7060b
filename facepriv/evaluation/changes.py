"""Rows that need no labels: how estimates and match scores change from an original X to its protected photo X'.

Estimates are compared on the faces found in both photos. A face found in X and lost in X' does not match its original.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceMatcher
from facepriv.errors import DataError
from facepriv.evaluation.attributes import Mask, Resampling, likeliest, weighted_mean
from facepriv.evaluation.matching import MatcherRows
from facepriv.evaluation.rows import Float, Row
from facepriv.metrics import pairs
from facepriv.metrics.attributes import accuracy, mean_absolute_error
from facepriv.metrics.bootstrap import Estimate
from facepriv.metrics.matching import PAIRINGS, PROTECTED
from facepriv.schema import AGE

#: Pairings in which other photos are compared, besides the originals'.
OTHERS = (PROTECTED, "(X1, X2')")


def estimate_rows(
    name: str, attribute: str, before: NDArray[Any], after: NDArray[Any], counted: Mask, how: Resampling
) -> list[Row]:
    """Return the share of faces whose estimated class or age group changed, and how far an age in years moved.

    Parameters
    ----------
    name, attribute : str
        The estimator and its attribute.
    before, after : ndarray
        (N, K) probabilities, or (N,) years, for the same N photos; NaN where no face was found.
    counted : ndarray
        (N,) bool, photos that are not left out.
    how : Resampling
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    years = first.ndim == 1
    classes = [AGE.bin(side) if years else likeliest(side) for side in (first, second)]
    both = counted & (classes[0] >= 0) & (classes[1] >= 0)
    one, other = (side[both] for side in classes)
    rows = [(Row(f"{attribute}_changed"), lambda w: 1 - accuracy(other, one, w[:, both]))]
    if years:
        moved = Row("age_moved", unit="years")
        rows.append((moved, lambda w: mean_absolute_error(second[both], first[both], w[:, both])))
    named = [(replace(row, evaluator=name, attribute=attribute), statistic) for row, statistic in rows]
    if not both.any():
        return [replace(row, note="no face was found in both photos") for row, _ in named]
    return [how.fill_one(*figure) for figure in named]


class MatchChanges:
    """Rows of one matcher: X with its own X', and with other photos; other people's where people are known.

    Parameters
    ----------
    name : str
    model : FaceMatcher
    before : ndarray
        (N, D) descriptors of the originals.
    how : Resampling
    matcher : MatcherRows or None
        Holds the comparisons of other people's photos, where photos name people.
    """

    def __init__(
        self,
        name: str,
        model: FaceMatcher,
        before: NDArray[np.float32],
        how: Resampling,
        matcher: MatcherRows | None = None,
    ) -> None:
        self.name, self.model, self.before, self.how, self.matcher = name, model, before, how, matcher
        _, self._first, self._people = np.unique(how.people, return_index=True, return_inverse=True)

    def rows(self, after: NDArray[np.float32]) -> list[Row]:
        """Return the rows for the descriptors (N, D) of protected photos."""
        rows = [*self._own(after), *self._others(after)]
        return [replace(row, evaluator=self.name) for row in rows]

    def _own(self, after: NDArray[np.float32]) -> list[Row]:
        """Return the rows of X with its own X'."""
        scores = self.model.score(self.before, after).astype(np.float64)
        acquired, scored = ~np.isnan(self.before).all(axis=1), ~np.isnan(scores)
        match, score = Row("own_match"), Row("own_score", unit="index")
        if not scored.any():
            return [replace(row, note="the matcher processed no pair of faces") for row in (match, score)]
        mean = self.how.fill_one(score, lambda w: weighted_mean(scores[scored], w[:, scored]))
        limit = self.model.threshold
        if limit is None:
            return [self._unpublished(match), mean]
        matched = (scores[acquired] >= limit).astype(np.float64)
        return [self.how.fill_one(match, lambda w: weighted_mean(matched, w[:, acquired])), mean]

    def _others(self, after: NDArray[np.float32]) -> list[Row]:
        """Return the rows of other photos, in each of `OTHERS` beside the originals."""
        rows = []
        limit = self.model.threshold
        for pairing in OTHERS:
            match = Row("other_match", pairing=pairing)
            score = Row("other_score", pairing=pairing, unit="index")
            try:
                sides = self._original, self._pairs(pairing, after)
            except DataError as error:
                rows += [replace(row, note=str(error)) for row in (match, score)]
                continue
            if limit is None:
                rows.append(self._unpublished(match))
            else:
                rows.append(self.how.fill(match, self._false_matches, *sides))
            means = [side.stream.impostor_mean for side in sides]
            before, mean, change = (Estimate(v, np.nan, np.nan) for v in (*means, means[1] - means[0]))
            rows.append(replace(score, before=before, after=mean, change=change))
        return rows

    def _false_matches(self, compared: pairs.Comparisons, weights: Float) -> Float:
        """Return the share of other photos that match under weights (R, N) of the photos."""
        limits = np.full(len(weights), self.model.threshold)
        return pairs.false_match_rates(compared, limits, weights[:, self._first])

    @cached_property
    def _original(self) -> pairs.Comparisons:
        if self.matcher is not None:
            return self.matcher.matching.original.pairs
        return self._compared(self.before, self.before)

    def _pairs(self, pairing: str, after: NDArray[np.float32]) -> pairs.Comparisons:
        if self.matcher is not None:
            return self.matcher.compared(after)[pairing].pairs
        first, second = (after if protected else self.before for protected in PAIRINGS[pairing])
        return self._compared(first, second)

    def _compared(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> pairs.Comparisons:
        own = self.model.score(first, second)
        return pairs.compare_all(first, second, self._people, self.model.score_all, own=own)

    def _unpublished(self, row: Row) -> Row:
        return replace(row, note="the matcher states no published threshold: see its match scores")
