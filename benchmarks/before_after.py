"""Figures of a method before and after protection, with intervals over people.

Attributes: whether an unseen classifier fails on the protected photos. Matching: whether an unseen matcher still works
on originals X and protected photos X', in the four pairings (X1, X2), (X1', X2'), (X1, X2') and (X1', X2) (Mirjalili,
Raschka, Ross, IEEE TIP 2020, section 3.1). All rates are shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import DataError
from facepriv.evaluation.judges import RACE_PAIR, STRONG, STRONG_TMR
from facepriv.metrics import pairs
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
from facepriv.metrics.bootstrap import REPLICATES, Estimate, estimate, estimates, with_interval
from facepriv.metrics.matching import ORIGINAL as ORIGINAL
from facepriv.metrics.matching import PAIRINGS as PAIRINGS
from facepriv.metrics.matching import PROTECTED as PROTECTED
from facepriv.metrics.matching import Matching
from facepriv.schema import AGE, RACE

Float = NDArray[np.float64]
Figures = dict[str, Any]


def counts(attribute: str, on_originals: Estimate) -> bool:
    """Return whether an estimator is good enough on the originals to count, see `STRONG`."""
    return on_originals.value <= STRONG[attribute]


def matcher_counts(on_originals: Estimate) -> bool:
    """Return whether a matcher is good enough on the originals to count: its whole TMR interval must be."""
    return on_originals.low >= STRONG_TMR


def binary_figures(
    before: ArrayLike,
    after: ArrayLike,
    positive: ArrayLike,
    subjects: Sequence[str] | NDArray[np.str_],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Compare how well a score separates two classes on originals and on protected photos.

    Parameters
    ----------
    before, after : array
        (N,) score of the positive class for the same N photos; NaN where no face was found, an error of either class.
    positive : array
        (N,) bool, the truth.
    subjects : sequence of str
        (N,) the people.

    Returns
    -------
    dict
        ``photos``; ``eer_before``, ``eer_after``, ``eer_rise`` (paired); ``flip_aware_before``, ``flip_aware_after``,
        the EER if the attacker may invert the classifier; ``not_found``, photos without a face, before and after.
    """
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    positive = np.asarray(positive)

    def figures(w: Float) -> dict[str, Float]:
        first, second = binary_eer(before, positive, w), binary_eer(after, positive, w)
        return {
            "eer_before": first,
            "eer_after": second,
            "eer_rise": second - first,
            "flip_aware_before": flip_aware_eer(before, positive, w),
            "flip_aware_after": flip_aware_eer(after, positive, w),
        }

    found = estimates(figures, subjects, replicates=replicates, seed=seed)
    return {"photos": len(positive), **found, "not_found": _not_found(before, after)}


