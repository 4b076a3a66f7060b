"""Rows that need no labels are shares and scores that a loop over the photos finds, too."""

from itertools import combinations

import numpy as np
import pytest

from facepriv.contracts import FaceMatcher
from facepriv.evaluation.attributes import Resampling
from facepriv.evaluation.changes import MatchChanges, estimate_rows
from facepriv.evaluation.matching import MatcherRows
from facepriv.metrics.matching import PROTECTED, Matching

NAN = np.nan


class Angle(FaceMatcher):
    trained_on = "nothing"
    threshold = 0.8

    def embed(self, images):
        """Return nothing useful: the descriptors are made up."""
        return images


class Unsure(Angle):
    threshold = None


def resampling(people):
    return Resampling(np.array(people), {"replicates": 50, "seed": 0})


def faces(seed, people, noise):
    centres = np.random.default_rng(1).normal(size=(max(people) + 1, 3))[people]
    return (centres + np.random.default_rng(seed).normal(0, noise, centres.shape)).astype(np.float32)


def only(rows, figure, pairing=""):
    (row,) = [row for row in rows if (row.figure, row.pairing) == (figure, pairing)]
    return row


def test_a_class_changes_where_another_is_likeliest_on_faces_found_in_both():
    before = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [NAN, NAN], [0.7, 0.3], [0.8, 0.2]])
    after = np.array([[0.4, 0.6], [0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [NAN, NAN], [0.3, 0.7]])
    counted = np.array([True] * 5 + [False])
    (row,) = estimate_rows("g", "gender", before, after, counted, resampling([*"abcdef"]))
    # Faces 0 and 2 of 0, 1 and 2.
    assert row.after.value == pytest.approx(200 / 3) and row.after.low < row.after.value < row.after.high
    assert (row.figure, row.evaluator, row.attribute, row.unit) == ("gender_changed", "g", "gender", "percent")


def test_an_age_moves_in_years_and_between_groups():
    before, after = np.array([20.0, 29.0, 50.0, NAN, 60.0]), np.array([25.0, 33.0, 44.0, 30.0, 60.0])
    changed, moved = estimate_rows("a", "age", before, after, np.ones(5, bool), resampling([*"abcde"]))
    assert (changed.figure, moved.figure, moved.unit) == ("age_changed", "age_moved", "years")
    assert changed.after.value == pytest.approx(50) and moved.after.value == pytest.approx((5 + 4 + 6 + 0) / 4)
    groups = np.eye(3)[[0, 1, 2, 2]], np.eye(3)[[0, 2, 2, 2]]
    (row,) = estimate_rows("a", "age", *groups, np.ones(4, bool), resampling([*"abcd"]))
    assert (row.figure, row.after.value) == ("age_changed", 25)


def test_where_no_face_is_left_the_rows_say_so():
    lost = np.full((3, 2), NAN)
    (row,) = estimate_rows("g", "gender", np.eye(3, 2), lost, np.ones(3, bool), resampling([*"abc"]))
    assert row.after is None and row.note == "no face was found in both photos"
    descriptors = faces(0, [*range(8)], 0.1)
    rows = MatchChanges("m", Angle(), descriptors, resampling([*"abcdefgh"])).rows(np.full_like(descriptors, NAN))
    assert [only(rows, name).note for name in ("own_match", "own_score")] == [
        "the matcher processed no pair of faces"
    ] * 2
    # Nobody matches a face that is lost.
    assert only(rows, "other_match", PROTECTED).after.value == 0


@pytest.mark.parametrize("named", [True, False])
def test_match_rows_are_those_of_a_loop_over_all_pairs(named):
    index = [n // 2 for n in range(40)]
    before, after = faces(2, index, 0.2), faces(3, index, 0.5)
    before[3], after[8] = NAN, NAN
    people = [f"p{n}" for n in index] if named else [f"file/{n}" for n in range(40)]
    how, matcher, model = resampling(people), None, Angle()
    if named:
        matching = Matching(before, people, model.score_all, fmrs=(0.1,), replicates=50)
        matcher = MatcherRows("m", matching, 0.1)
    rows = MatchChanges("m", model, before, how, matcher).rows(after)

    def scores(first, second, pairs):
        ones, others = np.array(pairs).T
        return model.score(first[ones], second[others])

    own = scores(before, after, [(n, n) for n in range(40)])
    # The face found in the original alone is no match; the one that is not found there does not count.
    assert only(rows, "own_match").after.value == pytest.approx(100 * (own >= 0.8).sum() / 39)
    assert only(rows, "own_score").after.value == pytest.approx(np.nanmean(own), abs=1e-6)
    other = [(i, j) for i, j in combinations(range(40), 2) if people[i] != people[j]]
    originals = scores(before, before, other)
    for pairing, first in ((PROTECTED, after), ("(X1, X2')", before)):
        expected = scores(first, after, other)
        match, score = (only(rows, name, pairing) for name in ("other_match", "other_score"))
        assert match.before.value == pytest.approx(100 * (originals >= 0.8).mean())
        assert match.after.value == pytest.approx(100 * (expected >= 0.8).mean())
        assert match.change.low <= match.change.value <= match.change.high
        assert score.after.value == pytest.approx(np.nanmean(expected), abs=1e-6)
        assert score.change.value == pytest.approx(score.after.value - score.before.value)


def test_a_matcher_without_a_threshold_has_scores_alone():
    descriptors = faces(4, list(range(20)), 0.2)
    rows = MatchChanges("m", Unsure(), descriptors, resampling([str(n) for n in range(20)])).rows(descriptors)
    for row in (only(rows, "own_match"), only(rows, "other_match", PROTECTED)):
        assert row.after is None and row.note.startswith("the matcher states no published threshold")
    assert only(rows, "own_score").after.value == pytest.approx(1) and only(rows, "other_score", PROTECTED).after
