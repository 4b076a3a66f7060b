"""Rows of an attribute estimator: its performance for gender, race or age on originals and on protected photos.

A face that is not found counts as an error of its class. It has no error in years, so age figures leave it out on both
sides. Faces labelled under 15 are left out of all attribute figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError
from facepriv.evaluation.judges import RACE_PAIR, STRONG
from facepriv.evaluation.rows import UNSEEN_MEAN, Row
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

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Takes an estimator's predictions, (N, K) or (N,), and weights (R, N); returns (R,).
Statistic = Callable[[Float, Float], Float]

#: Figure on the originals that decides whether an estimator counts, see `facepriv.evaluation.judges.STRONG`.
STRENGTH = {"gender": "gender_eer", "race": "race_pair_eer", "age": "age_error"}
#: Figures that are averaged over the unseen estimators that count.
MEANS = frozenset({"gender_eer", "gender_flip_aware", "gender_balanced", "race_pair_eer", "race_balanced", "age_error"})
_PERCENT = 100.0


@dataclass(frozen=True)
class Figure:
    """A statistic of an estimator's predictions, and the row that it fills."""

    row: Row
    statistic: Statistic

    @property
    def scale(self) -> float:
        """Factor from the statistic to the row's unit."""
        return _PERCENT if self.row.unit == "percent" else 1.0


@dataclass(frozen=True)
class Resampling:
    """The person of each photo, (N,), and the options of the resampling."""

    people: NDArray[np.str_]
    options: dict[str, Any] = field(default_factory=dict)

    def fill(self, figure: Figure, before: Float, after: Float) -> Row:
        """Return the figure's row: before, after and the paired difference, or the reason why there is no value."""

        def both(w: Float) -> dict[str, Float]:
            first, second = figure.statistic(before, w), figure.statistic(after, w)
            return {"before": first, "after": second, "change": second - first}

        return self._filled(figure, both)

    def fill_one(self, figure: Figure, statistic: Callable[[Float], Float]) -> Row:
        """Return the row of a figure that already compares before and after."""
        return self._filled(figure, lambda w: {"after": statistic(w)})

    def _filled(self, figure: Figure, statistics: Callable[[Float], dict[str, Float]]) -> Row:
        try:
            found = resamples(statistics, self.people, **self.options)
        except DataError as error:
            return replace(figure.row, note=str(error))
        return figure.row.filled(figure.scale, **found)


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
        rows = [how.fill(figure, first, second) for figure in figures(attribute, truth, first)]
        rows.append(_suppression(attribute, first, second, truth, how))
    return [replace(row, evaluator=name, attribute=attribute) for row in rows]


def mean_rows(
    attribute: str, before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]], truth: Truth, how: Resampling
) -> list[Row]:
    """Return the rows of the mean over several estimators of one attribute, for the figures in `MEANS`."""
    firsts, seconds = ([np.asarray(said, dtype=np.float64) for said in side] for side in (before, after))
    if attribute == AGE.name:
        pairs = [_paired(one, other) for one, other in zip(firsts, seconds, strict=True)]
        firsts, seconds = [one for one, _ in pairs], [other for _, other in pairs]
    rows = []
    for figure in figures(attribute, truth, firsts[0]):
        if figure.row.figure in MEANS and not figure.row.group:
            mean = replace(figure, statistic=_mean(figure.statistic))
            row = how.fill(mean, np.stack(firsts), np.stack(seconds))
            rows.append(replace(row, evaluator=UNSEEN_MEAN, attribute=attribute))
    return rows


def weak(attribute: str, rows: Sequence[Row]) -> str:
    """Return why an estimator is too weak to count, judged by the originals alone; empty if it counts."""
    row = next((r for r in rows if r.figure == STRENGTH[attribute] and not r.group), None)
    if row is None or row.before is None:
        return row.note if row and row.note else "cannot be judged on the originals"
    limit = STRONG[attribute] * (1 if row.unit == "years" else _PERCENT)
    unit = "years" if row.unit == "years" else "%"
    if row.before.value <= limit:
        return ""
    return f"too weak on the originals: {row.words} {row.before.value:.1f} {unit}, allowed {limit:g}"


def error_statistic(attribute: str, truth: Truth) -> Statistic:
    """Return 1 - balanced accuracy, the attribute error of PIC."""
    known = _known(attribute, truth)
    return lambda said, w: 1 - balanced_accuracy(_classes(said)[known], truth.classes[attribute][known], w[:, known])


def figures(attribute: str, truth: Truth, before: Float) -> list[Figure]:
    """Return the figures of an attribute's estimators; `before` is the predictions of one on the originals."""
    build = {"gender": _gender, "race": _race, "age": _age}[attribute]
    return build(truth, before)


def _known(attribute: str, truth: Truth) -> Mask:
    """Return the mask (N,) of photos with a known class, without faces under 15."""
    young = ~np.isnan(truth.years) & (truth.years < ADULT)
    known = ~np.isnan(truth.years) if attribute == AGE.name else truth.classes[attribute] >= 0
    return known & ~young


