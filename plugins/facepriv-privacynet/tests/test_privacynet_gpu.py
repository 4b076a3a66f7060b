"""The benchmark for a GPU, tried on the CPU."""

import json

import pytest
from click.testing import CliRunner


@pytest.fixture
def privacynet_gpu(script):
    return script("plugins/facepriv-privacynet/benchmarks/privacynet_gpu.py")


def test_the_generator_and_apply_are_timed(privacynet_gpu, tmp_path):
    path = tmp_path / "speed.json"
    given = ["--device", "cpu", "--batch", "1", "--batch", "2", "--photos", "1", "2", "--rounds", "2"]
    done = CliRunner().invoke(privacynet_gpu.main, [*given, "--json", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())
    assert set(found["generator"]) == {"1", "2"} and found["ratios"]["apply"]["median"] > 0
    for speed in found["generator"].values():
        assert speed["faces_a_second"] > 0 and 0 < speed["share_of_peak"] < 2 and len(speed["seconds"]) == 2


def test_without_a_gpu_the_command_says_how_to_try_it(privacynet_gpu, monkeypatch):
    monkeypatch.setattr(privacynet_gpu.torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(privacynet_gpu.main, [])
    assert done.exit_code == 2 and "--device cpu tries the command" in done.stderr and done.stderr.count("\n") == 1
