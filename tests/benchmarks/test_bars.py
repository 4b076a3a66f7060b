"""Every bar of the claim can be held and can be missed, and names the worst."""

import numpy as np
import pytest
from before_after import PAIRINGS

from facepriv.metrics.bootstrap import Estimate


@pytest.fixture
def scripts(all_outputs, monkeypatch):
    import bars  # beside the script, whose folder the fixture put on the path

    return all_outputs, bars


def figure(value, width=0.01):
    return Estimate(value, value - width, value + width)


def points(own, fixed, fmr):
    return {
        "own": {"tmr_change": figure(own), "fmr": figure(0.001)},
        "fixed": {"tmr_change": figure(fixed), "fmr": figure(fmr)},
    }


def good(request):
    """Figures of an output that does all that it should, and nothing else."""
    hidden = request.hidden
    race = {"eer_after": figure(0.4 if "race" in hidden else 0.1), "eer_rise": figure(0.3 if "race" in hidden else 0.0)}
    age = {"error_change": figure(12.0 if "age" in hidden else 0.2)}
    if "age" in request.targets:
        age["shift"] = figure(16.0)
    changed = "gender" in hidden
    gender = {
        "eer_after": figure(0.7 if changed else 0.03),
        "eer_rise": figure(0.67 if changed else 0.01),
        "flip_aware_after": figure(0.35 if request.policy == "random" else 0.03),
    }
    return {
        "gender": {"judge": gender},
        "race": {"racer": {"pair": race}},
        "age": {"ager": age},
        "matching": {"dlib": {pairing: points(-0.01, -0.005, 0.0015) for pairing in PAIRINGS}},
    }


def findings(scripts, **changes):
    """Return good findings; `changes` maps "output" -> function that spoils its figures."""
    all_outputs, bars = scripts
    outputs = {name: good(request) for name, request in all_outputs.OUTPUTS.items()}
    for name, spoil in changes.items():
        spoil(outputs[name])
    strength = {
        "judge": {"attribute": "gender", "counts": True, "note": ""},
        "racer": {"attribute": "race", "counts": True, "note": ""},
        "ager": {"attribute": "age", "counts": True, "note": ""},
    }
    return bars.Findings("some set", all_outputs.OUTPUTS, {}, strength, outputs, ("dlib",))


def missed(rows):
    return [(row.part, row.output, row.verdict) for row in rows if row.misses]


def test_a_good_method_holds_every_bar_and_each_part_has_one(scripts):
    rows = scripts[1].bars(findings(scripts))
    assert not missed(rows)
    assert {row.part for row in rows if row.misses == 0} == set("abcdef")
    assert [row.part for row in rows] == sorted(row.part for row in rows)
    # Age is aimed at three groups, alone, and with others: the latter for information.
    assert [row.output for row in rows if row.part == "d" and row.bar] == ["age=young", "age=middle", "age=old"]
    others = [row for row in rows if "with others hidden too" in row.what]
    assert len(others) == 5 and all(row.verdict == "" and row.bar == "" for row in others)


def put(kind, judge, value, *path):
    def spoil(figures):
        place = figures[kind][judge]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    ("output", "spoil", "part", "verdict"),
    [
        ("gender", put("gender", "judge", figure(0.55), "eer_after"), "a", "misses by 5.00 points"),
        ("random", put("gender", "judge", figure(0.21), "flip_aware_after"), "b", "misses by 9.00 points"),
        ("race", put("race", "racer", figure(0.28), "pair", "eer_after"), "c", "misses by 2.00 points"),
        ("age=young", put("age", "ager", figure(9.5), "shift"), "d", "misses by 0.50 years"),
        ("age=middle", put("age", "ager", figure(-1.0), "shift"), "d", "misses by 7.00 years"),
        ("age=old", put("age", "ager", figure(14.0), "shift"), "d", "misses by 1.00 years"),
        ("race+age=old", put("gender", "judge", figure(0.05), "eer_rise"), "e", "misses by 2.00 points"),
        ("race", put("gender", "judge", figure(-0.05), "eer_rise"), "e", "misses by 2.00 points"),
        ("gender", put("race", "racer", figure(0.06, 0.02), "pair", "eer_rise"), "e", "misses by 1.00 points"),
        ("gender+race", put("age", "ager", figure(2.0), "error_change"), "e", "misses by 0.50 years"),
        ("own", put("age", "ager", figure(-2.0), "error_change"), "e", "misses by 0.50 years"),
    ],
)
def test_each_bar_can_be_missed(scripts, output, spoil, part, verdict):
    assert missed(scripts[1].bars(findings(scripts, **{output: spoil}))) == [(part, output, verdict)]


def test_a_kept_race_holds_where_its_interval_reaches_into_the_bar(scripts):
    spoil = put("race", "racer", figure(0.06, 0.04), "pair", "eer_rise")
    assert not missed(scripts[1].bars(findings(scripts, gender=spoil)))


@pytest.mark.parametrize(
    ("values", "verdicts"),
    [
        ((-0.035, 0, 0.001), ["misses by 1.50 points"]),
        ((0, -0.025, 0.001), ["misses by 0.50 points"]),
        ((0, 0, 0.0029), ["misses by 0.09 points"]),
    ],
)
def test_the_worst_output_and_pairing_decide_of_the_matcher(scripts, values, verdicts):
    spoil = put("matching", "dlib", points(*values), "(X1, X2')")
    found = missed(scripts[1].bars(findings(scripts, **{"gender+age=old": spoil})))
    assert [row[2] for row in found] == verdicts and found[0][:2] == ("f", "gender+age=old, (X1, X2')")


def test_originals_among_themselves_are_no_pairing_of_the_method(scripts):
    spoil = put("matching", "dlib", points(-1, -1, 1), "(X1, X2)")
    assert not missed(scripts[1].bars(findings(scripts, gender=spoil)))


def test_a_weak_judge_and_a_set_that_is_too_small_hold_and_miss_nothing(scripts):
    found = findings(scripts)
    found.strength["judge"].update(counts=False, note="errs too much on the originals")
    for figures in found.outputs.values():
        figures["matching"]["dlib"] = {"refused": "47 comparisons are too few"}
        figures["race"]["racer"] = {"refused": "no positive sample"}
    rows = scripts[1].bars(found)
    assert {row.part for row in rows if row.misses is not None} == {"d", "e"}
    notes = [row.note for row in rows if row.note]
    assert "errs too much on the originals" in notes and "47 comparisons are too few" in notes
    assert all(row.figure is None for row in rows if row.note)


def test_with_few_outputs_only_their_bars_are_there(scripts):
    found = findings(scripts)
    for name in set(found.outputs) - {"gender"}:
        del found.outputs[name]
    rows = scripts[1].bars(found)
    assert {row.part for row in rows} == {"a", "e", "f"}
    assert not missed(rows) and np.all([row.output.startswith("gender") for row in rows])
