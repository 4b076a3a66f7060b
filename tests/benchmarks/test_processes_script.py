"""Two processes with half of the faces each learn what one with all of them learns."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from facepriv.errors import DataError


def test_two_processes_learn_what_one_does(processes, tmp_path):
    path = tmp_path / "result.json"
    call = ["--tiny", "--exact", "--batch", "4", "--steps", "3", "--warm-up", "1", "--json", str(path)]
    done = CliRunner().invoke(processes.main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    result = json.loads(path.read_text())
    assert result["holds"] and "holds" in done.output
    # All players took part, and each ended with the same weights.
    assert {"source", "attribute", "judges", "identity", "kept", "cycle", "critic", "judges_real", "copies"} <= set(
        result["parts"]
    )
    assert {"g", "average", "d", "probe", "judge0", "copy0"} <= set(result["weights_apart"])
    assert max(result["weights_apart"].values()) < 1e-5


def found(curve, weight=1.0):
    return {"parts": {"loss": curve}, "weights": {"g": weight}}


def test_curves_further_apart_than_seeds_fall_short(processes):
    one, other = found([1.0, 2.0, np.nan]), found([1.5, 2.5, np.nan])
    near = processes.compared(found([1.1, 2.1, np.nan]), [one, other], 2)
    assert near["holds"] and near["parts"]["loss"]["difference"] == pytest.approx(0.1)
    assert near["parts"]["loss"]["between_seeds"] == pytest.approx(0.5)
    assert not processes.compared(found([2.0, 3.0, np.nan]), [one, other], 2)["holds"]


def test_an_exact_run_may_differ_by_rounding_alone(processes):
    one = found([1.0, 2.0])
    assert processes.compared(found([1.0001, 2.0]), [one], 2)["holds"]
    assert not processes.compared(found([1.01, 2.0]), [one], 2)["holds"]
    assert not processes.compared(found([1.0, 2.0], weight=1.1), [one], 2)["holds"]


def test_what_a_failed_process_says_is_told(processes):
    with pytest.raises(DataError, match=r"a process of 1 failed: .*no-such-option"):
        processes.launched(1, ["--no-such-option"])


def test_a_batch_that_cannot_be_shared_is_refused(processes):
    refused = CliRunner().invoke(processes.main, ["--batch", "5"])
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1
