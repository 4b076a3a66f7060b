"""Scores: both tools get the same scores, sizes double until pyeer fails, figures are those of the run."""

import pytest
from speed import scores

from facepriv.errors import DataError


def test_both_tools_say_the_same_of_the_same_scores():
    theirs, ours = (scores.do(tool, 30_000) for tool in ("pyeer", "facepriv"))
    assert theirs["auc"] == pytest.approx(ours["auc"], abs=1e-9)
    assert theirs["eer_fvc"] == pytest.approx(ours["eer_fvc"], abs=1e-9)
    assert min(theirs["seconds"], ours["seconds"]) > 0 and ours["peak_mib"] > 10
    assert 0 < ours["tmr"][0.001] < ours["tmr"][0.01] < 1


def test_sizes_double_until_pyeer_fails_and_the_last_that_it_held_is_compared(measured, monkeypatch):
    jobs = []

    def in_process(module, job, *, timeout=None, limit=None):
        assert module == "scores" and (timeout, limit is None) == (
            (600, False) if job["tool"] == "pyeer" else (None, True)
        )
        jobs.append((job["tool"], job["impostors"]))
        if job["tool"] == "pyeer" and job["impostors"] > 1_000_000:
            raise DataError("a process of scores failed: numpy._ArrayMemoryError: Unable to allocate")
        took = {"pyeer": 30.0, "facepriv": 1.5}[job["tool"]]
        return {"seconds": took, "peak_mib": 200.0, "auc": 0.9, "eer": 0.2, "eer_fvc": 0.2, **job}

    monkeypatch.setattr(scores, "in_process", in_process)
    found, output = measured("scores", "--rounds", "2", "--impostors", "5000")
    both = [("pyeer", 1_000_000), ("facepriv", 1_000_000)]
    assert jobs == [("pyeer", size * 250_000) for size in (1, 2, 4, 8)] + 2 * both + [("facepriv", 5000)]
    assert found["largest_of_pyeer"] == 1_000_000 and found["ratios"]["times_pyeer"]["median"] == pytest.approx(20)
    assert "(2,000,000: out of memory)" in output and "20 (20 to 20) times as fast as pyeer" in output
    assert "200 MiB for the large set; at most 1024: holds" in output


def test_too_little_memory_or_time_for_pyeer_is_an_error(monkeypatch):
    monkeypatch.setattr(scores, "FIRST", 20_000_000)
    with pytest.raises(DataError, match=r"does not hold 20000000 scores \(out of memory\): give it more --memory"):
        scores.largest_of_pyeer(0.5, 300)
    with pytest.raises(DataError, match="longer than 0 s"):
        scores.largest_of_pyeer(4, 0)
