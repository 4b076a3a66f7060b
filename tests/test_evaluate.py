"""Judges look at photos as a stranger would, and stale results are never taken for fresh ones."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv import evaluate
from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.errors import DataError, UsageError
from facepriv.evaluate import Judges, Told, look
from facepriv.hookspecs import Descriptor
from facepriv.registry import Plugin, Registry


class Brightness(AttributeEstimator):
    """A judge for tests: brighter faces are female."""

    attribute = "gender"
    calls = 0

    def predict(self, images):
        """Return (N, 2)."""
        type(self).calls += len(images)
        light = images.mean(axis=(1, 2, 3))
        return np.stack([1 - light, light], axis=1).astype(np.float32)


class Mean(FaceMatcher):
    """A matcher for tests: a face is its mean colour."""

    def embed(self, images):
        """Return (N, 3)."""
        return images.mean(axis=(1, 2)).astype(np.float32)


@pytest.fixture
def judges():
    found = (
        Descriptor("estimator", "brightness", f"{__name__}:Brightness", "a test's"),
        Descriptor("matcher", "mean", f"{__name__}:Mean", "a test's"),
    )
    return Judges(Registry([Plugin("test", "test", "0", found)]), ("brightness",), ("mean",))


@pytest.fixture
def photos(tmp_path):
    """A portrait, the same darker, and one without a face."""
    from skimage import data

    pixels = data.astronaut()
    for name, image in (("a", pixels), ("b", pixels // 2), ("c", np.zeros_like(pixels))):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    return [tmp_path / f"{name}.png" for name in "abc"]


def test_every_judge_sees_the_face_and_nan_stands_where_there_is_none(photos, judges):
    looks = look(photos, judges, workers=0)
    assert looks["seen"].tolist() == [True, True, False]
    assert looks["brightness"].shape == (3, 2) and looks["mean"].shape == (3, 3)
    assert np.isnan(looks["brightness"][2]).all() and np.isnan(looks["mean"][2]).all()
    assert looks["brightness"][0, 1] > looks["brightness"][1, 1]


def test_the_cut_into_chunks_changes_nothing(photos, judges, monkeypatch):
    whole = look(photos, judges, workers=0)
    monkeypatch.setattr(evaluate, "_CHUNK", 1)
    counted = []
    cut = look(photos, judges, workers=0, progress=counted.append)
    assert counted == [1, 2, 3]
    for name, values in whole.items():
        assert np.array_equal(values, cut[name], equal_nan=name != "seen")


def test_worker_processes_see_what_one_process_sees(photos):
    told = Descriptor("estimator", "told", "facepriv.evaluate:Told", "a test's", options={"label": "female"})
    judges = Judges(Registry([Plugin("test", "test", "0", (told,))]), ("told",))
    here, there = look(photos, judges, workers=0), look(photos, judges, workers=2)
    assert here["told"][:, 1].tolist()[:2] == [1, 1]
    assert all(np.array_equal(here[k], there[k], equal_nan=k != "seen") for k in here)


def test_results_are_kept_until_a_photo_or_a_judge_changes(photos, judges, tmp_path):
    cache = tmp_path / "cache"
    Brightness.calls = 0
    first = look(photos, judges, workers=0, cache=cache)
    assert Brightness.calls == 2
    again = look(photos, judges, workers=0, cache=cache)
    assert Brightness.calls == 2
    assert all(np.array_equal(first[k], again[k], equal_nan=k != "seen") for k in first)
    Image.open(photos[0]).rotate(5).save(photos[0])
    look(photos, judges, workers=0, cache=cache)
    assert Brightness.calls == 4
    alone = Judges(judges.registry, ("brightness",))
    assert set(look(photos, alone, workers=0, cache=cache)) == {"seen", "brightness"}
    assert Brightness.calls == 6 and not [p for p in cache.iterdir() if p.name.startswith(".")]


def test_photos_without_any_face_are_nan_throughout(photos, judges):
    looks = look(photos[2:], judges, workers=0)
    assert looks["seen"].tolist() == [False]
    assert looks["brightness"].shape == (1, 2) and looks["mean"].shape == (1, 3)
    assert np.isnan(looks["brightness"]).all() and np.isnan(looks["mean"]).all()


def test_a_missing_photo_and_an_unknown_judge_are_said(photos, judges, tmp_path):
    with pytest.raises(DataError, match=r"gone\.png"):
        look([tmp_path / "gone.png"], judges, workers=0, cache=tmp_path)
    with pytest.raises(UsageError, match="unknown estimator 'brightnes'"):
        look(photos, Judges(judges.registry, ("brightnes",)), workers=1)


def test_a_told_label_is_said_of_every_face():
    assert Told("female").classes(np.zeros((3, 8, 8, 3), np.float32)).tolist() == [1, 1, 1]
    assert Told("male").predict(np.zeros((1, 8, 8, 3), np.float32)).tolist() == [[1, 0]]


def test_a_package_hash_follows_its_files(tmp_path, monkeypatch):
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    empty = evaluate.package_hash("some_weights")
    (package / "net.safetensors").write_bytes(b"1")
    first = evaluate.package_hash("some_weights")
    (package / "net.safetensors").write_bytes(b"2")
    assert len({empty, first, evaluate.package_hash("some_weights")}) == 3


def test_no_worker_outlives_a_parent_that_was_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "from facepriv.evaluate import spread\n"
        "def build():\n"
        "    return work\n"
        "def work(place):\n"
        "    (Path(place) / 'new').write_text(str(os.getpid()))\n"
        "    os.replace(Path(place) / 'new', Path(place) / 'pid')\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        f"    list(spread(build, [{str(tmp_path)!r}], 1))\n"
    )
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    try:
        assert _comes(lambda: (tmp_path / "pid").exists())
    finally:
        parent.kill()
        parent.wait()
    worker = int((tmp_path / "pid").read_text())
    assert _comes(lambda: not _runs(worker))


def _comes(what):
    """Wait for it, a minute at most."""
    for _ in range(600):
        if what():
            return True
        time.sleep(0.1)
    return False


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where the first process collects nobody, the dead stay as zombies.
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "\nState:\tZ" in status.read_text())
