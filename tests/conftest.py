"""Fixtures that several test files use."""

import importlib
import os
import shutil
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.evaluation.judges import Judges
from facepriv.hookspecs import Descriptor
from facepriv.registry import GROUP, Plugin, Registry, registry
from facepriv.samples import portraits

# How fast a machine is decides no test.
settings.register_profile("facepriv", deadline=None)
settings.load_profile("facepriv")


@pytest.fixture
def install_plugin(tmp_path, monkeypatch):
    """Return ``install(distribution, source)``: lays a distribution as pip would, for this process and its children.

    `source` is the text of its one module, named like the distribution with underscores; the entry point names it.
    """
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    modules = []

    def install(distribution, source, version="1.2.3"):
        module = distribution.replace("-", "_")
        modules.append(module)
        (site / f"{module}.py").write_text(dedent(source))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[facepriv]\n{module} = {module}\n")
        importlib.invalidate_caches()
        registry.cache_clear()

    yield install
    registry.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def tiny(monkeypatch):
    """Put the plugin of ``tests/tiny`` on the path of this process and its children; returns a registry of it alone."""
    here = Path(__file__).parent / "tiny"
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")]))
    importlib.invalidate_caches()
    registry.cache_clear()
    yield Registry.discover([point for point in entry_points(group=GROUP) if point.name == "tiny"])
    registry.cache_clear()


@pytest.fixture(scope="session")
def chromium():
    """The path of an installed Chromium or Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no chromium is installed (apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def astronaut_file():
    """The portrait of Eileen Collins (NASA, public domain) that comes with scikit-image: 512 x 512 pixels, one face."""
    return portraits()[0].path


@pytest.fixture(scope="session")
def hopper_file():
    """The portrait of Grace Hopper (US Navy, public domain) that comes with matplotlib: 512 x 600 pixels, one face."""
    return portraits()[1].path


@pytest.fixture(scope="session")
def small_faces(astronaut_file, hopper_file):
    """The faces of both portraits in photos of 100 x 110 pixels, which are quick to search: two (110, 100, 3) uint8."""
    boxes = {astronaut_file: (130, 0, 330, 220), hopper_file: (110, 80, 430, 420)}
    return [np.asarray(Image.open(file).convert("RGB").crop(box).resize((100, 110))) for file, box in boxes.items()]


@pytest.fixture
def photos(tmp_path, small_faces):
    """Return ``photos(count, folder="photos")``: writes that many different small portraits, ``000.png`` and so on."""

    def write(count, folder="photos"):
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        for n in range(count):
            shade = 1 - 0.3 * n / max(count, 2)
            Image.fromarray((small_faces[n % 2] * shade).astype(np.uint8)).save(root / f"{n:03d}.png")
        return root

    return write


@pytest.fixture
def silence_counts_while(monkeypatch):
    """Return ``silence_counts_while(condition)``: makes the clock of the local engine stand still unless it holds.

    However slow the machine is, only a worker that a test made hang is then silent.
    """
    from facepriv.protection import local

    def run(condition):
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() if condition() else 0.0)
        monkeypatch.setattr(local, "time", clock)

    return run


@pytest.fixture
def dark_face(small_faces):
    """A face in a photo of (110, 100, 3) uint8 that the tiny plugin's methods call dark."""
    return small_faces[0] // 4


class Guess(AttributeEstimator):
    """An estimator whose predictions a test makes up."""

    def __init__(self, attribute, output="probabilities"):
        self.attribute, self.output, self.trained_on = attribute, output, "nothing"

    def predict(self, images):
        """Return nothing useful."""
        return images


class Angle(FaceMatcher):
    """A matcher by angle whose descriptors a test makes up."""

    trained_on = "nothing"

    def embed(self, images):
        """Return nothing useful."""
        return images


@pytest.fixture(scope="session")
def made_up_judges():
    """Return ``make({estimator: attribute}, matcher)``: judges whose predictions the test makes up."""

    def make(estimators, matcher):
        found = [Descriptor("matcher", matcher, f"{__name__}:Angle", "a test's")]
        for name, attribute in estimators.items():
            options = {"attribute": attribute, "output": "years" if attribute == "age" else "probabilities"}
            found.append(Descriptor("estimator", name, f"{__name__}:Guess", "a test's", options=options))
        return Judges(Registry([Plugin("test", "test", "0", tuple(found))]), tuple(estimators), (matcher,))

    return make
