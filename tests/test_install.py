"""``make install`` makes an environment for use: the core and the methods asked for, without what developers need."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("torch/bin/torch_shm_manager", "torch/testing/kept.py", "other/tests/kept.py")
REMOVED = (
    "torch/include/torch.h",
    "torch/test/Dict_test",
    "torch/bin/protoc-3",
    "torch/bin/test_jit",
    "numpy/a/tests/t.py",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of what the target reads, so that nothing is built in this one."""
    folder = tmp_path_factory.mktemp("check out")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "tests", "*.safetensors")
    for name in ("facepriv", "plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("Makefile", "constraints.txt", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def environment(tmp_path):
    """Return a virtual environment that sees the packages of this one, with files as packages leave them."""
    folder = tmp_path / "an environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages(folder).joinpath("these.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    for name in (*KEPT, *REMOVED):
        file = packages(folder) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


def packages(environment):
    return Path(sysconfig.get_path("platlib", "venv", {"base": str(environment), "platbase": str(environment)}))


def make(checkout, target, *variables):
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    # Offline: setuptools is found beside the packages of the tests.
    env = {**own, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": ""}
    command = ["make", target, f"PYTHON={sys.executable}", *variables]
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True)


def test_it_installs_the_core_and_the_methods_asked_for(checkout, environment):
    done = make(checkout, "environment", f"PREFIX={environment}", "METHODS=sim-zhang")
    assert done.returncode == 0, done.stderr
    there = packages(environment)
    assert {f.name.split("-")[0] for f in there.glob("facepriv*.dist-info")} == {
        "facepriv",
        "facepriv_estimators",
        "facepriv_privacynet",
        "facepriv_sim_zhang",
    }
    assert (there / "facepriv" / "api.py").is_file()  # no editable installation: the clone can go
    assert not list(there.glob("facepriv*/**/*.pyc"))
    listed = subprocess.run([environment / "bin/facepriv", "methods"], capture_output=True, text=True)
    assert "privacynet" in listed.stdout and "sim-zhang" in listed.stdout
    assert [name for name in KEPT if not (there / name).exists()] == []
    assert [name for name in REMOVED if (there / name).exists()] == []
    assert not list(checkout.glob("**/build"))


def test_an_unknown_method_is_named_with_those_that_there_are(checkout, tmp_path):
    done = make(checkout, "install", f"PREFIX={tmp_path / 'new'}", "METHODS=sim-zang")
    assert done.returncode != 0
    assert "there is no plugins/facepriv-sim-zang" in done.stderr and "sim-zhang" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_environment_is_left_alone(checkout, tmp_path):
    (tmp_path / "photo.jpg").touch()
    done = make(checkout, "install", f"PREFIX={tmp_path}")
    assert done.returncode != 0 and "is no virtual environment" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize(("cuda", "refused"), [("", True), ("yes", False)])
def test_cuda_libraries_are_not_installed_unasked_without_a_driver(checkout, tmp_path, cuda, refused):
    report = '{"install": [{"metadata": {"name": "nvidia-cublas"}}]}'
    pip = tmp_path / "pip"  # stands for pip: what it would install, and a note of what it did
    pip.write_text(
        f"#!/bin/sh\ncase \"$*\" in *--dry-run*) echo '{report}';; *) echo \"$*\" >> '{tmp_path}/done';; esac\n"
    )
    pip.chmod(0o755)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty"], check=True)
    done = make(checkout, "user-torch", f"PREFIX={tmp_path / 'empty'}", f"USER_PIP={pip}", f"CUDA={cuda}")
    assert (done.returncode != 0) == refused
    assert ("several GB of CUDA" in done.stderr) == refused
    assert ("torch" in (tmp_path / "done").read_text().split()) != refused
