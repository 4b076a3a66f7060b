"""The exported file: equal to torch on real faces, any batch, and it says what it needs."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from facepriv_privacynet.config import PRIVACYNET
from facepriv_privacynet.method import PrivacyNet, load_generator
from facepriv_privacynet.networks import Generator, GeneratorShape
from facepriv_privacynet.onnx_file import export_onnx
from facepriv_privacynet.region import mean_outline

from facepriv.cli import main
from facepriv.errors import UsageError, WeightsError
from facepriv.faces import crop_face, find_faces
from facepriv.faces.align import Face
from facepriv.weights import packaged_weights


@pytest.fixture(scope="module")
def crops(portraits):
    """32 crops (32, 112, 112, 3) of two real faces, each a little off, as alignment errs."""
    rng, out = np.random.default_rng(0), []
    for rgb in portraits:
        face = find_faces(rgb)[0]
        for _ in range(16):
            points = face.points + rng.normal(0, 0.01 * face.scale, face.points.shape)
            out.append(crop_face(rgb, Face(face.box, points), 112))
    return np.stack(out)


def session(path, weights=None):
    """Export to a file and open it."""
    export_onnx(PRIVACYNET, path, weights)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return session(tmp_path_factory.mktemp("onnx") / "privacynet.onnx")


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_the_exported_generator_equals_torch_on_real_faces(exported, crops, batch):
    generator, _ = load_generator(packaged_weights(PRIVACYNET.package, "privacynet"), "cpu", PRIVACYNET.architecture)
    x = np.ascontiguousarray(crops[-batch:].transpose(0, 3, 1, 2))
    labels = np.zeros((batch, 9), np.float32)
    labels[np.arange(batch), np.arange(batch) % 2] = 1
    outlines = np.repeat(mean_outline()[None, None].astype(np.float32) / 255, batch, 0)
    with torch.inference_mode():
        wanted = generator(*map(torch.from_numpy, (x, labels, outlines))).numpy()
    (changed,) = exported.run(["changed"], {"images": x, "labels": labels, "outlines": outlines})
    assert np.abs(wanted - x).max() > 0.05  # it does something
    assert np.abs(changed - wanted).max() < 1e-3


def test_the_file_says_what_a_program_needs_to_know(exported):
    said = exported.get_modelmeta().custom_metadata_map
    assert said["method"] == "privacynet" and said["licence"] == "research use" and said["size"] == "112"
    weights = packaged_weights(PRIVACYNET.package, "privacynet")
    assert said["weights_sha256"] == (weights.parent / f"{weights.name}.sha256").read_text().split()[0]
    assert [a["name"] for a in json.loads(said["schema"])] == ["gender", "race", "age"]
    assert json.loads(said["schema"])[0]["classes"] == ["male", "female"]
    assert np.array(json.loads(said["template"])).shape == (5, 2) and "mobilefacenet" in json.loads(said["seen"])
    assert np.array_equal(json.loads(said["outline"]), mean_outline())


@pytest.mark.parametrize("size", [32, 48])
def test_weights_say_at_which_size_they_run(saved, size):
    assert PrivacyNet(saved(Generator(GeneratorShape(size, 8, 1, "channels", "image")))).crop_size == size


def test_where_it_paints_and_in_which_colours_is_exported(tmp_path, crops, saved):
    path = saved(Generator(GeneratorShape(112, 8, 1, region="outline", chroma=0.4)))
    outlined = session(tmp_path / "outlined.onnx", path)
    x = np.ascontiguousarray(crops[:3].transpose(0, 3, 1, 2))
    given = {"images": x, "labels": np.eye(9, dtype=np.float32)[:3], "outlines": np.zeros((3, 1, 28, 28), np.float32)}
    given["outlines"][..., 8:20] = 1
    with torch.inference_mode():
        generator = load_generator(path, "cpu", PRIVACYNET.architecture)[0]
        wanted = generator(*map(torch.from_numpy, given.values())).numpy()
    (changed,) = outlined.run(None, given)
    assert np.abs(changed - wanted).max() < 1e-3
    assert np.array_equal(changed[..., :28], x[..., :28]) and not np.array_equal(changed[..., 40:60], x[..., 40:60])
    assert "outlines" in outlined.get_modelmeta().custom_metadata_map["inputs"]


def test_the_papers_form_is_exported_too(tmp_path, saved):
    paper = session(tmp_path / "paper.onnx", saved(Generator(GeneratorShape(32, 8, 1, "channels", "image"))))
    assert "outline" not in paper.get_modelmeta().custom_metadata_map
    feeds = {"images": np.random.rand(5, 3, 32, 32).astype(np.float32), "labels": np.eye(9, dtype=np.float32)[:5]}
    assert paper.run(None, feeds)[0].shape == (5, 3, 32, 32)


def test_an_existing_file_another_suffix_and_weights_of_another_method_are_refused(tmp_path, saved):
    out = tmp_path / "a.onnx"
    out.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        export_onnx(PRIVACYNET, out)
    assert out.read_bytes() == b"mine"
    with pytest.raises(UsageError, match=r"\.onnx"):
        export_onnx(PRIVACYNET, tmp_path / "a.bin")
    other = saved(Generator(GeneratorShape(32, 8, 1)), architecture="other-generator")
    with pytest.raises(WeightsError, match="other-generator"):
        export_onnx(PRIVACYNET, tmp_path / "b.onnx", other)
    assert not (tmp_path / "b.onnx").exists()


def test_the_command_exports_and_says_so(tmp_path, saved):
    weights = saved(Generator(GeneratorShape(32, 8, 1)))
    out = tmp_path / "deep" / "small.onnx"
    result = CliRunner().invoke(main, ["export", "privacynet", "--onnx", str(out), "--weights", str(weights)])
    assert result.exit_code == 0, result.output
    assert out.is_file() and str(out) in result.stdout
    again = CliRunner().invoke(main, ["export", "privacynet", "--onnx", str(out)])
    assert again.exit_code == 2 and again.stderr.count("\n") == 1 and "--overwrite" in again.stderr
