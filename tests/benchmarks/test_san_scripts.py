"""The benchmarks of the SAN family: what is told is what was measured."""

import json
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from facepriv_san import family
from facepriv_san.network import San

from facepriv.weights import Provenance


@pytest.fixture
def weights(tmp_path):
    """A file of three networks of random weights."""

    def make(name="made", **wanted):
        torch.manual_seed(0)
        nets = torch.nn.ModuleList(San() for _ in range(3))
        form = family.Form(**{"size": 32, **wanted})
        family.save(
            tmp_path / f"{name}.safetensors", nets.state_dict(), [False] * 3, form, Provenance("a", "b", "c"), {}
        )
        return tmp_path / f"{name}.safetensors"

    return make


def test_the_speed_is_that_of_the_run(san_speed, weights, monkeypatch, tmp_path):
    ran = []

    def timed(jobs, rounds):
        ran.append([job() for job in jobs.values()])
        return {"ours": 0.01, "plain": 0.03}

    monkeypatch.setattr(san_speed, "timed", timed)
    path = tmp_path / "result.json"
    given = ["--weights", str(weights()), "--size", "64", "--threads", "1", "--json", str(path)]
    done = CliRunner().invoke(san_speed.main, given)
    assert done.exit_code == 0, done.output
    result = json.loads(path.read_text())
    assert result["ratio"] == pytest.approx(3) and result["holds"] and "3.0 times as fast" in done.output
    ours, plain = ran[0]
    assert [tuple(drawn.shape) for drawn in ours] == [(1, 1, 64, 64)] * 2
    differs = max(float((a - b).abs().max()) for a, b in zip(ours, plain, strict=True))
    assert result["differs"] == pytest.approx(differs)


def test_timing_takes_turns_and_gives_medians(san_speed, monkeypatch):
    order, clock = [], iter(np.cumsum([0, 1] * 100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    found = san_speed.timed({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 5 and found == {"a": 1, "b": 1}
