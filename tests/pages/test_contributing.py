"""CONTRIBUTING.md, done as it says: the five steps in a shell, weights and an attack from its snippets."""

import ast
import os
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns
from textwrap import dedent

import page_inputs
import pytest
from page_lines import ROOT, Line, blocks, mentions
from page_runs import Store, run_line, run_python
from PIL import Image

from facepriv.contracts import Perturber
from facepriv.testing import checks
from facepriv.weights import load_weights, packaged_weights, stored_sha256

STEPS = [block for block in blocks("CONTRIBUTING.md") if block.heading == "A method in five steps"]


@pytest.fixture
def checkout(tmp_path):
    """A checkout after ``make``: the examples, and a ``.venv`` that sees this environment and takes what pip adds."""
    root = tmp_path / "checkout"
    copytree(ROOT / "examples", root / "examples", ignore=ignore_patterns("*.egg-info", "__pycache__", "build"))
    venv.create(root / ".venv", symlinks=True)
    (own,) = root.glob(".venv/lib/python*/site-packages")
    (own / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for name in ("pip", "facepriv"):
        script = root / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\nexec python -m {name} "$@"\n')
        script.chmod(0o755)
    return root


class Shell:
    """Runs pieces of a script; its folder and path last from one to the next.

    pip asks no index, and builds with the setuptools that is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}

    def run(self, text: str) -> str:
        """Run a piece, to its first failure; returns what it printed."""
        script = f'set -e\n{text}\nprintf "%s\\n" "$PATH" "$PWD" >&3\n'
        state, writer = os.pipe()
        call = ["bash", "-c", f"exec 3>&{writer}\n{script}"]
        done = subprocess.run(
            call, cwd=self.folder, env=self.environment, capture_output=True, text=True, pass_fds=(writer,)
        )
        os.close(writer)
        with os.fdopen(state) as lines:
            told = lines.read().splitlines()
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        self.environment["PATH"], folder = told
        self.folder = Path(folder)
        return done.stdout


def replace_function(file, code):
    """Put a function of a page in the place of the one of its name."""
    name = ast.parse(dedent(code)).body[0].name
    text = file.read_text()
    (old,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.name == name]
    rows = text.splitlines()
    rows[old.lineno - 1 : old.end_lineno] = code.rstrip().splitlines()
    # "remove `CELLS` and the import of numpy"
    kept = [row for row in rows if not row.startswith(("CELLS", "import numpy"))]
    file.write_text("\n".join(kept) + "\n")


def test_the_steps_make_a_method_that_conforms_works_and_is_shipped(checkout):
    shell, printed = Shell(checkout), ""
    for block in STEPS:
        if block.kind == "python":
            replace_function(shell.folder / "facepriv_blur.py", block.text)
            page_inputs.photo(shell.folder / "photo.jpg")
        else:
            printed += shell.run(block.text)
    assert shell.folder == checkout.parent / "facepriv-blur"
    assert "ok   " in printed and "FAIL" not in printed
    before, after = (
        Image.open(shell.folder / name).getpixel((50, 40)) for name in ("photo.jpg", "protected/photo.jpg")
    )
    assert before != after
    (wheel,) = shell.folder.glob("dist/facepriv_blur-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "facepriv_blur.py" in archive.namelist()


def test_the_weights_of_contributing_follow_the_protocol_that_is_checked():
    (block,) = python_below("CONTRIBUTING.md", "With weights")
    packaged = packaged_weights("facepriv_face_mixing.averages", "averages")
    own = run_python(block, packaged_weights=lambda *names: packaged, stored_sha256=stored_sha256)

    class Mine(own, Perturber):
        attributes = ("gender",)

        def _perturb(self, faces, source, target, strength, rngs):
            self.net = self.net or load_weights(self.weights_path())
            return 1 - faces.images if strength else faces.images

    (weights,) = [check.result() for check in checks(Mine) if "weights" in check.name]
    assert weights.passed and not weights.detail, weights.detail


@pytest.mark.usefixtures("one_process")
def test_the_attack_of_contributing_is_one(install_plugin, tmp_path, monkeypatch):
    (block,) = python_below("CONTRIBUTING.md", "Attacks")
    (kept,) = [line.text for line in mentions("CONTRIBUTING.md") if line.text.endswith("--attack edges")]
    install_plugin("edges-plugin", f"{block.text}\n{PLUGIN}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = Store(tmp_path / "store")
    run_line(Line(block.place, f"{kept} --methods pixelate".replace("DATA", "photos")), tmp_path, store)
    assert "edges" in (tmp_path / "report" / "rows.csv").read_text()


PLUGIN = """
from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2


@hookimpl
def facepriv_components():
    return [Descriptor(kind="attack", name="edges", target="edges_plugin:Edges", summary="Edges")]
"""


def python_below(page, heading):
    return [block for block in blocks(page) if block.kind == "python" and block.heading == heading]
