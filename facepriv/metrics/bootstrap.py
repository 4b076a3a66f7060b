"""Confidence intervals by resampling people: photos of one person are not independent of each other.

A resample is a row of weights: how often each subject was drawn. A metric that takes weights (R, N) is then computed
for many resamples at once, and two metrics under the same weights are a paired comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import ContractError, DataError
from facepriv.metrics.arrays import Float

#: Takes weights (R, N), returns (R,).
Statistic = Callable[[Float], Float]

REPLICATES = 1000
LEVEL = 0.95
#: Resamples are computed in blocks of about this many weights, 16 MiB, so that memory does not grow with R x N.
_BLOCK = 2**21


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval, in the figure's own unit."""

    value: float
    low: float
    high: float


def subject_index(subjects: Sequence[str] | NDArray[np.str_]) -> tuple[int, NDArray[np.int64]]:
    """Return the number of subjects, and (N,) the subject's index of each sample."""
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    return len(names), index.astype(np.int64)


def draws(subjects: int, *, replicates: int = REPLICATES, seed: int = 0, width: int = 0) -> Iterator[Float]:
    """Yield blocks (r, S) of subject weights, `replicates` rows in all; the same for the same count and seed.

    Parameters
    ----------
    subjects : int
        S, at least 2.
    width : int
        Numbers that a statistic holds per resample, if more than S; sets the number of rows per block.
    """
    if subjects < 2:
        raise DataError(f"an interval over people needs at least 2 subjects, got {subjects}")
    if replicates < 1:
        raise ContractError(f"replicates: expected at least 1, got {replicates}")
    rng = np.random.default_rng(seed)
    share = np.full(subjects, 1 / subjects)
    height = max(1, _BLOCK // max(subjects, width))
    for start in range(0, replicates, height):
        rows = min(height, replicates - start)
        yield rng.multinomial(subjects, share, size=rows).astype(np.float64)


def estimate(
    statistic: Statistic,
    subjects: Sequence[str] | NDArray[np.str_],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = LEVEL,
) -> Estimate:
    """Return a metric with its percentile interval over resampled subjects.

    Parameters
    ----------
    statistic : callable
        Takes weights (R, N) of the samples and returns (R,), such as ``lambda w: accuracy(predicted, truth, w)``; for a
        paired difference, the difference of two metrics under the same weights.
    subjects : sequence of str
        (N,) person of each sample. If unknown, use a unique name per sample.

    Raises
    ------
    DataError
        If there are fewer than 2 subjects, or more than 5 % of the resamples give NaN.

    Examples
    --------
    >>> from facepriv.metrics.attributes import accuracy
    >>> predicted, truth, people = [0, 1, 1, 0], [0, 1, 0, 0], ["ann", "ann", "bob", "eve"]
    >>> estimate(lambda w: accuracy(predicted, truth, w), people)
    Estimate(value=0.75, low=0.0, high=1.0)
    """
    options: dict[str, Any] = {"replicates": replicates, "seed": seed, "level": level}
    return estimates(lambda w: {"figure": statistic(w)}, subjects, **options)["figure"]


def estimates(
    statistics: Callable[[Float], Mapping[str, Float]],
    subjects: Sequence[str] | NDArray[np.str_],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Estimate]:
    """Return several metrics under the same resamples; see `estimate`.

    Parameters
    ----------
    statistics : callable
        Takes weights (R, N) and returns name -> (R,), so that shared intermediate results are computed once.
    """
    found = resamples(statistics, subjects, replicates=replicates, seed=seed)
    return {name: with_interval(float(values[0]), values[1:], level=level) for name, values in found.items()}


def resamples(
    statistics: Callable[[Float], Mapping[str, Float]],
    subjects: Sequence[str] | NDArray[np.str_],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Float]:
    """Return name -> (1 + R,): a metric on the full set, then on R resamples of its subjects.

    The same subjects, R and seed give the same resamples, so that the difference of two such arrays is paired.
    """
    count, index = subject_index(subjects)
    whole = np.ones((1, len(index)))
    blocks = draws(count, replicates=replicates, seed=seed, width=len(index))
    parts = [statistics(whole), *(statistics(block[:, index]) for block in blocks)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def with_interval(value: float, samples: ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Return `value` with the percentile interval of its resamples (R,).

    NaN resamples (a small class was not drawn) are left out, at most 5 % of them.
    """
    samples = np.asarray(samples, dtype=np.float64)
    known = samples[~np.isnan(samples)]
    if len(known) < 0.95 * len(samples):
        raise DataError(
            f"{len(samples) - len(known)} of {len(samples)} resamples have no figure: a class has too few subjects, "
            "add photos of more people of each class"
        )
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return Estimate(value, float(low), float(high))
