"""The bars on attacks, on rows whose verdict is known."""

from types import SimpleNamespace

import pytest

from facepriv.errors import UsageError
from facepriv.evaluation.rows import ATTACK, DETECTION, PREFIX, TURNED, Row
from facepriv.metrics.bootstrap import Estimate


def at(value):
    return None if value is None else Estimate(value, value - 1, value + 1)


def done(method, *rows):
    """A comparison of one output, with rows (figure, evaluator, before, after)."""
    adversaries = [Row(f, who, "gender", before=at(b), after=at(a), note="too few") for f, who, b, a in rows]
    output = SimpleNamespace(method=method, adversaries=adversaries)
    return SimpleNamespace(of=lambda name: (output,) if name == method else ())


@pytest.mark.parametrize(("off", "holds"), [(0.9, True), (-0.9, True), (1.1, False), (-1.1, False)])
def test_where_nothing_was_done_every_attack_stays_near_the_original_and_a_detector_near_a_guess(attacks, off, holds):
    rows = attacks._of_nothing(
        done(
            "nothing",
            (ATTACK, f"{PREFIX}retrained", 3.0, 3.0 + off),
            (DETECTION, f"{PREFIX}detector", None, 50 + off),
            (ATTACK, "family-b-gender", 3.0, 40.0),
        )
    )
    assert [(row[1], row[-1]) for row in rows] == [("retrained", holds), ("detector", holds)]


@pytest.mark.parametrize(("after", "holds"), [(1.0, True), (7.9, True), (8.1, False)])
def test_a_recolouring_may_cost_a_retrained_classifier_five_points(attacks, after, holds):
    rows = (ATTACK, f"{PREFIX}restoration", 3.0, 60.0), (ATTACK, f"{PREFIX}retrained", 3.0, after)
    (bar,) = attacks._of_recolouring(done("recolour", *rows))
    assert bar[:2] == ("recolour", "retrained") and bar[-1] is holds


@pytest.mark.parametrize(("after", "holds"), [(20.0, True), (31.9, True), (32.1, False)])
def test_against_a_flip_an_attack_does_as_well_as_the_best_classifier_turned_round(attacks, after, holds):
    rows = [(ATTACK, f"{name}{TURNED}", 3.0, value) for name, value in (("a", 30.0), ("b", 45.0))]
    (bar,) = attacks._of_flip(done("flip", *rows, (ATTACK, f"{PREFIX}inversion", 3.0, after)), "flip")
    assert bar[1] == "inversion" and bar[-1] is holds


def test_an_attack_without_a_figure_is_said(attacks):
    with pytest.raises(UsageError, match=r"too few; give more photos with --limit"):
        attacks._of_recolouring(done("recolour", (ATTACK, f"{PREFIX}retrained", None, None)))
