"""The figures of a method, on scores whose answer is known."""

import numpy as np
import pytest
from before_after import (
    PAIRINGS,
    PROTECTED,
    age_figures,
    binary_figures,
    counts,
    gender_figures,
    matcher_counts,
    matching_figures,
    race_figures,
)

from facepriv.errors import DataError
from facepriv.metrics import verification
from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.bootstrap import Estimate
from facepriv.metrics.matching import Matching


@pytest.fixture
def people():
    """240 photos of 80 people, a third of them women, and a gender score that is right in most."""
    rng = np.random.default_rng(0)
    subjects = np.repeat([f"person {i}" for i in range(80)], 3)
    female = np.repeat(np.arange(80) % 3 == 0, 3)
    scores = np.clip(0.5 + np.where(female, 0.35, -0.35) + rng.normal(0, 0.2, 240), 0, 1)
    return scores, female, subjects


def figures(before, after, people, **options):
    _, female, subjects = people
    return gender_figures(before, after, female, subjects, replicates=200, **options)


def test_an_unchanged_photo_moves_nothing(people):
    scores, *_ = people
    found = figures(scores, scores, people)
    for group in ("all", "men", "women"):
        rise = found[group]["eer_rise"]
        assert (rise.value, rise.low, rise.high) == (0, 0, 0)
    assert found["all"]["eer_before"] == found["all"]["eer_after"] == found["men"]["eer_before"]
    assert found["men"]["photos"] + found["women"]["photos"] == found["all"]["photos"] == 240


def test_a_flipped_score_is_seen_through_by_whoever_knows(people):
    scores, female, _ = people
    found = figures(scores, 1 - scores, people)
    before = binary_eer(scores, female)[0]
    assert found["all"]["eer_after"].value == pytest.approx(1 - before)
    # min(EER, 1 - EER), as every face was found.
    assert found["all"]["flip_aware_after"].value == pytest.approx(before)
    assert found["all"]["accuracy_after"].value == pytest.approx(1 - found["all"]["accuracy_before"].value, abs=0.01)


def test_one_gender_alone_is_measured_against_the_originals_of_the_other(people):
    scores, female, _ = people
    only_men_change = np.where(female, scores, 1 - scores)
    found = figures(scores, only_men_change, people)
    assert found["women"]["wrong_rise"].value == found["women"]["eer_rise"].value == 0
    assert found["men"]["wrong_after"].value > 0.8
    assert found["men"]["wrong_before"].value < 0.1
    assert found["men"]["eer_after"].value == pytest.approx(binary_eer(only_men_change, female)[0])


def test_lost_faces_are_errors_and_are_told_apart(people):
    scores, *_ = people
    after = scores.copy()
    after[::4] = np.nan
    found = figures(scores, after, people)
    assert found["not_found"] == {"before": 0, "after": 60}
    assert found["all"]["eer_after"].value > found["all"]["eer_before"].value + 0.2
    assert found["all"]["eer_after_seen"].value == pytest.approx(found["all"]["eer_before"].value, abs=0.03)
    assert found["all"]["accuracy_after"].value <= 0.75


def descriptors(subjects, seed=0, spread=0.4):
    rng = np.random.default_rng(seed)
    _, index = np.unique(subjects, return_inverse=True)
    return (rng.normal(size=(80, 16))[index] + rng.normal(0, spread, (len(subjects), 16))).astype(np.float32)


def closeness(a, b):
    return -np.linalg.norm(a[:, None] - b[None], axis=2)


