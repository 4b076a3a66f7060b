"""The speed benchmark: the ratio and the difference are those of the run."""

import json

import pytest
import torch
from click.testing import CliRunner


def test_the_speed_is_that_of_the_run(script, weights_of, monkeypatch, tmp_path):
    san_speed = script("plugins/facepriv-san/benchmarks/san_speed.py")
    ran = []

    def in_turns(jobs, rounds):
        ran.extend(job() for job in jobs.values())
        return {"ours": [0.01] * rounds, "plain": [0.03] * rounds}

    monkeypatch.setattr(san_speed, "in_turns", in_turns)
    path, threads = tmp_path / "result.json", torch.get_num_threads()
    given = ["--weights", str(weights_of(1)), "--size", "64", "--rounds", "2", "--json", str(path)]
    done = CliRunner().invoke(san_speed.main, given, catch_exceptions=False)
    torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output
    ratios = json.loads(path.read_text())["ratios"]
    assert ratios["times_plain"]["median"] == pytest.approx(3) and "3 (3 to 3) times as fast as plain" in done.output
    ours, plain = ran
    assert [tuple(drawn.shape) for drawn in ours] == [(1, 1, 64, 64)] * 2
    differs = max(float((a - b).abs().max()) for a, b in zip(ours, plain, strict=True))
    assert ratios["differs"]["median"] == pytest.approx(differs) and ratios["differs"]["holds"]
