"""Rows of a face matcher: how matching changes from originals to protected photos, in the four pairings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError
from facepriv.evaluation.judges import STRONG_FMR, STRONG_TMR
from facepriv.evaluation.rows import AT_FMR, FMRS, Float, Row, at_fmr
from facepriv.metrics.bootstrap import Estimate, with_interval
from facepriv.metrics.matching import DEPTH, ORIGINAL, PROTECTED, RANKS, Compared, Matching, Rates
from facepriv.metrics.verification import MIN_ERRORS, allowed_errors

#: Rates to try where there are too few comparisons for the main FMR.
LARGER = (0.001, 0.01, 0.02, 0.05, 0.1)
#: False match rates of the ROC curve; those where its band is computed, and the number of resamples for it.
GRID = np.logspace(-5, 0, 101)
_BAND_GRID, _BAND_RESAMPLES = GRID[:81:5], 200


class _Side:
    """One pairing with cached figures: arrays, or the reason why there is none."""

    def __init__(self, matching: Matching, compared: Compared) -> None:
        self.matching = matching
        self.compared = compared

    @cached_property
    def eer(self) -> Float | str:
        return _or_refusal(lambda: self.matching.equal_errors(self.compared))

    @cached_property
    def cmc(self) -> Float | str:
        return _or_refusal(lambda: self.matching.found(self.matching.ranks(self.compared), DEPTH))


class MatcherRows:
    """Rows of one matcher; the constructor compares the originals.

    Parameters
    ----------
    name : str
    matching : Matching
        Built for the main FMR and `FMRS`.
    fmr : float
        The main FMR, used for groups.
    groups : sequence of (str, ndarray)
        Name, and mask (S,) of its people.
    """

    def __init__(
        self, name: str, matching: Matching, fmr: float, groups: Sequence[tuple[str, NDArray[np.bool_]]] = ()
    ) -> None:
        self.name = name
        self.matching = matching
        self.fmr = fmr
        self.groups = groups
        self._original = _Side(matching, matching.original)
        self._last: tuple[NDArray[np.float32], dict[str, _Side]] | None = None

    @cached_property
    def weak(self) -> str:
        """Why the matcher is too weak to count, judged by the originals alone; empty if it counts."""
        try:
            tmr = 100 * self.matching.original_tmr(STRONG_FMR)
            found = with_interval(float(tmr[0]), tmr[1:])
        except DataError as error:
            return f"cannot be judged on the originals: {error}"
        if found.low >= 100 * STRONG_TMR:
            return ""
        interval = f"{found.value:.1f} % ({found.low:.1f} to {found.high:.1f})"
        needed = f"needed are {100 * STRONG_TMR:g} % at the lower end"
        return f"too weak on the originals: TMR at FMR {100 * STRONG_FMR:g} % is {interval}, {needed}"

    def rows(self, after: NDArray[np.float32]) -> list[Row]:
        """Return the rows for the descriptors (N, D) of protected photos."""
        rows: list[Row] = []
        for pairing, side in self._sides(after).items():
            if pairing != ORIGINAL:
                rows += self._pairing(pairing, side)
        return [replace(row, evaluator=self.name) for row in rows]

    def equal_errors(self, after: NDArray[np.float32]) -> tuple[Float, Float] | None:
        """Return the EER of (X1, X2) and of (X1', X2'), (1 + R,) each; None if either is undefined."""
        before, second = self._original.eer, self._sides(after)[PROTECTED].eer
        return None if isinstance(before, str) or isinstance(second, str) else (before, second)

    def compared(self, after: NDArray[np.float32]) -> dict[str, Compared]:
        """Return pairing -> its comparisons."""
        return {pairing: side.compared for pairing, side in self._sides(after).items()}

    def curves(self, after: NDArray[np.float32]) -> dict[str, dict[str, Float]]:
        """Return pairing -> ``tmr`` at `GRID`, NaN where the rows refuse the rate too, and ``cmc`` (`DEPTH`,).

        ``tmr_band`` (2, T) and ``cmc_band`` (2, `DEPTH`) are the ends of their 95 % intervals over people, NaN where
        there is none.
        """
        found = {}
        for pairing, side in self._sides(after).items():
            comparisons = side.compared.pairs
            curve = comparisons.stream.curve()
            last = np.searchsorted(curve.false[0], GRID, side="right") - 1
            enough = [allowed_errors(comparisons.impostors, fmr) >= MIN_ERRORS for fmr in GRID]
            tmr = np.where(enough, curve.true[0][last], np.nan)
            cmc = np.full(DEPTH, np.nan) if isinstance(side.cmc, str) else side.cmc[0]
            bands = {"tmr_band": self._roc_band(side), "cmc_band": np.full((2, DEPTH), np.nan)}
            if not isinstance(side.cmc, str):
                bands["cmc_band"] = _interval(side.cmc[1:])
            found[pairing] = {"tmr": tmr, "cmc": cmc, **bands}
        return found

    def _roc_band(self, side: _Side) -> Float:
        """Return the ends (2, T) of the TMR's interval at `GRID`, between a few rates, from a few resamples."""
        band = np.full((2, len(GRID)), np.nan)
        known = []
        for fmr in _BAND_GRID:
            try:
                known.append(
                    (fmr, _interval(self.matching.resampled_tmr(side.compared, fmr, _BAND_RESAMPLES)[:, None]))
                )
            except DataError:
                continue  # too few comparisons for the rate, or more than are stored
        if known:
            at = np.log10([fmr for fmr, _ in known])
            for row, ends in zip(band, np.concatenate([ends for _, ends in known], axis=1), strict=True):
                row[:] = np.interp(np.log10(GRID), at, ends, left=np.nan, right=np.nan)
        return band

    def _sides(self, after: NDArray[np.float32]) -> dict[str, _Side]:
        """Return pairing -> its side; the result for the last photos is cached."""
        if self._last is None or not np.array_equal(self._last[0], after, equal_nan=True):
            original = self.matching.original
            compared = self.matching.compare(after)
            sides = {
                name: self._original if one is original else _Side(self.matching, one) for name, one in compared.items()
            }
            self._last = after, sides
        return self._last[1]

    def _pairing(self, pairing: str, side: _Side) -> list[Row]:
        rows = self._thresholds(pairing, side.compared)
        rows.append(_filled(Row("eer", pairing=pairing), self._original.eer, side.eer))
        original, stream = self.matching.original.pairs.stream, side.compared.pairs.stream
        rows.append(_point(Row("auc", pairing=pairing), original, stream, 100.0))
        rows.append(_point(Row("d_prime", pairing=pairing, unit="index"), original, stream, 1.0))
        for rank in RANKS:
            column = [r if isinstance(r, str) else r[:, rank - 1] for r in (self._original.cmc, side.cmc)]
            rows.append(_filled(Row(f"rank{rank}", pairing=pairing), *column))
        return rows

    def _thresholds(self, pairing: str, compared: Compared) -> list[Row]:
        """Return the rows of TMR and FMR, and of the shares of the TMR that are kept."""
        rows = []
        base = self.matching.rates
        rates = self.matching.measure(compared)
        for fmr in (self.fmr, *(f for f in FMRS if f != self.fmr)):
            names = [at_fmr(figure, fmr, self.fmr) for figure in AT_FMR]
            if fmr in rates.refused:
                note = rates.refused[fmr] + (_way_out(compared.pairs.impostors, fmr) if fmr == self.fmr else "")
                rows += [Row(name, pairing=pairing, note=note) for name in names]
            else:
                rows += _triple(names[:3], pairing, "", base, rates, fmr)
                for name, points in zip(names[3:], (rates.own[fmr], rates.fixed[fmr]), strict=True):
                    rows.append(_share(Row(name, pairing=pairing), base.own[fmr].tmr, points.tmr))
        if pairing == PROTECTED and self.fmr not in rates.refused:
            for name, people in self.groups:
                rows += self._group(pairing, compared, rates, name, people)
        return rows

    def _group(self, pairing: str, compared: Compared, rates: Rates, name: str, people: NDArray[np.bool_]) -> list[Row]:
        original = self.matching.original
        try:
            before = self.matching.of_group(original, self.matching.rates, people, self.fmr)
            after = before if compared is original else self.matching.of_group(compared, rates, people, self.fmr)
        except DataError as error:
            return [Row("tmr", pairing=pairing, group=name, note=str(error))]
        return _triple(["tmr", "tmr_fixed", "fmr_fixed"], pairing, name, before, after, self.fmr)


