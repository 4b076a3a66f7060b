"""The prepared run for a GPU, tried on the CPU: it stops by itself and leaves small files to bring back."""

import json
from itertools import count
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from facepriv_privacynet import rounds

from facepriv.errors import UsageError
from facepriv.training import loop
from facepriv.weights import load_weights


@pytest.fixture
def quick(privacynet_gpu, monkeypatch):
    """The script with small judges, no timings, and a clock that goes on by a second whenever it is read."""
    clock = SimpleNamespace(monotonic=count().__next__)
    for module in (loop, rounds, privacynet_gpu):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(rounds, "_SIDES", (16, 24))
    monkeypatch.setattr(rounds, "_CHANNELS", (8,))
    monkeypatch.setattr(rounds, "GAINS", (1.0,))
    monkeypatch.setattr(privacynet_gpu, "speed", lambda device, tiny: {"device": device})
    return privacynet_gpu


def call(script, out, *options):
    return CliRunner().invoke(script.main, ["-o", str(out), "--tiny", "--device", "cpu", "--batch", "4", *options])


def test_a_run_leaves_speed_curve_and_networks_in_half_precision_and_stops(quick, tmp_path):
    done = call(quick, tmp_path / "out", "--steps", "2", "--minutes", "0.5")
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"speed.json", "curve.jsonl", "privacynet.safetensors", "privacynet-opponents.safetensors"} <= names
    rows = [json.loads(line) for line in (tmp_path / "out" / "curve.jsonl").read_text().splitlines()]
    assert rows and rows[-1]["round"] >= 1
    opponents = load_weights(tmp_path / "out" / "privacynet-opponents.safetensors", framework="torch")
    assert any(name.startswith("d/") for name in opponents.tensors)


def test_a_round_without_an_end_leaves_the_generator_so_far(quick, tmp_path):
    done = call(quick, tmp_path / "out", "--steps", "100000", "--minutes", "0.25")
    assert done.exit_code == 0, done.output
    generator = load_weights(tmp_path / "out" / "unfinished-privacynet.safetensors")
    assert 0 < generator.metadata.config["step"] < 100000
    assert not (tmp_path / "out" / "privacynet.safetensors").exists()


def test_the_generator_and_apply_are_timed(privacynet_gpu):
    found = privacynet_gpu.speed("cpu", tiny=True)
    assert found["generator_1"]["faces_a_second"] > 0 and 0 < found["generator_1"]["share_of_peak"] < 2
    assert found["apply_photos_a_second"] > 0


def test_without_a_gpu_the_command_says_how_to_try_it(privacynet_gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(privacynet_gpu.torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(privacynet_gpu.main, ["PACK", "-o", str(tmp_path / "out")])
    assert done.exit_code == 2 and "--tiny --device cpu" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_pack_and_a_matcher_are_asked_for(privacynet_gpu, tmp_path):
    with pytest.raises(UsageError, match="name the pack"):
        privacynet_gpu.training(tmp_path, None, None, 1, 1, "cpu", False)