def test_the_four_pairings_hold_the_rates_of_their_comparisons(people):
    *_, subjects = people
    before = descriptors(subjects)
    after = before + np.random.default_rng(1).normal(0, 0.5, before.shape).astype(np.float32)
    after[7] = np.nan
    found = matching_figures(before, after, subjects, closeness, fmr=0.01, replicates=50)
    threshold = None
    for name, (first, second) in PAIRINGS.items():
        one, other = after if first else before, after if second else before
        i, j = np.triu_indices(240, 1)
        scores, same = closeness(one, other)[i, j], subjects[i] == subjects[j]
        own = verification.tmr_at_fmr(scores[same], scores[~same], 0.01)
        threshold = own.threshold if threshold is None else threshold
        fixed = verification.rates_at(scores[same], scores[~same], threshold)
        got = found[name]
        assert (got["genuine"], got["impostor"]) == (240, 28_440)
        assert (got["own"]["tmr"].value, got["own"]["fmr"].value) == pytest.approx((own.tmr, own.fmr))
        assert (got["fixed"]["tmr"].value, got["fixed"]["fmr"].value) == pytest.approx((fixed.tmr, fixed.fmr))
        for figure in got["own"].values():
            assert figure.low <= figure.value <= figure.high
    assert found[PROTECTED]["own"]["tmr"].value < found["(X1, X2)"]["own"]["tmr"].value


def test_faces_that_become_alike_keep_the_rate_at_their_own_fmr_but_not_at_the_old_threshold(people):
    *_, subjects = people
    before = descriptors(subjects)
    found = matching_figures(before, before / 4, subjects, closeness, fmr=0.01, replicates=20)[PROTECTED]
    assert found["own"]["tmr_kept"].value == 1
    assert found["fixed"]["tmr"].value == 1
    assert found["fixed"]["fmr"].value > 0.5


def test_a_rate_that_cannot_be_told_leaves_the_others(people, monkeypatch):
    *_, subjects = people
    before = descriptors(subjects)
    monkeypatch.setattr("facepriv.metrics.pairs.KEPT", 1500)
    matching = Matching(before, subjects, closeness, fmrs=(0.002, 0.02), replicates=20)
    rates = matching.measure(matching.compare(before * 0.9)[PROTECTED])
    assert list(rates.refused) == [0.02] and "that are kept" in rates.refused[0.02]
    assert list(rates.own) == list(rates.fixed) == [0.002]
    with pytest.raises(DataError, match="that are kept"):
        rates.check(0.02)


def test_too_few_photos_for_the_fmr_are_refused(people):
    *_, subjects = people
    with pytest.raises(DataError, match="too few"):
        matching_figures(descriptors(subjects), descriptors(subjects), subjects, closeness, fmr=0.001)


def test_a_method_that_loses_every_face_has_no_rate_of_seen_faces(people):
    scores, *_ = people
    found = figures(scores, np.full(240, np.nan), people)
    assert found["all"]["eer_after_seen"] is None
    assert found["all"]["eer_after"].value == 1 and found["all"]["accuracy_after"].value == 0


def test_binary_figures_are_those_of_gender_figures(people):
    scores, female, subjects = people
    after = np.where(np.arange(240) % 3 == 0, 1 - scores, scores)
    after[5] = np.nan
    found = binary_figures(scores, after, female, subjects, replicates=200)
    whole = figures(scores, after, people)
    for name in ("photos", "eer_before", "eer_after", "eer_rise", "flip_aware_after"):
        assert found[name] == whole["all"][name]
    assert found["not_found"] == whole["not_found"] == {"before": 0, "after": 1}
    assert found["flip_aware_before"] == found["eer_before"]


@pytest.fixture
def races():
    """300 photos of as many people, some without a label, and probabilities that are right in most."""
    rng = np.random.default_rng(5)
    race = rng.choice([-1, 0, 1, 2, 3], 300, p=[0.1, 0.4, 0.2, 0.2, 0.1])
    said = rng.random((300, 4)) + 1.5 * np.eye(5)[race][:, :4]
    return said / said.sum(axis=1, keepdims=True), race, np.array([f"photo {i}" for i in range(300)])


