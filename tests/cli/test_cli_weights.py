"""Weights that a user names: what is damaged, foreign or a pickle is refused in one line, and no code in it runs."""

import pickle
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from facepriv.cli import main

pytestmark = pytest.mark.skipif(
    find_spec("facepriv_privacynet") is None or find_spec("facepriv_sim_zhang") is None,
    reason="facepriv-privacynet or facepriv-sim-zhang is not installed",
)


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


@pytest.fixture
def refused(photos, tmp_path):
    """Return ``refused(method, file)``: the one line that a run with these weights ends with; nothing is written."""
    photos(1)

    def run(method, file):
        line = f"apply {tmp_path}/photos -o {tmp_path}/out --method {method} --obfuscate gender"
        result = CliRunner().invoke(main, [*line.split(), "--set", f"{method}.weights={file}"])
        assert result.exit_code == 1
        assert "Traceback" not in result.output
        assert list((tmp_path / "out").rglob("*.png")) == []
        (error,) = [text for text in result.stderr.splitlines() if "error: " in text]
        return error

    return run


def shipped(method):
    """Return the weights file that a method comes with."""
    name = method.replace("-", "_")
    return Path(find_spec(f"facepriv_{name}").origin).parent / "weights" / f"{name}.safetensors"


@pytest.mark.parametrize("method", ["privacynet", "sim-zhang"])
def test_one_changed_bit_is_refused(refused, tmp_path, method):
    file = tmp_path / "mine.safetensors"
    content = bytearray(shipped(method).read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    hashed = shipped(method).with_name(shipped(method).name + ".sha256").read_text()
    Path(f"{file}.sha256").write_text(f"{hashed.split()[0]}  {file.name}\n")
    assert f"{file}: SHA-256 is " in refused(method, file)


def test_weights_of_another_method_are_refused(refused, tmp_path):
    file = tmp_path / "mine.safetensors"
    shutil.copy(shipped("privacynet"), file)
    assert f"{file}: " in refused("sim-zhang", file)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_pickle_is_refused_and_not_opened(refused, tmp_path, suffix):
    file, exploded = tmp_path / f"mine{suffix}", tmp_path / "exploded"
    file.write_bytes(pickle.dumps(Bomb(exploded)))
    assert "pickle" in refused("sim-zhang", file)
    assert not exploded.exists()
