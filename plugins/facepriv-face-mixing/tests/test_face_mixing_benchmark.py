"""The morphing benchmark: both ways carry a face alike, and the ratios follow from the seconds."""

import json

import pytest
from click.testing import CliRunner


def test_figures_are_those_of_the_run(script, monkeypatch, tmp_path):
    morphing = script("plugins/facepriv-face-mixing/benchmarks/morphing.py")
    monkeypatch.setattr(morphing, "FACES", 1)

    def in_turns(jobs, rounds, **_):
        (mixed,), (ours,), (theirs,) = (job() for job in jobs.values())
        assert mixed.shape == ours.shape == theirs.shape == (96, 96, 3)
        assert ours == pytest.approx(theirs, abs=1e-3)
        return dict(zip(jobs, ([0.04] * rounds, [0.02] * rounds, [0.3] * rounds), strict=True))

    monkeypatch.setattr(morphing, "in_turns", in_turns)
    path = tmp_path / "result.json"
    done = CliRunner().invoke(morphing.main, ["--size", "96", "--rounds", "2", "--json", str(path)])
    assert done.exit_code == 0, done.output
    ratios = json.loads(path.read_text())["ratios"]
    assert ratios["times"]["median"] == pytest.approx(15) and ratios["mixed"]["median"] == pytest.approx(25)
    assert "15 (15 to 15) times as fast as scikit-image" in done.output and "25 (25 to 25) faces/s" in done.output
