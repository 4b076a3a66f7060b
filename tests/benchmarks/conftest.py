"""The benchmark scripts as modules, and a small LFW of public-domain faces."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
# The scripts import each other by their bare names.
sys.path.insert(0, str(SCRIPTS))


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def visible_lfw(monkeypatch):
    return load("visible_lfw", monkeypatch)


@pytest.fixture
def all_outputs(monkeypatch):
    return load("all_outputs", monkeypatch)


@pytest.fixture
def estimators(monkeypatch):
    return load("estimators", monkeypatch)


@pytest.fixture
def san_family(monkeypatch):
    return load("san_family", monkeypatch)


@pytest.fixture
def versus(monkeypatch):
    return load("versus", monkeypatch)


@pytest.fixture
def detection(monkeypatch):
    return load("detection", monkeypatch)


@pytest.fixture
def attacks(monkeypatch):
    return load("attacks", monkeypatch)


@pytest.fixture
def small_lfw(tmp_path):
    """Eight "people", each two photos of the astronaut in another light; the last of them has no face."""
    from skimage import data

    face = Image.fromarray(data.astronaut()).crop((96, 0, 352, 256)).resize((160, 160))
    root = tmp_path / "data" / "lfw"
    rows = ["subject,gender"]
    for i, name in enumerate("ABCDEFGH"):
        (root / name).mkdir(parents=True)
        rows.append(f"{name},{'female' if i % 2 else 'male'}")
        for photo in (1, 2):
            light = np.array(face) * (0.6 + 0.05 * i + 0.02 * photo)
            pixels = np.zeros_like(light) if name == "H" else light
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{name}_000{photo}.jpg")
    (root.parent / "lfw_gender.csv").write_text("\n".join(rows) + "\n")
    return root.parent


@pytest.fixture
def rewriting(monkeypatch):
    return load("rewriting", monkeypatch)
