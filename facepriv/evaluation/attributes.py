"""Rows of an attribute estimator: its performance for gender, race or age on originals and on protected photos.

A face that is not found counts as an error of its class. It has no error in years, so age figures leave it out on both
sides. Faces labelled under 15 are left out of all attribute figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError
from facepriv.evaluation.judges import RACE_PAIR, STRONG
from facepriv.evaluation.rows import UNSEEN_MEAN, Float, Row
from facepriv.evaluation.truth import Truth
from facepriv.metrics.attributes import (
    accuracy,
    balanced_accuracy,
    binary_curve,
    binary_eer,
    error_share,
    flip_aware_eer,
    mean_absolute_error,
    one_against_one,
    shift_towards,
)
from facepriv.metrics.bootstrap import resamples
from facepriv.metrics.privacy import suppression_rate
from facepriv.schema import ADULT, AGE, ATTRIBUTES, GENDER, RACE

T = TypeVar("T")
Mask = NDArray[np.bool_]
#: Takes an estimator's predictions, (N, K) or (N,), and weights (R, N); returns (R,).
Statistic = Callable[[Float, Float], Float]
#: The empty row of a figure, and the statistic that fills it.
Figure = tuple[Row, Statistic]

#: Figure on the originals that decides whether an estimator counts, see `facepriv.evaluation.judges.STRONG`.
STRENGTH = {"gender": "gender_eer", "race": "race_pair_eer", "age": "age_error"}
#: Figures that are averaged over the unseen estimators that count.
MEANS = frozenset({"gender_eer", "gender_flip_aware", "gender_balanced", "race_pair_eer", "race_balanced", "age_error"})
_PERCENT = 100.0


@dataclass(frozen=True)
class Resampling:
    """The person of each photo, (N,), and the options of the resampling."""

    people: NDArray[np.str_]
    options: dict[str, Any] = field(default_factory=dict)

    def fill(self, row: Row, statistic: Callable[[T, Float], Float], before: T, after: T) -> Row:
        """Return the row: before, after and the paired difference, or the reason why there is no value."""

        def both(w: Float) -> dict[str, Float]:
            first, second = statistic(before, w), statistic(after, w)
            return {"before": first, "after": second, "change": second - first}

        return self._filled(row, both)

    def fill_one(self, row: Row, statistic: Callable[[Float], Float]) -> Row:
        """Return the row of a figure that already compares before and after."""
        return self._filled(row, lambda w: {"after": statistic(w)})

    def _filled(self, row: Row, statistics: Callable[[Float], dict[str, Float]]) -> Row:
        try:
            found = resamples(statistics, self.people, **self.options)
        except DataError as error:
            return replace(row, note=str(error))
        return row.filled(_PERCENT if row.unit == "percent" else 1.0, **found)


def weighted_mean(values: Float, weights: Float) -> Float:
    """Return the mean of values (N,) under each of the weights (R, N); NaN where all weights are 0."""
    total = weights.sum(axis=1)
    return np.where(total > 0, weights @ values / np.where(total > 0, total, 1), np.nan)


def groups(truth: Truth) -> Iterator[tuple[str, Mask]]:
    """Yield ``attribute: class`` and the mask (N,) of its photos, for every class with at least one photo."""
    for name, spec in ATTRIBUTES.items():
        for k, label in enumerate(spec.classes):
            mask = truth.classes[name] == k
            if mask.any():
                yield f"{name}: {label}", mask


def attribute_rows(
    name: str, attribute: str, before: NDArray[Any], after: NDArray[Any], truth: Truth, how: Resampling, age: str = ""
) -> list[Row]:
    """Return all rows of one estimator.

    Parameters
    ----------
    name, attribute : str
        The estimator and its attribute.
    before, after : ndarray
        (N, K) probabilities, or (N,) years, for the same N photos; NaN where no face was found.
    truth : Truth
    how : Resampling
    age : str
        The target age group, or empty.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if attribute == AGE.name:
        rows = _age_rows(first, second, truth, how, age)
    else:
        rows = [how.fill(*figure, first, second) for figure in figures(attribute, truth, first)]
        error = error_statistic(attribute, truth)
        row = Row(f"{attribute}_suppression")
        rows.append(how.fill_one(row, lambda w: suppression_rate(1 - error(first, w), 1 - error(second, w))))
    return [replace(row, evaluator=name, attribute=attribute) for row in rows]


