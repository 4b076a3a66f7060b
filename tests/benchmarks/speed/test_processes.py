"""Two processes with half of the faces each learn what one with all of them learns."""

import numpy as np
import pytest
from speed import processes

from facepriv.errors import DataError


def test_two_processes_learn_what_one_does(measured, monkeypatch):
    monkeypatch.setattr(processes, "WARM_UP", 1)
    found, output = measured("processes", "--tiny", "--exact", "--batch", "4", "--steps", "3")
    ratios = found["ratios"]
    assert ratios["losses_apart"]["holds"] and ratios["weights_apart"]["median"] < 1e-5 and "FALLS" not in output
    # All players took part.
    assert {"source", "attribute", "judges", "identity", "kept", "cycle", "critic", "judges_real", "copies"} <= set(
        found["parts"]
    )


def found(curve, weight=1.0):
    return {"parts": {"loss": curve}, "weights": {"g": weight}}


def test_curves_further_apart_than_seeds_fall_short():
    one, other = found([1.0, 2.0, np.nan]), found([1.5, 2.5, np.nan])
    parts, ratios = processes.compared(found([1.1, 2.1, np.nan]), [one, other])
    assert parts["loss"]["apart"] == pytest.approx(0.1) and parts["loss"]["between_seeds"] == pytest.approx(0.5)
    assert ratios["apart"].median == pytest.approx(0.2) and ratios["apart"].holds
    assert not processes.compared(found([2.0, 3.0, np.nan]), [one, other])[1]["apart"].holds
    assert processes.compared(one, [one, one])[1]["apart"].holds


def test_an_exact_run_may_differ_by_rounding_alone():
    def holds(several):
        return [ratio.holds for ratio in processes.compared(several, [found([1.0, 2.0])])[1].values()]

    assert holds(found([1.0001, 2.0])) == [True, True]
    assert holds(found([1.01, 2.0])) == [False, True]
    assert holds(found([1.0, 2.0], weight=1.1)) == [True, False]


def test_the_error_of_a_failed_process_is_raised():
    with pytest.raises(DataError, match=r"a process of processes failed: .*no_such"):
        processes.launched(1, {"tiny": True, "exact": True, "no_such": 1})


@pytest.mark.parametrize(
    ("given", "said"), [(["--batch", "5"], "cannot be shared by 2 processes"), (["--rounds", "1"], "take 2 or more")]
)
def test_calls_that_make_no_sense_are_refused(refused, given, said):
    assert said in refused("processes", *given)
