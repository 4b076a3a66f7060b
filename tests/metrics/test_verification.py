"""Verification rates, against scikit-learn, against counting by hand, and at their edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from facepriv.errors import ContractError, DataError
from facepriv.metrics import verification

# Few distinct values, so that ties are the rule.
scores = st.integers(-4, 4).map(float) | st.just(float("nan"))
score_arrays = arrays(np.float64, st.integers(1, 30), elements=scores)
finite_arrays = arrays(np.float64, st.integers(1, 40), elements=st.integers(-6, 6).map(float))


def normal(seed, genuine=400, impostor=3000, distance=2.0):
    rng = np.random.default_rng(seed)
    return rng.normal(distance, 1, genuine), rng.normal(0, 1, impostor)


def labelled(genuine, impostor):
    return np.r_[np.ones(len(genuine)), np.zeros(len(impostor))], np.r_[genuine, impostor]


@given(finite_arrays, finite_arrays)
def test_roc_and_auc_are_those_of_scikit_learn(genuine, impostor):
    truth, both = labelled(genuine, impostor)
    fpr, tpr, thresholds = roc_curve(truth, both, drop_intermediate=False)
    ours = verification.roc(genuine, impostor)
    np.testing.assert_allclose(ours.false[0, :-1], fpr)
    np.testing.assert_allclose(ours.true[0, :-1], tpr)
    np.testing.assert_allclose(ours.thresholds[:-1], thresholds)
    assert (ours.false[0, -1], ours.true[0, -1]) == (1, 1)
    assert verification.auc(genuine, impostor) == pytest.approx(roc_auc_score(truth, both))


@pytest.mark.parametrize("seed", range(4))
def test_eer_is_where_the_interpolated_roc_crosses_the_diagonal(seed):
    genuine, impostor = normal(seed)
    fpr, tpr, _ = roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    curve = interp1d(fpr, tpr)
    expected = brentq(lambda x: 1 - x - curve(x), 0, 1)
    # Where the curve is vertical the crossing is not a function of FMR: scipy then errs by a step at most.
    assert verification.eer(genuine, impostor) == pytest.approx(expected, abs=1 / len(genuine))
    assert verification.eer(genuine, impostor) == pytest.approx(0.1587, abs=0.03)


def test_eer_of_separated_equal_and_reversed_scores():
    assert verification.eer([3, 4], [1, 2]) == 0
    assert verification.eer([1, 1], [1, 1]) == 0.5
    assert verification.eer([1, 2], [3, 4]) == 1


@given(score_arrays, score_arrays)
def test_eer_lies_between_the_error_rates_around_it(genuine, impostor):
    eer = verification.eer(genuine, impostor)
    points = [verification.rates_at(genuine, impostor, t) for t in [-5.0, *np.arange(-4, 6)]]
    # Every threshold errs at least as much in one of the two directions.
    assert all(max(p.fmr, 1 - p.tmr) >= eer - 1e-12 for p in points)
    assert 0 <= eer <= 1


@given(score_arrays, score_arrays)
def test_auc_counts_pairs_and_a_failed_genuine_comparison_never_wins(genuine, impostor):
    won = 0.0
    for g in genuine:
        for i in impostor:
            if not np.isnan(g):
                won += 1.0 if np.isnan(i) or g > i else 0.5 if g == i else 0.0
    assert verification.auc(genuine, impostor) == pytest.approx(won / (len(genuine) * len(impostor)))


@given(score_arrays, score_arrays, st.floats(0.01, 0.99))
@settings(max_examples=200)
def test_tmr_at_fmr_is_the_best_that_any_threshold_reaches_within_the_fmr(genuine, impostor, fmr):
    point = verification.tmr_at_fmr(genuine, impostor, fmr, min_errors=0)
    candidates = np.r_[-np.inf, np.arange(-4.5, 6)]
    allowed = [t for t in candidates if np.mean(impostor >= t) <= fmr]
    assert point.fmr <= fmr
    assert point.tmr == max(np.mean(genuine >= t) for t in allowed)


def test_ties_at_the_threshold_are_refused_together():
    impostor = np.array([5.0, 4, 4, 4, 1, 1, 1, 1, 1, 1])
    point = verification.tmr_at_fmr([4, 4, 4.5, 6], impostor, 0.2, min_errors=1)
    assert point.fmr == 0.1 and point.tmr == 0.5


def test_the_allowed_count_does_not_suffer_from_floating_point():
    impostor = np.arange(30_000.0)
    assert verification.tmr_at_fmr([1.0], impostor, 0.001).fmr == pytest.approx(30 / 30_000)


def test_failures_are_errors_and_stay_in_the_denominator():
    genuine, impostor = np.array([2.0, 2, np.nan, np.nan]), np.array([3.0, np.nan, 0, 0])
    point = verification.rates_at(genuine, impostor, 1.0)
    assert point.tmr == 0.5 and point.fmr == 0.25
    assert verification.eer(np.full(3, np.nan), impostor) == 1
    assert verification.auc(np.full(3, np.nan), impostor) == 0


def test_rates_at_a_threshold_set_elsewhere_give_the_fmr_reached_there():
    genuine, impostor = normal(1, impostor=60_000)
    own = verification.tmr_at_fmr(genuine, impostor, 0.001)
    shifted = verification.rates_at(genuine + 0.5, impostor + 0.5, own.threshold)
    assert shifted.fmr > 0.002 and shifted.tmr > own.tmr
    assert verification.tmr_at_fmr(genuine + 0.5, impostor + 0.5, 0.001).tmr == own.tmr


def test_d_prime_is_the_distance_in_standard_deviations_and_leaves_failures_out():
    genuine, impostor = normal(2, 20_000, 20_000, distance=3.0)
    assert verification.d_prime(genuine, impostor) == pytest.approx(3.0, abs=0.05)
    assert verification.d_prime(np.r_[genuine, np.nan], impostor) == verification.d_prime(genuine, impostor)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: verification.eer([], [1]), "no genuine"),
        (lambda: verification.eer([1], []), "no impostor"),
        (lambda: verification.tmr_at_fmr([1.0], np.arange(29_999.0), 0.001), r"29,999 .* needs at least 30,000 \(30 f"),
        (lambda: verification.d_prime([1, 1], [2, 2]), "undefined"),
        (lambda: verification.d_prime([1, np.nan], [2, 3]), "at least two"),
    ],
)
def test_too_little_data_is_refused(call, text):
    with pytest.raises(DataError, match=text):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: verification.eer([[1.0]], [1]),
        lambda: verification.eer([np.inf], [1]),
        lambda: verification.threshold_at_fmr(np.arange(100.0), 0),
        lambda: verification.threshold_at_fmr(np.arange(100.0), 1),
    ],
)
def test_malformed_input_is_refused(call):
    with pytest.raises(ContractError):
        call()
