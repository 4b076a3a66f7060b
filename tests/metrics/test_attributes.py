"""Attribute rates, against scikit-learn and by hand, with failures and with weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.metrics import mean_absolute_error as sk_mae

from facepriv.errors import ContractError, DataError
from facepriv.metrics import attributes
from facepriv.metrics.verification import eer


def sample(seed=0, count=300):
    rng = np.random.default_rng(seed)
    positive = rng.random(count) < 0.4
    return rng.normal(positive * 1.5, 1), positive


def test_binary_eer_is_the_verification_eer_of_the_two_classes():
    scores, positive = sample()
    assert attributes.binary_eer(scores, positive)[0] == pytest.approx(eer(scores[positive], scores[~positive]))


def test_inverted_scores_give_the_complement_and_flip_aware_sees_through_it():
    scores, positive = sample()
    straight, inverted = attributes.binary_eer(scores, positive), attributes.binary_eer(-scores, positive)
    assert inverted[0] == pytest.approx(1 - straight[0])
    assert attributes.flip_aware_eer(-scores, positive)[0] == pytest.approx(straight[0])
    assert attributes.flip_aware_eer(scores, positive)[0] == straight[0]


def test_who_turns_answers_round_gains_nothing_from_unseen_faces():
    scores, positive = sample()
    scores[::2] = np.nan
    assert attributes.flip_aware_eer(-scores, positive)[0] == attributes.flip_aware_eer(scores, positive)[0] > 0.5


def test_an_unseen_face_is_an_error_of_either_class():
    scores = np.r_[np.full(50, 2.0), np.full(50, -2.0)]
    positive = np.arange(100) < 50
    assert attributes.binary_eer(scores, positive)[0] == 0
    scores[[0, 1, 2, 3, 4, 50, 51, 52, 53, 54]] = np.nan
    assert attributes.binary_eer(scores, positive)[0] == pytest.approx(0.1)
    assert attributes.error_share(scores, positive, 0.0)[0] == pytest.approx(0.1)
    assert attributes.binary_eer(np.full(100, np.nan), positive)[0] == 1


@given(st.integers(0, 1000))
def test_the_eer_threshold_parts_the_classes_with_about_equal_errors(seed):
    scores, positive = sample(seed)
    threshold = attributes.binary_curve(scores, positive).equal_error_threshold()
    assert threshold[0] in scores
    false = np.mean(scores[~positive] >= threshold)
    missed = np.mean(scores[positive] < threshold)
    assert abs(false - missed) <= 1 / min(positive.sum(), (~positive).sum())


def test_error_share_is_that_of_one_class_alone():
    scores = np.array([0.1, 0.4, 0.6, np.nan])
    assert attributes.error_share(scores, np.ones(4, bool), 0.5)[0] == 0.75
    assert attributes.error_share(scores, np.zeros(4, bool), 0.5)[0] == 0.5
    assert np.isnan(attributes.error_share(scores, np.zeros(4, bool), [np.nan])[0])


def test_accuracy_and_balanced_accuracy_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    truth = rng.choice(4, 200, p=[0.7, 0.1, 0.1, 0.1])
    predicted = np.where(rng.random(200) < 0.7, truth, rng.integers(-1, 4, 200))
    assert attributes.accuracy(predicted, truth)[0] == pytest.approx(accuracy_score(truth, predicted))
    recalls = [np.mean(predicted[truth == c] == c) for c in range(4)]
    assert attributes.balanced_accuracy(predicted, truth)[0] == pytest.approx(np.mean(recalls))
    seen = predicted >= 0
    expected = balanced_accuracy_score(truth[seen], predicted[seen])
    assert attributes.balanced_accuracy(predicted[seen], truth[seen])[0] == pytest.approx(expected)


def test_age_error_is_in_years_and_leaves_unseen_faces_out():
    predicted, years = np.array([30.0, 20, np.nan]), np.array([33.0, 21, 50])
    assert attributes.mean_absolute_error(predicted, years)[0] == sk_mae(years[:2], predicted[:2]) == 2


@given(st.lists(st.integers(0, 3), min_size=60, max_size=60), st.integers(0, 100))
def test_weights_do_what_repeating_the_samples_does(counts, seed):
    scores, positive = sample(seed, 60)
    scores[:3] = np.nan
    counts[0] = counts[1] = 1
    positive[0], positive[1] = True, False
    classes, truth = (np.nan_to_num(scores) > 1).astype(int), positive.astype(int)
    years, guessed = np.arange(60.0), np.arange(60.0) + np.nan_to_num(scores)
    w, repeated = np.array([counts, counts]), np.repeat(np.arange(60), counts)
    for weighted, plain in (
        (attributes.binary_eer(scores, positive, w), attributes.binary_eer(scores[repeated], positive[repeated])),
        (
            attributes.binary_curve(scores, positive, w).area(),
            attributes.binary_curve(scores[repeated], positive[repeated]).area(),
        ),
        (attributes.accuracy(classes, truth, w), attributes.accuracy(classes[repeated], truth[repeated])),
        (
            attributes.balanced_accuracy(classes, truth, w),
            attributes.balanced_accuracy(classes[repeated], truth[repeated]),
        ),
        (
            attributes.mean_absolute_error(guessed, years, w),
            attributes.mean_absolute_error(guessed[repeated], years[repeated]),
        ),
        (
            attributes.error_share(scores, positive, [0.5, 0.5], w),
            attributes.error_share(scores[repeated], positive[repeated], 0.5),
        ),
    ):
        np.testing.assert_allclose(weighted, [plain[0], plain[0]])


def test_a_resample_without_a_class_has_no_figure():
    scores, positive = np.array([1.0, 2, 3]), np.array([True, False, False])
    w = np.array([[0, 1, 1], [1, 1, 1]])
    assert np.isnan(attributes.binary_eer(scores, positive, w)).tolist() == [True, False]
    assert np.isnan(attributes.binary_curve(scores, positive, w).equal_error_threshold()).tolist() == [True, False]
    assert np.isnan(attributes.balanced_accuracy(positive.astype(int), positive.astype(int), w)).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (DataError, lambda: attributes.binary_eer([1.0, 2], np.array([True, True]))),
        (ContractError, lambda: attributes.binary_eer([1.0, 2], np.array([1, 0]))),
        (ContractError, lambda: attributes.binary_eer([1.0, 2], np.array([True, False]), np.ones((1, 3)))),
        (ContractError, lambda: attributes.accuracy([0, 1], [0, -1])),
        (ContractError, lambda: attributes.accuracy([0, 1], [0])),
        (DataError, lambda: attributes.accuracy([], [])),
        (ContractError, lambda: attributes.mean_absolute_error([1.0], [np.nan])),
        (DataError, lambda: attributes.mean_absolute_error([np.nan], [1.0])),
    ],
)
def test_malformed_input_is_refused(error, call):
    with pytest.raises(error):
        call()


def test_one_class_against_one_other_looks_at_their_share_alone():
    probabilities = np.array([[0.2, 0.6, 0.2], [0.1, 0.1, 0.8], [0.5, 0.4, 0.1], [np.nan] * 3, [0, 0, 1.0]])
    scores, positive, which = attributes.one_against_one(probabilities, np.array([1, 2, 0, 1, 0]), 1, 0)
    assert which.tolist() == [True, False, True, True, True]
    assert positive.tolist() == [True, False, True, False]
    assert scores == pytest.approx([0.75, 4 / 9, np.nan, 0.5], nan_ok=True)


def test_a_shift_counts_years_towards_the_aim_and_lost_faces_as_unmoved():
    before, after = np.array([20.0, 50, 30, 40, np.nan]), np.array([35.0, 40, 90, np.nan, 30])
    direction = np.array([1, -1, 0, 1, 1])
    assert attributes.shift_towards(before, after, direction)[0] == pytest.approx((15 + 10 + 0) / 3)
    assert attributes.shift_towards(before, after, -direction)[0] == pytest.approx(-25 / 3)
    weights = np.array([[2, 1, 5, 0, 7], [0, 0, 1, 0, 1]])
    assert attributes.shift_towards(before, after, direction, weights) == pytest.approx([40 / 3, np.nan], nan_ok=True)
    with pytest.raises(DataError, match="should have moved"):
        attributes.shift_towards(before, after, np.zeros(5))
    with pytest.raises(ContractError, match="three"):
        attributes.shift_towards(before, after[1:], direction)
