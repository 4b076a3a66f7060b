"""Conditions are read by a grammar and judged by the worst row that they speak of."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepriv.errors import UsageError
from facepriv.evaluation.conditions import judge, read_condition
from facepriv.evaluation.rows import UNSEEN_MEAN, Row
from facepriv.metrics.bootstrap import Estimate


def at(value):
    return Estimate(value, value - 1, value + 1)


def row(figure, before, after, **fields):
    return Row(figure, before=at(before), after=at(after), change=at(after - before), **fields)


ROWS = [
    row("gender_eer", 2, 40, evaluator="good"),
    row("gender_eer", 3, 55, evaluator="better"),
    row("gender_eer", 30, 90, evaluator="weak", counts=False, note="too weak"),
    row("race_pair_eer", 30, 90, evaluator="weak", counts=False, note="too weak"),
    row("gender_eer", 2.5, 47.5, evaluator=UNSEEN_MEAN),
    row("gender_eer", 5, 99, evaluator="good", group="race: black"),
    row("gender_wrong", 2, 30, evaluator="good", group="gender: male"),
    row("gender_wrong", 2, 60, evaluator="good", group="gender: female"),
    row("tmr", 92, 91, evaluator="dlib", pairing="(X1', X2')"),
    row("tmr", 92, 85, evaluator="dlib", pairing="(X1, X2')"),
    row("tmr@1%", 99, 98, evaluator="dlib", pairing="(X1', X2')"),
    row("tmr_fixed", 92, 90, evaluator="dlib", pairing="(X1, X2')"),
    Row("tmr_fixed", evaluator="dlib", pairing="(X1', X2')", note="refused"),
    Row("rank1", evaluator="dlib", note="refused"),
    Row("missing", unit="photos", after=Estimate(2, float("nan"), float("nan"))),
]


@pytest.mark.parametrize(
    ("text", "holds", "where"),
    [
        ("tmr_loss > 2", True, 1),
        ("tmr_loss>7", False, 0),
        ("tmr_loss >= 7", True, 1),
        ("tmr < 91.5", True, 2),
        ("tmr_before < 92", False, 0),
        ("tmr_rise < -5 %", True, 1),
        ("tmr_loss@1% >= 1", True, 1),
        ("tmr_loss@1.0% >= 1", True, 1),
        ("tmr_loss@0.1% > 2", True, 1),  # the main FMR, which figures do not name
        ("gender_eer < 50", True, 1),
        ("gender_eer > 80", False, 0),
        ("gender_eer[weak] > 80", None, 0),
        ("gender_eer[weak] > 95", None, 0),
        ("race_pair_eer > 95", None, 0),
        ("gender_eer[unseen mean] < 50", True, 1),
        ("gender_wrong < 40", True, 1),
        ("missing > 1e0", True, 1),
        ("missing > 2", False, 0),
        ("rank1 < 5", None, 0),
        ("tmr_fixed < 80", None, 0),  # the refused one may be worse
        ("tmr_fixed < 91", True, 1),
        ("ssim < 0.5", None, 0),
        ("missing_rise > 0", None, 0),
    ],
)
def test_a_condition_holds_for_any_row_that_counts(text, holds, where):
    outcome = judge(read_condition(text), ROWS)
    assert outcome.holds is holds and len(outcome.where) == where
    assert text.strip() in outcome.text


@pytest.mark.parametrize("text", ["gender_eer[weak] > 95", "race_pair_eer > 95"])
def test_a_judge_that_does_not_count_is_no_pass_and_the_reason_is_given(text):
    assert judge(read_condition(text), ROWS).text.endswith("cannot be judged: weak does not count here (too weak)")


def test_the_worst_row_is_named_first():
    assert judge(read_condition("tmr < 99"), ROWS).where[0][1] == 85
    assert judge(read_condition("gender_eer > 1"), ROWS).where[0][1] == 55
    text = judge(read_condition("tmr_loss > 0.5"), ROWS).text
    assert "is 7 (dlib, (X1, X2')), and 1 more" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tmr_los > 2", r"no figure 'tmr_los' \(did you mean 'tmr'"),
        ("nothing > 2", "known are missing, "),
        ("tmr_loss", "expected NAME > NUMBER"),
        ("tmr_loss > two", "expected NAME > NUMBER"),
        ("tmr_loss == 2", "expected NAME > NUMBER"),
        ("tmr_loss > 2 or 1", "expected NAME > NUMBER"),
        ("tmr[] > 2", "expected NAME > NUMBER"),
        ("", "expected NAME > NUMBER"),
        ("__import__('os').system('true') > 1", "expected NAME > NUMBER"),
        ("tmr > 1e999x", "expected NAME > NUMBER"),
        (
            "tmr_loss@5% > 2",
            r"not computed; there are tmr_loss@0.1%, tmr_loss@1%, tmr_loss@0.01%; --fmr sets",
        ),
        ("tmr@1.2.3% > 2", "not computed; there are"),
        ("rank1@1% > 2", "rank1 does not depend on an FMR"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as refusal:
        read_condition(text)
    assert "\n" not in str(refusal.value)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_be_read_or_refused(text):
    with suppress(UsageError):
        assert read_condition(text).sign in (">", "<", ">=", "<=")
