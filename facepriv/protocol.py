"""The figures by which a method is judged, before and after, with intervals over people.

Attribute: does an unseen classifier fail on the protected photos? Matching: does an unseen matcher still compare
originals X and protected photos X' as it did, in the four pairings (X1, X2), (X1', X2'), (X1, X2') and (X1', X2)?
(Mirjalili, Raschka, Ross, IEEE TIP 2020, section 3.1.) All rates are shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facepriv.errors import DataError
from facepriv.metrics import pairs
from facepriv.metrics.attributes import accuracy, binary_curve, binary_eer, error_share, flip_aware_eer
from facepriv.metrics.bootstrap import REPLICATES, Estimate, draws, estimate, subject_index, with_interval

Float = NDArray[np.float64]
Figures = dict[str, Any]

ORIGINAL, PROTECTED = "(X1, X2)", "(X1', X2')"
#: Pairing -> whether its first and its second photo are protected.
PAIRINGS = {ORIGINAL: (False, False), PROTECTED: (True, True), "(X1, X2')": (False, True), "(X1', X2)": (True, False)}


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
        ``all``: ``eer_before``, ``eer_after``, ``eer_rise`` (paired); ``flip_aware_after``, the EER of who may turn
        the answer round; ``eer_after_seen``, over the photos in which a face was found (what is left when lost faces
        earn nothing), None where these are too few;
        ``accuracy_before``, ``accuracy_after`` (at a probability of 0.5).

        ``men``, ``women``, each alone: ``wrong_before``, ``wrong_after``, ``wrong_rise``, the share taken for the
        other class at the originals' EER threshold; ``eer_before``, ``eer_after``, ``eer_rise``, the EER of this
        gender's photos against the other gender's *originals*.

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
            return None  # hardly a face was found

    return {
        "all": {
            "photos": len(truth),
            **_prefixed("eer", rise(eer, after)),
            "flip_aware_after": figure(lambda w: flip_aware_eer(after, truth, w)),
            "eer_after_seen": only_seen(),
            **_prefixed("accuracy", rise(right, after)),
        },
        "men": alone(~truth),
        "women": alone(truth),
        "not_found": {"before": int(np.isnan(before).sum()), "after": int(np.isnan(after).sum())},
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
        `FaceMatcher.score`.
    fmr : float
        The false match rate at which the thresholds are set.

    Returns
    -------
    dict
        Pairing -> ``own``: ``tmr``, ``fmr`` at the threshold that this pairing's own impostors set; ``fixed``:
        ``tmr``, ``fmr`` at the threshold that the originals set (a resample sets its own); each also ``tmr_kept``,
        TMR over the originals' TMR, and ``tmr_change``, their difference. ``genuine``, ``impostor``: comparisons.

    Raises
    ------
    DataError
        If the impostor comparisons are too few for this FMR.
    """
    count, index = subject_index(subjects)
    original = pairs.compare_all(before, before, index, score)
    blocks = [original.ones(), *draws(count, replicates=replicates, seed=seed, width=len(original.genuine))]
    reference = [pairs.at_fmr(original, fmr, w) for w in blocks]
    figures: Figures = {}
    for name, (first, second) in PAIRINGS.items():
        if name == ORIGINAL:
            compared, own, fixed = original, reference, reference
        else:
            compared = pairs.compare_all(after if first else before, after if second else before, index, score)
            own = [pairs.at_fmr(compared, fmr, w) for w in blocks]
            fixed = [pairs.at_thresholds(compared, r.threshold, w) for r, w in zip(reference, blocks, strict=True)]
        figures[name] = {
            "genuine": len(compared.genuine),
            "impostor": len(compared.impostor),
            "own": _point_figures(own, reference),
            "fixed": _point_figures(fixed, reference),
        }
    return figures


def _point_figures(points: list[pairs.Points], reference: list[pairs.Points]) -> Figures:
    """Turn the points of the whole set (first) and of the resamples into estimates."""
    tmr, threshold, fmr = (np.concatenate([getattr(p, n) for p in points]) for n in ("tmr", "threshold", "fmr"))
    base = np.concatenate([p.tmr for p in reference])
    kept = np.where(base > 0, tmr / np.where(base > 0, base, 1), np.nan)
    values = {"tmr": tmr, "fmr": fmr, "threshold": threshold, "tmr_kept": kept, "tmr_change": tmr - base}
    return {name: with_interval(float(value[0]), value[1:]) for name, value in values.items()}


def _prefixed(prefix: str, figures: Figures) -> Figures:
    return {f"{prefix}_{name}": value for name, value in figures.items()}
