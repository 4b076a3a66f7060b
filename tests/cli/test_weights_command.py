"""`weights`: every file that a plugin ships is listed with its provenance, and what is wrong with one is found."""

import json
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from facepriv.cli import main
from facepriv.registry import registry
from facepriv.weights import Provenance, WeightsMetadata, save_weights

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = """
from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2

@hookimpl
def facepriv_components():
    return [Descriptor("method", "weighted", "weighted:Nothing", "a test's")]
"""
ORIGIN = Provenance("faces of a test", "make", "2020-01-01", "test use only", ("family-a-gender",))


def call(*arguments):
    return CliRunner().invoke(main, ["weights", *arguments])


@pytest.fixture
def weights(install_plugin, tmp_path):
    """The file of an installed plugin, whose package is a folder."""
    install_plugin("weighted", PLUGIN)
    module = tmp_path / "site-packages" / "weighted.py"
    package = module.with_suffix("")
    (package / "data").mkdir(parents=True)
    module.rename(package / "__init__.py")
    file = package / "data" / "one.safetensors"
    save_weights(file, {"w": np.arange(6.0)}, WeightsMetadata("test", ORIGIN))
    registry.cache_clear()
    return file


def test_the_files_of_this_repository_are_listed_and_right():
    listed = subprocess.run(["git", "ls-files", "*.safetensors"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout, so the project's files are not known")
    rows = json.loads(call("--json").stdout)
    paths = map(Path, listed.stdout.split())
    # What lies beside a plugin's package is not installed.
    installed = {path.name for path in paths if path.parent.name not in ("opponents", "residual")}
    assert {Path(row["file"]).name for row in rows} >= installed
    assert not [row for row in rows if row["error"] or not row["licence"] or not row["trained_on"]]
    (mtcnn,) = [row for row in rows if row["name"] == "facepriv/faces/mtcnn.safetensors"]
    assert mtcnn["plugin"] == "facepriv"


def test_a_file_is_one_line_with_its_provenance(weights):
    result = call()
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if "weighted" in line]
    sha256 = Path(f"{weights}.sha256").read_text()[:12]
    expected = ["weighted/data/one.safetensors", "weighted 1.2.3", "0.00 MB", sha256, "test use only"]
    assert [cell.strip() for cell in line.split("  ") if cell] == [*expected, "family-a-gender", "faces of a test"]
    (row,) = [row for row in json.loads(call("--json").stdout) if row["plugin"] == "weighted"]
    assert (row["file"], row["bytes"]) == (str(weights), weights.stat().st_size)
    assert (row["seen"], row["command"], row["error"]) == (["family-a-gender"], "make", "")


def _flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _unhash(file):
    Path(f"{file}.sha256").unlink()


def _pickle(file):
    file.write_bytes(pickle.dumps([1]))
    _hash(file)


def _foreign(file):
    save_file({"w": np.zeros(3)}, file)
    _hash(file)


def _hash(file):
    hashed = subprocess.run(["sha256sum", file.name], cwd=file.parent, capture_output=True, text=True, check=True)
    Path(f"{file}.sha256").write_text(hashed.stdout)


def _remove_recorded(file):
    (info,) = file.parents[2].glob("weighted-*.dist-info")
    (info / "RECORD").write_text("weighted/data/one.safetensors,,\nweighted/data/one.safetensors.sha256,,\n")
    file.unlink()
    _unhash(file)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_flip, ": SHA-256 is "),
        (_unhash, ".sha256: No such file or directory"),
        (Path.unlink, ": No such file or directory"),
        (_remove_recorded, ".sha256: No such file or directory"),
        (_pickle, ": a pickle or torch.save archive"),
        (_foreign, ": safetensors without facepriv metadata"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_and_the_others_are_listed(weights, damage, text):
    damage(weights)
    result = call()
    assert result.exit_code == 1
    (error,) = [line for line in result.stderr.splitlines() if "error: " in line]
    assert error.startswith(f"facepriv: error: {weights}{text}")
    assert error.endswith("; pip install --force-reinstall weighted")
    (line,) = [line for line in result.stdout.splitlines() if "weighted" in line]
    assert line.endswith("FAILED")
    assert "mtcnn.safetensors" in result.stdout
    (row,) = [row for row in json.loads(call("--json").stdout) if row["plugin"] == "weighted"]
    assert row["error"] in error and row["sha256"] is None


def test_the_weights_of_a_plugin_that_is_not_loaded_are_verified_too(weights):
    (weights.parents[1] / "__init__.py").write_text("import no_such_library\n")
    result = call()
    assert result.exit_code == 0
    assert "weighted/data/one.safetensors" in result.stdout
    assert "warning: plugin 'weighted' of weighted was not loaded" in result.stderr