def _way_out(impostors: int, refused: float) -> str:
    """Return what to do where a number of impostor comparisons is too small for an FMR; empty if it is not."""
    if allowed_errors(impostors, refused) >= MIN_ERRORS:
        return ""
    possible = next((fmr for fmr in LARGER if allowed_errors(impostors, fmr) >= MIN_ERRORS), None)
    return "; add photos" + (f", or try --fmr {possible:g}" if possible else "")


def _triple(names: Sequence[str], pairing: str, group: str, before: Rates, after: Rates, fmr: float) -> list[Row]:
    """Return three rows: TMR at the pairing's own FMR, and TMR and FMR at the originals' threshold."""
    sides = (
        (before.own[fmr].tmr, after.own[fmr].tmr),
        (before.fixed[fmr].tmr, after.fixed[fmr].tmr),
        (before.fixed[fmr].fmr, after.fixed[fmr].fmr),
    )
    return [Row(n, pairing=pairing, group=group).compared(*pair) for n, pair in zip(names, sides, strict=True)]


def _share(row: Row, before: Float, after: Float) -> Row:
    """Return the row of what is left of a rate; undefined where there was none before."""
    return row.filled(100.0, after=np.where(before > 0, after / np.where(before > 0, before, 1), np.nan))


def _filled(row: Row, *sides: Float | str) -> Row:
    """Return the row of a figure before and after, each an array or the reason why there is none."""
    refused = [side for side in sides if isinstance(side, str)]
    return replace(row, note=refused[0]) if refused else row.compared(*sides)


def _point(row: Row, original: object, stream: object, scale: float) -> Row:
    """Return a row without intervals: these figures need all scores, which are streamed only once."""
    try:
        before, after = (scale * getattr(scores, row.figure)() for scores in (original, stream))
    except DataError as error:
        return replace(row, note=str(error))
    each = [Estimate(value, np.nan, np.nan) for value in (before, after, after - before)]
    return replace(row, before=each[0], after=each[1], change=each[2])


def _interval(samples: Float) -> Float:
    """Return the ends (2, T) of the 95 % interval of resamples (R, T), NaN where more than 5 % of them are NaN."""
    lost = np.isnan(samples).mean(axis=0) > 0.05
    ends = np.nanpercentile(np.where(lost, 0.0, samples), [2.5, 97.5], axis=0)
    return np.where(lost, np.nan, ends)


def _or_refusal(compute: Callable[[], Float]) -> Float | str:
    """Return the result, or the reason why it cannot be computed."""
    try:
        return compute()
    except DataError as error:
        return str(error)