def _gender(truth: Truth, before: Float) -> list[Figure]:
    known, column = _known("gender", truth), GENDER.index("female")
    female = truth.classes["gender"] == column

    def binary(metric: Callable[..., Float], mask: Mask) -> Statistic:
        return lambda said, w: metric(said[mask, column], female[mask], w[:, mask])

    def wrong(mask: Mask) -> Statistic:
        def statistic(said: Float, w: Float) -> Float:
            limits = binary_curve(before[known, column], female[known], w[:, known]).equal_error_threshold()
            return error_share(said[mask, column], female[mask], limits, w[:, mask])

        return statistic

    found = [
        Figure(Row("gender_eer"), binary(binary_eer, known)),
        Figure(Row("gender_flip_aware"), binary(flip_aware_eer, known)),
        Figure(Row("gender_auc"), binary(lambda *args: binary_curve(*args).area(), known)),
        *_right("gender", truth, known),
    ]
    for name, mask in groups(truth):
        statistic = wrong(mask & known) if name.startswith("gender") else binary(binary_eer, mask & known)
        if (mask & known).any():
            found.append(
                Figure(Row("gender_wrong" if name.startswith("gender") else "gender_eer", group=name), statistic)
            )
    return found


def _race(truth: Truth, before: Float) -> list[Figure]:
    known, race = _known("race", truth), truth.classes["race"]

    def pair(said: Float, w: Float) -> Float:
        first, second = (RACE.index(name) for name in RACE_PAIR)
        scores, positive, which = one_against_one(said[known], race[known], first, second)
        return binary_eer(scores, positive, w[:, known][:, which])

    def rest(k: int) -> Statistic:
        return lambda said, w: binary_eer(said[known, k], race[known] == k, w[:, known])

    found = [Figure(Row("race_pair_eer"), pair), *_right("race", truth, known)]
    for name, mask in groups(truth):
        own, _, label = name.partition(": ")
        if not (mask & known).any():
            continue
        if own == "race":
            found.append(Figure(Row("race_eer", group=name), rest(RACE.index(label))))
        else:
            found += _right("race", truth, mask & known, group=name)[:1]
    return found


def _age(truth: Truth, before: Float) -> list[Figure]:
    known = _known("age", truth)

    def error(mask: Mask) -> Statistic:
        return lambda said, w: mean_absolute_error(said[mask], truth.years[mask], w[:, mask])

    found = [Figure(Row("age_error", unit="years"), error(known))]
    for name, mask in groups(truth):
        if (mask & known).any():
            found.append(Figure(Row("age_error", group=name, unit="years"), error(mask & known)))
    return found


def _age_rows(before: Float, after: Float, truth: Truth, how: Resampling, age: str) -> list[Row]:
    if before.ndim != 1:
        return [Row("age_error", unit="years", note="estimates age groups, not years")]
    first, second = _paired(before, after)
    rows = [how.fill(figure, first, second) for figure in figures("age", truth, first)]
    known = _known("age", truth) & ~np.isnan(first)
    moved = Figure(Row("age_moved", unit="years"), lambda said, w: said)
    rows.append(how.fill_one(moved, lambda w: mean_absolute_error(second[known], first[known], w[:, known])))
    if age:
        known = _known("age", truth)
        direction = np.where(known, np.sign(AGE.index(age) - AGE.bin(truth.years)), 0)
        shift = Figure(Row("age_shift", unit="years"), lambda said, w: said)
        rows.append(how.fill_one(shift, lambda w: shift_towards(before, after, direction, w)))
    return rows


def _right(attribute: str, truth: Truth, mask: Mask, group: str = "") -> list[Figure]:
    """Return accuracy and balanced accuracy over the photos in `mask`: of all, then of those with a face found."""
    classes = truth.classes[attribute]

    def share(metric: Callable[..., Float]) -> Statistic:
        return lambda said, w: metric(_classes(said)[mask], classes[mask], w[:, mask])

    def found(metric: Callable[..., Float]) -> Statistic:
        return lambda said, w: share(metric)(said, w * ~np.isnan(said[:, 0]))

    return [
        Figure(Row(f"{attribute}_accuracy", group=group), share(accuracy)),
        Figure(Row(f"{attribute}_balanced", group=group), share(balanced_accuracy)),
        Figure(Row(f"{attribute}_accuracy_found", group=group), found(accuracy)),
        Figure(Row(f"{attribute}_balanced_found", group=group), found(balanced_accuracy)),
    ]


def _suppression(attribute: str, before: Float, after: Float, truth: Truth, how: Resampling) -> Row:
    error = error_statistic(attribute, truth)
    figure = Figure(Row(f"{attribute}_suppression"), error)
    return how.fill_one(figure, lambda w: suppression_rate(1 - error(before, w), 1 - error(after, w)))


def _classes(said: Float) -> NDArray[np.int64]:
    """Return the likeliest class (N,) of probabilities (N, K), -1 where no face was found."""
    return np.where(np.isnan(said[:, 0]), -1, np.nan_to_num(said).argmax(axis=1)).astype(np.int64)


def _paired(before: Float, after: Float) -> tuple[Float, Float]:
    """Set a face that is NaN in either array to NaN in both."""
    lost = np.isnan(before) | np.isnan(after)
    return np.where(lost, np.nan, before), np.where(lost, np.nan, after)


def _mean(statistic: Statistic) -> Statistic:
    """Turn a statistic of one estimator's predictions into the mean over a stack of them."""
    return lambda said, w: np.mean([statistic(one, w) for one in said], axis=0)