def test_black_and_white_are_told_apart_among_their_own_faces_only(races):
    said, race, photos = races
    swapped = said[:, [1, 0, 2, 3]]
    found = race_figures(said, swapped, race, photos, replicates=100)
    pair = found["pair"]
    assert pair["photos"] == ((race == 0) | (race == 1)).sum()
    both = (race == 0) | (race == 1)
    share = said[both, 1] / (said[both, 0] + said[both, 1])
    assert pair["eer_before"].value == pytest.approx(binary_eer(share, race[both] == 1)[0])
    assert pair["eer_after"].value == pytest.approx(1 - pair["eer_before"].value)
    # Who turns the answer round sees as well as before.
    assert pair["flip_aware_after"].value == pytest.approx(pair["eer_before"].value)


def test_each_race_is_told_from_all_others_and_the_untouched_ones_stay(races):
    said, race, photos = races
    after = said[:, [1, 0, 2, 3]]
    found = race_figures(said, after, race, photos, replicates=100)
    assert list(found["rest"]) == ["white", "black", "asian", "indian"]
    assert found["rest"]["asian"]["eer_rise"] == Estimate(0, 0, 0)
    known = race >= 0
    expected = binary_eer(after[known, 1], race[known] == 1)[0]
    assert found["rest"]["black"]["eer_after"].value == pytest.approx(expected)
    recalls = [(after[race == c].argmax(axis=1) == c).mean() for c in range(4)]
    assert found["balanced_after"].value == pytest.approx(np.mean(recalls))
    assert found["balanced_rise"].value == pytest.approx(np.mean(recalls) - found["balanced_before"].value)


def test_lost_faces_are_errors_of_race_too(races):
    said, race, photos = races
    after = said.copy()
    after[::2] = np.nan
    found = race_figures(said, after, race, photos, replicates=50)
    assert found["balanced_after"].value < found["balanced_before"].value - 0.3
    assert found["pair"]["eer_after"].value > found["pair"]["eer_before"].value + 0.2
    assert found["pair"]["not_found"]["after"] == np.isnan(after[(race == 0) | (race == 1), 0]).sum()


def test_age_shifts_are_signed_towards_the_group_and_of_faces_outside_it():
    years = np.tile([20.0, 25, 40, 50, 60, np.nan], 6)
    before, photos = years + 1, np.array([f"photo {i}" for i in range(36)])
    after = before + np.tile([5, 5, 100, -5, -10, 7], 6)
    middle = age_figures(before, after, years, photos, target="middle", replicates=20)
    # Younger faces became older and older ones younger: all towards the middle, whose own face does not count.
    assert middle["shift"].value == pytest.approx((5 + 5 + 5 + 10) / 4) and middle["outside"] == 24
    assert middle["photos"] == 30
    old = age_figures(before, after, years, photos, target="old", replicates=20)
    assert old["shift"].value == pytest.approx((5 + 5 + 100) / 3)
    young = age_figures(before, after, years, photos, target="young", replicates=20)
    assert young["shift"].value == pytest.approx((-100 + 5 + 10) / 3)
    assert "shift" not in age_figures(before, after, years, photos, replicates=20)


def test_age_errors_are_of_the_faces_found_both_times_and_a_lost_face_has_not_moved():
    years = np.tile([20.0, 30, 40, 50], 9)
    before, after = np.tile([22.0, 34, np.nan, 50], 9), np.tile([30.0, np.nan, 40, 44], 9)
    photos = np.array([f"photo {i}" for i in range(36)])
    found = age_figures(before, after, years, photos, target="old", replicates=20)
    assert found["error_before"].value == 1 and found["error_after"].value == 8
    assert found["error_change"].value == 7
    assert found["not_found"] == {"before": 9, "after": 9}
    assert found["shift"].value == pytest.approx((8 + 0) / 2)


def test_an_estimator_counts_where_it_is_good_on_originals():
    assert counts("gender", Estimate(0.08, 0, 1)) and not counts("gender", Estimate(0.081, 0, 1))
    assert counts("race", Estimate(0.15, 0, 1)) and not counts("race", Estimate(0.16, 0, 1))
    assert counts("age", Estimate(8.0, 0, 9)) and not counts("age", Estimate(8.1, 0, 9))
    assert matcher_counts(Estimate(0.9, 0.8, 1)) and not matcher_counts(Estimate(0.9, 0.79, 1))
