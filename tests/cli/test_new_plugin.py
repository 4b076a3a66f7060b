"""`new-plugin`: the package that it writes is complete, conforms as it is, and is the example of this repository."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from facepriv.cli import main
from facepriv.cli.new_plugin import package_files

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "facepriv-pixelate"
#: What only the example has: tests of its own, and a picture, because its README is a page of the documentation.
OWN = {"tests/test_pixelate.py"}
PICTURE = "![Two portraits, before and after, and the difference](../../docs/images/pixelate.jpg)\n\n"


def call(*arguments):
    return CliRunner().invoke(main, ["new-plugin", *map(str, arguments)])


def texts(folder):
    return {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def written(tmp_path):
    """The package of a new method."""
    folder = tmp_path / "deep" / "facepriv-soft-blur"
    result = call("soft-blur", "-o", folder)
    assert result.exit_code == 0, result.output
    assert set(result.stdout.splitlines()) == {str(folder / place) for place in texts(folder)}
    return folder


def test_the_example_is_what_the_command_writes():
    made = package_files("pixelate")
    tracked = subprocess.run(["git", "ls-files"], cwd=EXAMPLE, capture_output=True, text=True)
    if not tracked.returncode:
        assert {*tracked.stdout.split()} - OWN == {*made}
    assert {place: (EXAMPLE / place).read_text().replace(PICTURE, "") for place in made} == made


def test_the_package_is_a_plugin_and_nothing_in_it_is_named_as_the_example(written):
    project = tomllib.loads((written / "pyproject.toml").read_text())
    assert project["project"]["name"] == "facepriv-soft-blur"
    assert project["project"]["entry-points"]["facepriv"] == {"soft-blur": "facepriv_soft_blur"}
    assert project["tool"]["setuptools"]["py-modules"] == ["facepriv_soft_blur"]
    for place, text in texts(written).items():
        assert "pixelate" not in f"{place}{text}".lower()
        assert "$" not in text
    assert list(written.parent.iterdir()) == [written]


def test_its_tests_pass_and_apply_uses_it(written, install_plugin, photos, tmp_path):
    install_plugin("facepriv-soft-blur", (written / "facepriv_soft_blur.py").read_text())
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(run, cwd=written, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    place = ["-o", str(tmp_path / "out"), "--obfuscate", "gender"]
    result = CliRunner().invoke(main, ["apply", str(photos(1)), *place, "--method", "soft-blur"])
    assert result.exit_code == 0, result.output
    assert "1 protected" in result.stderr


@pytest.mark.parametrize("name", ["x", "a-method-with-a-name-of-many-words"])
def test_ruff_finds_nothing_in_it(tmp_path, name):
    pytest.importorskip("ruff")
    folder = tmp_path / "package"
    assert call(name, "-o", folder).exit_code == 0
    for check in (["check", "--select", "E,F,W,B,UP,C4,SIM,PIE,RUF", "--line-length", "120"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--isolated", "--no-cache", folder], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Foo_Bar", "'Foo_Bar' cannot name a method: use lower-case letters, digits and hyphens, for example foo-bar"),
        ("facepriv-x", "'facepriv-x' cannot name a method: use lower-case letters, digits and hyphens, for example x"),
        ("3d", "'3d' cannot name a method: "),
        ("../up", "'../up' cannot name a method: "),
        ("", "'' cannot name a method: use lower-case letters, digits and hyphens\n"),
        ("none", "'none' cannot name a method: its class would be None; choose another name"),
        ("perturber", "'perturber' cannot name a method: its class would be Perturber; choose another name"),
        ("pixelate", "a method 'pixelate' is installed already: choose another name"),
        ("estimators", "a package facepriv-estimators is installed already: choose another name"),
    ],
)
def test_a_wrong_name_is_one_line_and_nothing_is_written(tmp_path, name, text):
    result = call(name, "-o", tmp_path / "package")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"facepriv: error: {text}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("link", [False, True])
def test_an_existing_folder_is_refused(tmp_path, link):
    folder = tmp_path / "facepriv-soft-blur"
    folder.symlink_to("nowhere") if link else folder.mkdir()
    result = call("soft-blur", "-o", folder)
    assert (result.exit_code, result.stderr) == (
        2,
        f"facepriv: error: {folder}: exists already; name another folder with -o\n",
    )
    assert list(tmp_path.iterdir()) == [folder]


def test_where_a_folder_cannot_be_made_nothing_is_left(tmp_path):
    (tmp_path / "file").touch()
    result = call("soft-blur", "-o", tmp_path / "file" / "package")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path}/file: the folder cannot be made" in result.stderr
