"""Intervals over people, and verification under resampled people against brute force."""

import numpy as np
import pytest

from facepriv.errors import ContractError, DataError
from facepriv.metrics import attributes, bootstrap, pairs, verification


def people(seed=0, subjects=12, most=4, dimensions=6):
    """Descriptors of a few people with 1 to `most` photos each."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(subjects), rng.integers(1, most + 1, subjects))
    index = np.r_[index, 0, 1]
    centres = rng.normal(size=(subjects, dimensions))
    return (centres[index] + rng.normal(size=(len(index), dimensions))).astype(np.float32), index


def similarity(a, b):
    # Coarse, so that ties occur.
    return np.round(-np.linalg.norm(a[:, None] - b[None], axis=2), 1).astype(np.float32)


def brute_force(first, second, index, weights):
    """All comparisons of a resample written out, one by one."""
    genuine, impostor = [], []
    for i in range(len(index)):
        for j in range(i + 1, len(index)):
            score = float(similarity(first[i : i + 1], second[j : j + 1])[0, 0])
            a, b = index[i], index[j]
            if a == b:
                genuine += [score] * int(weights[a])
            else:
                impostor += [score] * int(weights[a] * weights[b])
    return np.array(genuine), np.array(impostor)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fmr", [0.02, 0.1, 0.6])
def test_resampled_rates_are_those_of_the_written_out_resample(seed, fmr):
    first, index = people(seed)
    second = first + np.random.default_rng(seed).normal(0, 0.3, first.shape).astype(np.float32)
    first[2], second[5] = np.nan, np.nan
    compared = pairs.compare_all(first, second, index, similarity)
    weights = np.vstack([np.ones(compared.subjects), *bootstrap.draws(compared.subjects, replicates=8, seed=seed)])
    ours = pairs.at_fmr(compared, fmr, weights, check=False)
    fixed = pairs.at_thresholds(compared, np.full(len(weights), -2.0), weights)
    for r, w in enumerate(weights):
        genuine, impostor = brute_force(first, second, index, w)
        expected = verification.tmr_at_fmr(genuine, impostor, fmr, min_errors=0)
        assert (ours.tmr[r], ours.fmr[r]) == pytest.approx((expected.tmr, expected.fmr))
        assert ours.threshold[r] == pytest.approx(expected.threshold)
        given = verification.rates_at(genuine, impostor, -2.0)
        assert (fixed.tmr[r], fixed.fmr[r]) == pytest.approx((given.tmr, given.fmr))


def test_one_weighting_of_ones_is_the_plain_set():
    first, index = people()
    compared = pairs.compare_all(first, first, index, similarity)
    genuine, impostor = brute_force(first, first, index, np.ones(compared.subjects))
    assert sorted(compared.genuine.tolist()) == pytest.approx(sorted(genuine.tolist()))
    assert compared.impostor.tolist() == pytest.approx(sorted(impostor.tolist(), reverse=True))
    point = pairs.at_fmr(compared, 0.1, compared.ones(), check=False)
    assert point.tmr[0] == verification.tmr_at_fmr(genuine, impostor, 0.1, min_errors=0).tmr


def test_a_long_prefix_is_searched_when_the_top_of_the_list_weighs_nothing():
    # 60 people: the highest 1,700 impostor scores all involve person 0, whom the weighting leaves out.
    rng = np.random.default_rng(1)
    index = np.repeat(np.arange(60), 30)
    values = rng.random((len(index), 1)).astype(np.float32)
    values[index == 0] += 10
    compared = pairs.compare_all(values, values, index, lambda a, b: a + b.T)
    weights = np.ones((1, 60))
    weights[0, 0] = 0
    point = pairs.at_fmr(compared, 0.01, weights)
    assert 0.0099 < point.fmr[0] <= 0.01
    assert point.threshold[0] < 10


def test_comparisons_are_refused_where_they_cannot_be_made():
    first, index = people()
    with pytest.raises(DataError, match="no genuine"):
        pairs.compare_all(first[:3], first[:3], np.arange(3), similarity)
    with pytest.raises(DataError, match="no impostor"):
        pairs.compare_all(first[:3], first[:3], np.zeros(3, int), similarity)
    with pytest.raises(ContractError, match="descriptors"):
        pairs.compare_all(first, first[:-1], index, similarity)
    compared = pairs.compare_all(first, first, index, similarity)
    with pytest.raises(DataError, match="too few"):
        pairs.at_fmr(compared, 0.001, compared.ones())


def test_a_resample_of_one_person_alone_has_no_rate():
    first, index = people()
    compared = pairs.compare_all(first, first, index, similarity)
    weights = np.zeros((1, compared.subjects))
    weights[0, 0] = compared.subjects
    point = pairs.at_fmr(compared, 0.1, weights, check=False)
    assert np.isnan(point.tmr[0]) and np.isnan(point.fmr[0])


def test_the_interval_is_that_of_resampling_people_one_by_one():
    rng = np.random.default_rng(5)
    subjects = np.repeat([f"p{i}" for i in range(40)], 5)
    right = np.repeat(rng.random(40) < 0.7, 5)
    predicted, truth = right.astype(int), np.ones(200, int)
    ours = bootstrap.estimate(lambda w: attributes.accuracy(predicted, truth, w), subjects, replicates=4000)
    means = right[::5][rng.integers(0, 40, (4000, 40))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    assert ours.value == right.mean()
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.03)
    by_photo = bootstrap.estimate(lambda w: attributes.accuracy(predicted, truth, w), np.arange(200).astype(str))
    # Photos of one person say the same here: taking them for independent would halve the interval.
    assert by_photo.high - by_photo.low < 0.6 * (ours.high - ours.low)


def test_about_ninety_five_in_a_hundred_intervals_hold_the_truth():
    rng = np.random.default_rng(7)
    held = 0
    for seed in range(200):
        values = rng.normal(size=60)
        interval = bootstrap.estimate(
            lambda w, values=values: (w @ values) / w.sum(axis=1), np.arange(60).astype(str), replicates=300, seed=seed
        )
        held += interval.low <= 0 <= interval.high
    assert 176 <= held <= 199


def test_a_paired_difference_of_a_metric_with_itself_is_exactly_nothing():
    rng = np.random.default_rng(2)
    scores, positive = rng.normal(size=80), rng.random(80) < 0.5
    difference = bootstrap.estimate(
        lambda w: attributes.binary_eer(scores, positive, w) - attributes.binary_eer(scores + 1, positive, w),
        np.arange(80).astype(str),
    )
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_the_same_seed_gives_the_same_interval_however_the_work_is_cut(monkeypatch):
    rng = np.random.default_rng(2)
    scores, positive = rng.normal(size=50), rng.random(50) < 0.5

    def interval(seed):
        return bootstrap.estimate(
            lambda w: attributes.binary_eer(scores, positive, w), np.arange(50).astype(str), replicates=200, seed=seed
        )

    whole = interval(3)
    monkeypatch.setattr(bootstrap, "_BLOCK", 1000)
    assert interval(3) == whole != interval(4)


def test_every_row_of_weights_draws_as_many_subjects_as_there_are():
    blocks = np.vstack(list(bootstrap.draws(30, replicates=70, width=2**17)))
    assert blocks.shape == (70, 30) and (blocks.sum(axis=1) == 30).all()


def test_too_few_subjects_are_refused():
    with pytest.raises(DataError, match="at least 2"):
        bootstrap.estimate(lambda w: w.sum(axis=1), ["a", "a"])
    scores, positive = np.arange(40.0), np.arange(40) == 0
    with pytest.raises(DataError, match="too few subjects"):
        bootstrap.estimate(lambda w: attributes.binary_eer(scores, positive, w), np.arange(40).astype(str))
    with pytest.raises(ContractError, match="replicates"):
        bootstrap.estimate(lambda w: w.sum(axis=1), ["a", "b"], replicates=0)


def test_several_figures_at_once_are_those_one_by_one():
    rng = np.random.default_rng(2)
    values, names = rng.normal(size=60), np.repeat([f"p{i}" for i in range(20)], 3)

    def mean(w):
        return (w * values).sum(axis=1) / w.sum(axis=1)

    together = bootstrap.estimates(lambda w: {"mean": mean(w), "square": mean(w) ** 2}, names, replicates=100, seed=4)
    assert together["mean"] == bootstrap.estimate(mean, names, replicates=100, seed=4)
    assert together["square"] == bootstrap.estimate(lambda w: mean(w) ** 2, names, replicates=100, seed=4)


@pytest.mark.parametrize("seed", range(4))
def test_resampled_equal_error_rates_are_those_of_the_written_out_resample(seed):
    first, index = people(seed)
    second = first + np.random.default_rng(seed).normal(0, 0.3, first.shape).astype(np.float32)
    first[2], second[5] = np.nan, np.nan
    compared = pairs.compare_all(first, second, index, similarity)
    weights = np.vstack([np.ones(compared.subjects), *bootstrap.draws(compared.subjects, replicates=8, seed=seed)])
    ours = pairs.equal_errors(compared, weights)
    for rate, w in zip(ours, weights, strict=True):
        assert rate == pytest.approx(verification.eer(*brute_force(first, second, index, w)), abs=1e-12)
    assert compared.stream.eer() == pytest.approx(ours[0], abs=1e-12)


def test_a_matcher_that_fails_on_every_photo_always_errs():
    first, index = people()
    compared = pairs.compare_all(first * np.nan, first, index, similarity)
    assert pairs.equal_errors(compared, compared.ones())[0] == 1
    assert np.isnan(pairs.equal_errors(compared, 0 * compared.ones())[0])


def test_what_lies_below_the_kept_comparisons_is_refused_and_all_above_is_exact(monkeypatch):
    first, index = people(subjects=30)
    whole = pairs.compare_all(first, first, index, similarity)
    monkeypatch.setattr(pairs, "KEPT", len(whole.impostor) // 4)
    monkeypatch.setattr(pairs, "_ROWS", 100)
    top = pairs.compare_all(first, first, index, similarity)
    assert whole.whole and not top.whole and top.impostors == whole.impostors
    assert top.impostor.tolist() == whole.impostor[: len(top.impostor)].tolist()
    weights = np.vstack([np.ones(whole.subjects), *bootstrap.draws(whole.subjects, replicates=20)])
    for fmr in (0.01, 0.1):
        ours, all_of_it = (pairs.at_fmr(p, fmr, weights, check=False) for p in (top, whole))
        assert ours.threshold.tolist() == all_of_it.threshold.tolist()
        assert ours.tmr.tolist() == all_of_it.tmr.tolist() and ours.fmr == pytest.approx(all_of_it.fmr)
    with pytest.raises(DataError, match="kept"):
        pairs.at_fmr(top, 0.5, top.ones(), check=False)
    with pytest.raises(DataError, match="kept"):
        pairs.at_thresholds(top, np.array([-100.0]), top.ones())
    assert top.stream.auc() == whole.stream.auc() and top.stream.eer() == whole.stream.eer()