def mean_rows(
    attribute: str, before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]], truth: Truth, how: Resampling
) -> list[Row]:
    """Return the rows of the mean over several estimators of one attribute, for the figures in `MEANS`."""
    firsts, seconds = ([np.asarray(one, dtype=np.float64) for one in side] for side in (before, after))
    if attribute == AGE.name:
        pairs = [_paired(one, other) for one, other in zip(firsts, seconds, strict=True)]
        firsts, seconds = [one for one, _ in pairs], [other for _, other in pairs]
    sides = np.stack(firsts), np.stack(seconds)
    return [
        how.fill(replace(row, evaluator=UNSEEN_MEAN, attribute=attribute), _mean(statistic), *sides)
        for row, statistic in figures(attribute, truth, firsts[0])
        if row.figure in MEANS and not row.group
    ]


def weak(attribute: str, rows: Sequence[Row]) -> str:
    """Return why an estimator is too weak to count, judged by the originals alone; empty if it counts."""
    row = next((r for r in rows if r.figure == STRENGTH[attribute] and not r.group), None)
    if row is None or row.before is None:
        return row.note if row and row.note else "cannot be judged on the originals"
    limit, unit = _limit(attribute, row)
    if row.before.value <= limit:
        return ""
    return f"too weak on the originals: {row.words} {row.before.value:.1f} {unit}, allowed {limit:g}"


def doubtful(attribute: str, row: Row) -> str:
    """Return that an estimator may be too weak, because its interval on the originals passes the limit; else empty."""
    limit, unit = _limit(attribute, row)
    if row.before is None or not row.before.value <= limit < row.before.high:
        return ""
    return f"but may be too weak: the interval passes {limit:g} {unit}"


def _limit(attribute: str, row: Row) -> tuple[float, str]:
    """Return the largest figure of an estimator that counts, in the row's unit, and the unit in words."""
    in_years = row.unit == "years"
    return STRONG[attribute] * (1 if in_years else _PERCENT), "years" if in_years else "%"


def not_young(truth: Truth) -> Mask:
    """Return the mask (N,) of photos without those of faces labelled under 15."""
    return np.isnan(truth.years) | (truth.years >= ADULT)


def likeliest(p: Float) -> NDArray[np.int64]:
    """Return the likeliest class (N,) of probabilities (N, K), -1 where no face was found."""
    return np.where(np.isnan(p[:, 0]), -1, np.nan_to_num(p).argmax(axis=1)).astype(np.int64)


def error_statistic(attribute: str, truth: Truth) -> Statistic:
    """Return 1 - balanced accuracy, the attribute error of PIC."""
    known = known_faces(attribute, truth)
    return lambda p, w: 1 - balanced_accuracy(likeliest(p)[known], truth.classes[attribute][known], w[:, known])


def figures(attribute: str, truth: Truth, before: Float) -> list[Figure]:
    """Return the figures of an attribute's estimators; `before` is the predictions of one on the originals."""
    build = {"gender": _gender, "race": _race, "age": _age}[attribute]
    return build(truth, before)


def known_faces(attribute: str, truth: Truth) -> Mask:
    """Return the mask (N,) of photos with a known class or age, without faces under 15."""
    known = ~np.isnan(truth.years) if attribute == AGE.name else truth.classes[attribute] >= 0
    return known & not_young(truth)


def _known_groups(truth: Truth, known: Mask) -> Iterator[tuple[str, Mask]]:
    """Yield the groups with at least one photo in `known`, and the mask of these photos."""
    for name, mask in groups(truth):
        if (mask & known).any():
            yield name, mask & known


