"""The scores benchmark: both tools get the same scores, sizes double until pyeer fails, what is told was measured."""

import json

import pytest
from click.testing import CliRunner


def test_both_tools_say_the_same_of_the_same_scores(scores):
    theirs, ours = (scores.do(tool, 30_000) for tool in ("pyeer", "facepriv"))
    assert theirs["auc"] == pytest.approx(ours["auc"], abs=1e-9)
    assert theirs["eer_fvc"] == pytest.approx(ours["eer_fvc"], abs=1e-9)
    assert min(theirs["seconds"], ours["seconds"]) > 0 and ours["peak_mib"] > 10
    assert 0 < ours["tmr"][0.001] < ours["tmr"][0.01] < 1


def test_sizes_double_until_pyeer_fails_and_the_last_that_it_held_is_compared(scores, monkeypatch, tmp_path):
    jobs = []

    def run(job, memory, seconds):
        jobs.append((job["tool"], job["impostors"], memory))
        if job["tool"] == "pyeer" and job["impostors"] > 1_000_000:
            return {"failed": "out of memory at 4 GiB"}
        took = {"pyeer": 30.0, "facepriv": 1.5}[job["tool"]]
        return {"seconds": took, "peak_mib": 200.0, "auc": 0.9, "eer": 0.2, "eer_fvc": 0.2, **job}

    monkeypatch.setattr(scores, "run", run)
    path = tmp_path / "result.json"
    done = CliRunner().invoke(scores.main, ["--rounds", "2", "--impostors", "5000", "--json", str(path)])
    assert done.exit_code == 0, done.output
    assert jobs == [
        ("pyeer", 250_000, 4),
        ("pyeer", 500_000, 4),
        ("pyeer", 1_000_000, 4),
        ("pyeer", 2_000_000, 4),
        ("pyeer", 1_000_000, 4),
        ("facepriv", 1_000_000, None),
        ("pyeer", 1_000_000, 4),
        ("facepriv", 1_000_000, None),
        ("facepriv", 5000, None),
    ]
    result = json.loads(path.read_text())
    assert result["largest_of_pyeer"] == 1_000_000 and result["ratio"] == pytest.approx(20)
    assert "2000000: out of memory at 4 GiB" in done.output and "20.0 times as fast as pyeer" in done.output


def test_a_job_runs_in_a_process_of_its_own_whose_failure_is_told(scores, monkeypatch, tmp_path):
    assert scores.run({"tool": "facepriv", "impostors": 40_000}, None, 300)["impostors"] == 40_000
    assert "too few for an FMR" in scores.run({"tool": "facepriv", "impostors": 2000}, None, 300)["failed"]
    script = tmp_path / "job.py"
    monkeypatch.setattr(scores, "__file__", str(script))
    script.write_text("bytearray(2**31)")
    assert scores.run({}, 1.0, 300) == {"failed": "out of memory at 1 GiB"}
    script.write_text("import time; time.sleep(60)")
    assert scores.run({}, None, 1) == {"failed": "longer than 1 s"}
