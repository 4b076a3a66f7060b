"""A matcher on originals X and protected photos X', in the four pairings, under resampling of people.

(X1, X2), (X1', X2'), (X1, X2') and (X1', X2) (Mirjalili, Raschka, Ross, IEEE TIP 2020, section 3.1). The originals are
compared once. Every method's protected photos are then compared under the same resamples, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError
from facepriv.metrics import pairs
from facepriv.metrics.arrays import Float
from facepriv.metrics.bootstrap import REPLICATES, draws, subject_index
from facepriv.metrics.identification import cmc, ranks

ORIGINAL, PROTECTED = "(X1, X2)", "(X1', X2')"
#: Pairing -> whether its first (the probe) and its second photo (the gallery) are protected.
PAIRINGS = {ORIGINAL: (False, False), PROTECTED: (True, True), "(X1, X2')": (False, True), "(X1', X2)": (True, False)}
#: Reported ranks of identification.
RANKS = (1, 5)
#: Largest rank of a CMC.
DEPTH = 20


@dataclass(frozen=True)
class Compared:
    """One pairing: its comparisons, and the descriptors (N, D) of both sides."""

    pairs: pairs.Comparisons
    first: NDArray[np.float32]
    second: NDArray[np.float32]


@dataclass(frozen=True)
class Rates:
    """FMR of the thresholds -> points under all weightings (1 + R,): the full set, then its resamples.

    Parameters
    ----------
    own : dict
        At the thresholds set by this pairing's own impostors.
    fixed : dict
        At the thresholds set by the originals, for each resample separately.
    refused : dict
        FMR without points -> reason: too few comparisons, or more false matches than are stored.
    """

    own: dict[float, pairs.Points] = field(default_factory=dict)
    fixed: dict[float, pairs.Points] = field(default_factory=dict)
    refused: dict[float, str] = field(default_factory=dict)

    def check(self, fmr: float) -> None:
        """Raise `DataError` with the reason if there are no points for this FMR."""
        if fmr in self.refused:
            raise DataError(self.refused[fmr])


class Matching:
    """The originals, compared once.

    Parameters
    ----------
    before : ndarray
        (N, D) descriptors of the originals; an all-NaN row where no face was found.
    subjects : sequence of str
        (N,) the people.
    score : callable
        `FaceMatcher.score_all`.
    fmrs : sequence of float
        False match rates of the thresholds.

    Raises
    ------
    DataError
        If there is no genuine or no impostor comparison.

    Examples
    --------
    >>> photos = np.random.default_rng(0).normal(size=(40, 2, 16)).astype(np.float32)
    >>> people = np.repeat([f"person {n}" for n in range(40)], 2)
    >>> before = photos[:, :1] + 0.1 * photos  # two photos of each of 40 people
    >>> matching = Matching(before.reshape(80, 16), people, lambda a, b: a @ b.T, fmrs=(0.01,), replicates=20)
    >>> rates = matching.measure(matching.compare(before.reshape(80, 16))["(X1', X2')"])
    >>> rates.own[0.01].tmr.shape  # the full set, then 20 resamples
    (21,)
    """

    def __init__(
        self,
        before: NDArray[np.float32],
        subjects: Sequence[str],
        score: pairs.Score,
        *,
        fmrs: Sequence[float] = (0.001,),
        replicates: int = REPLICATES,
        seed: int = 0,
    ) -> None:
        self.before = before
        self.score = score
        count, self.index = subject_index(subjects)
        self.original = self._compared(before, before)
        width = len(self.original.pairs.genuine)
        self.weights = [self.original.pairs.ones(), *draws(count, replicates=replicates, seed=seed, width=width)]
        refused: dict[float, str] = {}
        self.reference: dict[float, list[pairs.Points]] = {}
        for fmr in fmrs:
            try:
                self.reference[fmr] = [pairs.at_fmr(self.original.pairs, fmr, w) for w in self.weights]
            except DataError as error:
                refused[fmr] = str(error)
        found = {fmr: _joined(points) for fmr, points in self.reference.items()}
        self.rates = Rates(own=found, fixed=found, refused=refused)

    def compare(self, after: NDArray[np.float32]) -> dict[str, Compared]:
        """Return pairing -> its comparisons; unchanged photos reuse those of the originals."""
        if np.array_equal(after, self.before, equal_nan=True):
            return dict.fromkeys(PAIRINGS, self.original)
        sides = (self.before, after)
        return {
            name: self.original if name == ORIGINAL else self._compared(sides[first], sides[second])
            for name, (first, second) in PAIRINGS.items()
        }

    def measure(self, compared: Compared) -> Rates:
        """Return the rates of one pairing, at its own thresholds and at the originals'."""
        if compared is self.original:
            return self.rates
        found = Rates(refused=dict(self.rates.refused))
        for fmr, reference in self.reference.items():
            both = list(zip(reference, self.weights, strict=True))
            try:
                own = _joined([pairs.at_fmr(compared.pairs, fmr, w) for w in self.weights])
                fixed = _joined([pairs.at_thresholds(compared.pairs, r.threshold, w) for r, w in both])
            except DataError as error:  # other rates may still be available
                found.refused[fmr] = str(error)
            else:
                found.own[fmr], found.fixed[fmr] = own, fixed
        return found

    def original_tmr(self, fmr: float) -> Float:
        """Return the TMR (1 + R,) of the originals at an FMR, even with too few comparisons for it.

        The threshold then lies above all or nearly all impostor comparisons, so the TMR is biased low.

        Raises
        ------
        DataError
            If there are more false matches than are stored.
        """
        if fmr in self.rates.own:
            return self.rates.own[fmr].tmr
        return np.concatenate([pairs.at_fmr(self.original.pairs, fmr, w, check=False).tmr for w in self.weights])

    def resampled_tmr(self, compared: Compared, fmr: float, most: int) -> Float:
        """Return the TMR (R,) of at most `most` resamples, each at its own threshold for an FMR.

        Raises
        ------
        DataError
            If there are too few comparisons for the FMR, or more false matches than are stored.
        """
        weights = np.concatenate([w[:most] for w in self.weights[1:]])[:most]
        return pairs.at_fmr(compared.pairs, fmr, weights).tmr

    def of_group(self, compared: Compared, rates: Rates, people: NDArray[np.bool_], fmr: float) -> Rates:
        """Return the rates of some people (S,) alone, at the thresholds set by all people.

        TMR of their genuine comparisons, and FMR of the impostor comparisons among them.
        """
        parts: dict[str, list[pairs.Points]] = {"own": [], "fixed": []}
        start = 0
        for w in self.weights:
            rows = slice(start, start + len(w))
            for kind, found in parts.items():
                thresholds = getattr(rates, kind)[fmr].threshold[rows]
                found.append(pairs.at_thresholds(compared.pairs, thresholds, w * people))
            start += len(w)
        return Rates(own={fmr: _joined(parts["own"])}, fixed={fmr: _joined(parts["fixed"])})

    def equal_errors(self, compared: Compared) -> Float:
        """Return the EER (1 + R,); raises `DataError` if it lies beyond the stored comparisons."""
        return np.concatenate([pairs.equal_errors(compared.pairs, w) for w in self.weights])

    def ranks(self, compared: Compared) -> Float:
        """Return the rank (N,) of each probe, see `facepriv.metrics.identification.ranks`."""
        return ranks(compared.first, compared.second, self.index, self.score)

    def found(self, ranks: Float, depth: int) -> Float:
        """Return the shares (1 + R, depth) of probes found within each rank."""
        return np.concatenate([cmc(ranks, depth, w[:, self.index]) for w in self.weights])

    def _compared(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> Compared:
        return Compared(pairs.compare_all(first, second, self.index, self.score), first, second)


def _joined(points: Sequence[pairs.Points]) -> pairs.Points:
    return pairs.Points(*(np.concatenate([getattr(p, name) for p in points]) for name in ("threshold", "tmr", "fmr")))