def _gender(truth: Truth, before: Float) -> list[Figure]:
    known, column = known_faces("gender", truth), GENDER.index("female")
    female = truth.classes["gender"] == column

    def binary(metric: Callable[..., Float], mask: Mask) -> Statistic:
        return lambda p, w: metric(p[mask, column], female[mask], w[:, mask])

    def wrong(mask: Mask) -> Statistic:
        def statistic(p: Float, w: Float) -> Float:
            limits = binary_curve(before[known, column], female[known], w[:, known]).equal_error_threshold()
            return error_share(p[mask, column], female[mask], limits, w[:, mask])

        return statistic

    found = [
        (Row("gender_eer"), binary(binary_eer, known)),
        (Row("gender_flip_aware"), binary(flip_aware_eer, known)),
        (Row("gender_auc"), binary(lambda *args: binary_curve(*args).area(), known)),
        *_right("gender", truth, known),
    ]
    for name, mask in _known_groups(truth, known):
        if name.startswith("gender"):
            found.append((Row("gender_wrong", group=name), wrong(mask)))
        else:
            found.append((Row("gender_eer", group=name), binary(binary_eer, mask)))
    return found


def _race(truth: Truth, before: Float) -> list[Figure]:
    known, race = known_faces("race", truth), truth.classes["race"]

    def pair(p: Float, w: Float) -> Float:
        first, second = (RACE.index(name) for name in RACE_PAIR)
        scores, positive, which = one_against_one(p[known], race[known], first, second)
        return binary_eer(scores, positive, w[:, known][:, which])

    def rest(k: int) -> Statistic:
        return lambda p, w: binary_eer(p[known, k], race[known] == k, w[:, known])

    found = [(Row("race_pair_eer"), pair), *_right("race", truth, known)]
    for name, mask in _known_groups(truth, known):
        own, _, label = name.partition(": ")
        if own == "race":
            found.append((Row("race_eer", group=name), rest(RACE.index(label))))
        else:
            found += _right("race", truth, mask, group=name)[:1]
    return found


def _age(truth: Truth, before: Float) -> list[Figure]:
    known = known_faces("age", truth)

    def error(mask: Mask) -> Statistic:
        return lambda years, w: mean_absolute_error(years[mask], truth.years[mask], w[:, mask])

    masks = (("", known), *_known_groups(truth, known))
    return [(Row("age_error", group=name, unit="years"), error(mask)) for name, mask in masks]


def _age_rows(before: Float, after: Float, truth: Truth, how: Resampling, age: str) -> list[Row]:
    if before.ndim != 1:
        return [Row("age_error", unit="years", note="estimates age groups, not years")]
    first, second = _paired(before, after)
    rows = [how.fill(*figure, first, second) for figure in figures("age", truth, first)]
    if age:
        adult = known_faces("age", truth)
        direction = np.where(adult, np.sign(AGE.index(age) - AGE.bin(truth.years)), 0)
        shift = Row("age_shift", unit="years")
        rows.append(how.fill_one(shift, lambda w: shift_towards(before, after, direction, w)))
    return rows


def _right(attribute: str, truth: Truth, mask: Mask, group: str = "") -> list[Figure]:
    """Return accuracy and balanced accuracy over the photos in `mask`: of all, then of those with a face found."""
    classes = truth.classes[attribute]

    def share(metric: Callable[..., Float]) -> Statistic:
        return lambda p, w: metric(likeliest(p)[mask], classes[mask], w[:, mask])

    def found(metric: Callable[..., Float]) -> Statistic:
        return lambda p, w: share(metric)(p, w * ~np.isnan(p[:, 0]))

    metrics = {"accuracy": accuracy, "balanced": balanced_accuracy}
    return [
        *((Row(f"{attribute}_{name}", group=group), share(metric)) for name, metric in metrics.items()),
        *((Row(f"{attribute}_{name}_found", group=group), found(metric)) for name, metric in metrics.items()),
    ]


def _paired(before: Float, after: Float) -> tuple[Float, Float]:
    """Set a face that is NaN in either array to NaN in both."""
    lost = np.isnan(before) | np.isnan(after)
    return np.where(lost, np.nan, before), np.where(lost, np.nan, after)


def _mean(statistic: Statistic) -> Statistic:
    """Turn a statistic of one estimator's predictions into the mean over a stack of them."""
    return lambda stack, w: np.mean([statistic(one, w) for one in stack], axis=0)