def race_figures(
    before: ArrayLike,
    after: ArrayLike,
    race: ArrayLike,
    subjects: Sequence[str] | NDArray[np.str_],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Compare a race estimator's probabilities on originals and on protected photos.

    Parameters
    ----------
    before, after : array
        (N, K) probabilities in the schema's order for the same N photos; NaN where no face was found.
    race : array
        (N,) class index, -1 unknown: such photos are left out.
    subjects : sequence of str
        (N,) the people.

    Returns
    -------
    dict
        ``pair``: `binary_figures` of Black against White, over the photos of either; ``rest``: class ->
        `binary_figures` of it against all others, for every class present;
        ``balanced_before``, ``balanced_after``, ``balanced_rise``: balanced accuracy.
    """
    truth = np.asarray(race)
    known = truth >= 0
    before, after = (np.asarray(p, dtype=np.float64)[known] for p in (before, after))
    truth, people = truth[known], np.asarray(subjects)[known]
    options: dict[str, Any] = {"replicates": replicates, "seed": seed}
    first, second = (RACE.index(name) for name in RACE_PAIR)
    (one, positive, which), (other, _, _) = (one_against_one(p, truth, first, second) for p in (before, after))
    said = [np.where(np.isnan(p[:, 0]), -1, np.nan_to_num(p).argmax(axis=1)) for p in (before, after)]

    def balanced(w: Float) -> dict[str, Float]:
        shares = [balanced_accuracy(classes, truth, w) for classes in said]
        return {
            "balanced_before": shares[0],
            "balanced_after": shares[1],
            "balanced_rise": shares[1] - shares[0],
        }

    return {
        "pair": binary_figures(one, other, positive, people[which], **options),
        "rest": {
            name: binary_figures(before[:, k], after[:, k], truth == k, people, **options)
            for k, name in enumerate(RACE.classes)
            if (truth == k).any()
        },
        **estimates(balanced, people, **options),
    }


def age_figures(
    before: ArrayLike,
    after: ArrayLike,
    years: ArrayLike,
    subjects: Sequence[str] | NDArray[np.str_],
    *,
    target: str = "",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Compare an age estimator's years on originals and on protected photos.

    Parameters
    ----------
    before, after : array
        (N,) estimated years for the same N photos; NaN where no face was found.
    years : array
        (N,) true age, NaN unknown: such photos are left out.
    subjects : sequence of str
        (N,) the people.
    target : str
        The target age group, or empty.

    Returns
    -------
    dict
        ``photos``; ``error_before``, ``error_after``, ``error_change``: mean absolute error in years, over the photos
        in which a face was found both times (a lost one has no error in years); ``not_found``.

        With a target: ``shift``, the mean change in years of the faces whose age is outside the group, positive towards
        it (a lost face counts as 0), and ``outside``, their number.

    Raises
    ------
    DataError
        If no face was found both times, or none is outside the group.
    """
    truth = np.asarray(years, dtype=np.float64)
    known = ~np.isnan(truth)
    before, after = (np.asarray(p, dtype=np.float64)[known] for p in (before, after))
    truth, people = truth[known], np.asarray(subjects)[known]
    # A face lost in either is left out of both, so that the difference is over the same faces.
    lost = np.isnan(before) | np.isnan(after)
    paired = np.where(lost, np.nan, before), np.where(lost, np.nan, after)
    direction = np.sign(AGE.index(target) - AGE.bin(truth)) if target else np.zeros(len(truth))

    def figures(w: Float) -> dict[str, Float]:
        first, second = (mean_absolute_error(p, truth, w) for p in paired)
        found = {"error_before": first, "error_after": second, "error_change": second - first}
        return found | ({"shift": shift_towards(before, after, direction, w)} if target else {})

    found: Figures = dict(estimates(figures, people, replicates=replicates, seed=seed))
    if target:
        found["outside"] = int((direction != 0).sum())
    return {"photos": len(truth), **found, "not_found": _not_found(before, after)}


def gender_figures(
    before: ArrayLike,
    after: ArrayLike,
    female: ArrayLike,
    subjects: Sequence[str],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Compare a gender estimator's scores on originals and on protected photos.

    Parameters
    ----------
    before, after : array
        (N,) probability of "female" for the same N photos; NaN where no face was found, an error of either class.
    female : array
        (N,) bool, the truth.
    subjects : sequence of str
        (N,) the people.

    Returns
    -------
    dict
        ``all``: the result of `binary_figures`; ``eer_after_seen``, the EER over the photos with a detected face
        (without the benefit of lost faces), None if these are too few; ``accuracy_before``, ``accuracy_after`` (at a
        probability of 0.5).

        ``men``, ``women``, each alone: ``wrong_before``, ``wrong_after``, ``wrong_rise``, the share misclassified at
        the originals' EER threshold; ``eer_before``, ``eer_after``, ``eer_rise``, the EER of this gender's photos
        against the other gender's *originals*.

        ``not_found``: photos without a face, before and after.
    """
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    truth = np.asarray(female)

    def figure(statistic: Callable[[Float], Float]) -> Estimate:
        return estimate(statistic, subjects, replicates=replicates, seed=seed)

    def rise(metric: Callable[[Float, Float], Float], mixed: Float) -> Figures:
        """Return a metric on the originals, on other scores, and the paired difference."""
        return {
            "before": figure(lambda w: metric(before, w)),
            "after": figure(lambda w: metric(mixed, w)),
            "rise": figure(lambda w: metric(mixed, w) - metric(before, w)),
        }

    def eer(scores: Float, w: Float) -> Float:
        return binary_eer(scores, truth, w)

    def alone(who: NDArray[np.bool_]) -> Figures:
        def wrong(scores: Float, w: Float) -> Float:
            thresholds = binary_curve(before, truth, w).equal_error_threshold()
            return error_share(scores[who], truth[who], thresholds, w[:, who])

        return {
            "photos": int(who.sum()),
            **_prefixed("wrong", rise(wrong, after)),
            **_prefixed("eer", rise(eer, np.where(who, after, before))),
        }

    def right(scores: Float, w: Float) -> Float:
        predicted = np.where(np.isnan(scores), -1, scores >= 0.5).astype(np.int64)
        return accuracy(predicted, truth.astype(np.int64), w)

    def only_seen() -> Estimate | None:
        seen = (~np.isnan(after)).astype(np.float64)
        try:
            return figure(lambda w: eer(after, w * seen))
        except DataError:
            return None  # too few faces were found

    every = binary_figures(before, after, truth, subjects, replicates=replicates, seed=seed)
    not_found = every.pop("not_found")
    return {
        "all": {
            **every,
            "eer_after_seen": only_seen(),
            **_prefixed("accuracy", rise(right, after)),
        },
        "men": alone(~truth),
        "women": alone(truth),
        "not_found": not_found,
    }


def matching_figures(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    subjects: Sequence[str],
    score: pairs.Score,
    *,
    fmr: float = 0.001,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Compare a matcher on originals and protected photos in the four pairings.

    Parameters
    ----------
    before, after : ndarray
        (N, D) descriptors of the same N photos; an all-NaN row where no face was found.
    score : callable
        `FaceMatcher.score_all`.
    fmr : float
        The false match rate of the thresholds.

    Returns
    -------
    dict
        Pairing -> ``own``: ``tmr``, ``fmr`` at the threshold set by this pairing's own impostors; ``fixed``: ``tmr``,
        ``fmr`` at the threshold set by the originals, for each resample separately. Both also have ``tmr_kept``, TMR
        over the originals' TMR, and ``tmr_change``, their difference. ``genuine``, ``impostor``: comparisons.

    Raises
    ------
    DataError
        If there are too few impostor comparisons for this FMR, or more false matches than are stored.
    """
    matching = Matching(before, subjects, score, fmrs=(fmr,), replicates=replicates, seed=seed)
    matching.rates.check(fmr)
    base = matching.rates.own[fmr].tmr
    figures: Figures = {}
    for name, compared in matching.compare(after).items():
        rates = matching.measure(compared)
        rates.check(fmr)
        figures[name] = {
            "genuine": len(compared.pairs.genuine),
            "impostor": compared.pairs.impostors,
            "own": _point_figures(rates.own[fmr], base),
            "fixed": _point_figures(rates.fixed[fmr], base),
        }
    return figures


def _point_figures(points: pairs.Points, base: Float) -> Figures:
    """Convert points of the full set (first) and of the resamples to estimates; `base` is the originals' TMR."""
    kept = np.where(base > 0, points.tmr / np.where(base > 0, base, 1), np.nan)
    values = {
        "tmr": points.tmr,
        "fmr": points.fmr,
        "threshold": points.threshold,
        "tmr_kept": kept,
        "tmr_change": points.tmr - base,
    }
    return {name: with_interval(float(value[0]), value[1:]) for name, value in values.items()}


def _not_found(before: Float, after: Float) -> dict[str, int]:
    return {"before": int(np.isnan(before).sum()), "after": int(np.isnan(after).sum())}


def _prefixed(prefix: str, figures: Figures) -> Figures:
    return {f"{prefix}_{name}": value for name, value in figures.items()}
