"""The curve of weights files by models outside of the training, on made-up faces."""

import json
import sys

import pytest
import torch
from accelerate import Accelerator
from click.testing import CliRunner
from facepriv_privacynet.networks import Generator, GeneratorShape

from facepriv.errors import UsageError
from facepriv.training.judges import JudgeShape


@pytest.fixture
def curve(script, monkeypatch, material):
    """The script, with small judges, on the four made-up faces."""
    module = script("plugins/facepriv-privacynet/benchmarks/privacynet_curve.py")
    material.subjects = ["one", "one", "two", ""]
    monkeypatch.setattr(module, "SHAPES", (JudgeShape(16, 8), JudgeShape(24, 8, grey=True)))
    monkeypatch.setattr(module, "opened", lambda *_: (material, Accelerator(cpu=True)))
    return module


def rows_of(module, out, *given):
    out.mkdir(exist_ok=True)
    call = ["pack", "-o", str(out), "--steps", "2", "--json", str(out / "curve.json"), *given]
    done = CliRunner().invoke(module.main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads((out / "curve.json").read_text())


def test_originals_and_every_file_and_gain_have_a_row(curve, saved, tmp_path):
    torch.manual_seed(1)
    strong = saved(Generator(GeneratorShape(32, 8, 1, limit=1.0)), "strong")
    weak = saved(Generator(GeneratorShape(32, 8, 1, limit=0.01)), "weak")
    given = ["--weights", str(strong), "--weights", str(weak), "--gain", "0.5", "--gain", "1"]
    rows = rows_of(curve, tmp_path / "out", *given)
    assert [row["weights"] for row in rows] == ["originals", *[str(strong)] * 2, *[str(weak)] * 2]
    assert [row["gain"] for row in rows] == [0, 0.5, 1, 0.5, 1]
    changes = [row["change, of 255"] for row in rows]
    assert changes[0] == 0 and changes[2] == pytest.approx(2 * changes[1]) and changes[2] > 10 * changes[4] > 0
    assert all(row["eer"] == pytest.approx((row["eer, 16 px"] + row["eer, 24 px"]) / 2) for row in rows)
    judges = (tmp_path / "out" / "judges.safetensors").read_bytes()
    assert rows_of(curve, tmp_path / "out", *given) == rows
    assert (tmp_path / "out" / "judges.safetensors").read_bytes() == judges


def test_judges_learn_again_for_other_faces_or_steps(curve, material, tmp_path):
    bright = torch.tensor([0, 1, 0, 1]) * 200
    faces, accelerator = material.training, Accelerator(cpu=True)
    faces.crops = (torch.randint(0, 50, faces.crops.shape) + bright[:, None, None, None]).to(torch.uint8)
    judges = curve.learnt_judges(material, accelerator, tmp_path / "judges", 60)
    for judge in judges:
        assert judge(faces.crops.float() / 255)["gender"].argmax(1).tolist() == [0, 1, 0, 1]
    kept = (tmp_path / "judges").read_bytes()
    curve.learnt_judges(material, accelerator, tmp_path / "judges", 1)
    assert (tmp_path / "judges").read_bytes() != kept


def test_without_its_network_edgeface_says_what_to_install(curve, saved, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    (tmp_path / "edge").touch()
    given = ["pack", "-o", str(tmp_path), "--edgeface", str(tmp_path / "edge")]
    file = saved(Generator(GeneratorShape(32, 8, 1)))
    done = CliRunner().invoke(curve.main, [*given, "--weights", str(file)])
    assert done.exit_code == 2 and "pip install timm torchvision" in done.stderr
    with pytest.raises(UsageError, match="its network is timm's"):
        curve.EdgeFace(tmp_path / "edge")
