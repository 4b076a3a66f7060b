"""The morphing benchmark: both ways carry a face alike, and what is told is what was timed."""

import json

import pytest
from click.testing import CliRunner


def test_figures_are_those_of_the_run(morphing, monkeypatch, tmp_path):
    monkeypatch.setattr(morphing, "one_core", lambda: None)  # the other tests may use them all
    seconds = {"ours, two faces mixed": 0.04, "ours, one face warped": 0.02, "scikit-image, one face warped": 0.3}
    ran = []

    def timed(job):
        job()
        ran.append(job)
        return list(seconds.values())[(len(ran) - 1) % 3]

    monkeypatch.setattr(morphing, "timed", timed)
    path = tmp_path / "result.json"
    done = CliRunner().invoke(morphing.main, ["--size", "96", "--faces", "1", "--rounds", "2", "--json", str(path)])
    assert done.exit_code == 0, done.output
    assert len(ran) == 6
    result = json.loads(path.read_text())
    assert result["seconds_a_face"] == seconds
    assert result["ratio"] == pytest.approx(15) and result["mixed_a_second"] == pytest.approx(25)
    assert "warp: 15.0 times as fast" in done.output and "mix: 25.0 faces/s" in done.output
