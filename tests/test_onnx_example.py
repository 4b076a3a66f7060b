"""The example that runs an exported generator: what facepriv makes of the same face, and none of our libraries."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from facepriv_privacynet import method as method_module
from facepriv_privacynet.region import mean_outline
from PIL import Image

from facepriv.cli import main
from facepriv.contracts import FaceBatch
from facepriv.faces import crop_face, find_faces, paste
from facepriv.image.decode import read_image
from facepriv.registry import registry
from facepriv.samples import portraits

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "run_onnx.py"
WANT = "gender=male,race=white,age=young"
# Refuses what other stacks do not have.
GUARDED = (
    "import sys; [sys.modules.__setitem__(n, None) for n in ('torch', 'facepriv', 'dlib', 'skimage')]; import runpy"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "privacynet.onnx"
    result = CliRunner().invoke(main, ["export", "privacynet", "--onnx", str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture(scope="module")
def portrait():
    path = portraits()[0].path
    rgb = read_image(path).rgb8()
    return path, rgb, find_faces(rgb, dense=True)[0]


def example(*arguments):
    call = f"sys.argv[1:] = {[str(a) for a in arguments]!r}; runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    code = f"{GUARDED}; {call}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


def ours(rgb, face, monkeypatch):
    monkeypatch.setattr(method_module, "outline", lambda *_: mean_outline())
    crop = crop_face(rgb, face, 112)[None]
    labels = {"gender": np.array([1]), "race": np.array([0]), "age": np.array([0])}
    target = {**labels, "gender": np.array([0])}
    method = registry().create("method", "privacynet")
    faces = FaceBatch(crop, face.landmarks_in_crop(112)[None])
    return crop[0], method.perturb(faces, labels, target, rngs=[np.random.default_rng(0)])[0]


def test_a_photo_is_changed_as_facepriv_changes_a_mean_head(model, portrait, tmp_path, monkeypatch):
    path, rgb, face = portrait
    points = ",".join(f"{v:.2f}" for v in face.points.ravel())
    run = example(model, path, "-o", tmp_path / "out.png", "--want", WANT, "--points", points)
    assert run.returncode == 0, run.stderr
    assert "privacynet" in run.stdout and "research use" in run.stdout
    got = np.asarray(Image.open(tmp_path / "out.png")).astype(int)
    wanted = rgb.copy()
    paste(wanted, face, *ours(rgb, face, monkeypatch))
    changed = (wanted != rgb).any(axis=2)
    assert np.abs(wanted.astype(int) - rgb)[changed].mean() > 3  # it does something
    assert np.abs(got - wanted)[changed].mean() < 1.5
    assert (got[~changed] == rgb[~changed]).mean() > 0.99 and (got[300:] == rgb[300:]).all()


def test_an_aligned_crop_is_changed_and_a_photo_without_points_is_refused(model, portrait, tmp_path, monkeypatch):
    path, rgb, face = portrait
    crop, wanted = ours(rgb, face, monkeypatch)
    Image.fromarray(np.rint(crop * 255).astype(np.uint8)).save(tmp_path / "crop.png")
    run = example(model, tmp_path / "crop.png", "-o", tmp_path / "out.png", "--want", WANT)
    assert run.returncode == 0, run.stderr
    assert np.abs(np.asarray(Image.open(tmp_path / "out.png")) / 255 - wanted).max() < 0.03
    refused = example(model, path, "-o", tmp_path / "no.png", "--want", WANT)
    assert refused.returncode == 1 and "--points" in refused.stderr
    unknown = example(model, tmp_path / "crop.png", "-o", tmp_path / "no.png", "--want", "gender=none")
    assert unknown.returncode == 1 and "gender=none" in unknown.stderr and not (tmp_path / "no.png").exists()
