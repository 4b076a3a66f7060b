"""The second opinion passes faces in bad light that MTCNN rejects, and computes what its layers say."""

import numpy as np
import pytest
import torch
from PIL import Image

from facepriv.faces import confirm, mtcnn
from facepriv.faces.mtcnn import CONVINCED
from facepriv.weights import load_weights


@pytest.fixture(scope="module")
def patch(astronaut_file):
    """Return a function of the left, top and side of a square in the photo: its patch (1, 48, 48, 3)."""
    with Image.open(astronaut_file) as image:
        photo = image.convert("RGB")

    def cut(left, top, side, light=lambda v: v):
        square = photo.resize((48, 48), Image.Resampling.BILINEAR, (left, top, left + side, top + side)).point(light)
        return np.asarray(square)[None].astype(np.float32)

    return cut


@pytest.mark.parametrize(
    "light", [lambda v: v, lambda v: v // 3, lambda v: min(255, 1.5 * v + 20)], ids=["as it is", "dark", "overexposed"]
)
def test_a_face_passes_in_any_light(patch, light):
    assert confirm.opinions(patch(168, 58, 110, light))[0] > CONVINCED


def test_other_parts_of_the_photo_do_not_pass(patch):
    parts = [
        patch(*where) for where in ((20, 20, 110), (330, 60, 100), (180, 300, 110), (360, 330, 100), (60, 250, 80))
    ]
    assert (confirm.opinions(np.concatenate(parts)) < CONVINCED).all()


def test_the_network_computes_what_its_layers_say():
    patches = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3)).astype(np.float32)
    layers = load_weights(confirm.WEIGHTS, architecture=confirm.ARCHITECTURE, framework="torch").tensors
    layers = {name: tensor.float() for name, tensor in layers.items()}
    x = (torch.from_numpy(patches).permute(0, 3, 1, 2) - 127.5) / 128
    for name, stride, padding in (("conv1", 4, 0), ("conv2", 1, 1), ("conv3", 2, 1)):
        x = torch.relu(torch.conv2d(x, layers[f"{name}.weight"], layers[f"{name}.bias"], stride, padding))
    x = torch.relu(x.flatten(1) @ layers["full.weight"].T + layers["full.bias"])
    expected = (x @ layers["face.weight"].T + layers["face.bias"])[:, 0].numpy()
    assert confirm.opinions(patches) == pytest.approx(expected, abs=2e-3)
    assert confirm.opinions(patches[:0]).shape == (0,)


def test_a_rejected_face_is_found_with_a_second_opinion_beside_a_sure_one(astronaut_file, monkeypatch):
    with Image.open(astronaut_file) as image:
        light = np.asarray(image.convert("RGB"))
    dark = light // 3
    third = mtcnn.third

    def doubts(patches):
        shifts, scores, points = third(patches)
        return shifts, np.where(patches.mean((1, 2, 3)) < 90, np.minimum(scores, -1), scores), points

    monkeypatch.setattr(mtcnn, "third", doubts)
    boxes, _, _ = mtcnn.find(np.concatenate((light, dark), 1), 16)
    assert sorted(np.round((boxes[:, 0] + boxes[:, 2]) / 2, -1)) == pytest.approx([220, 220 + 512], abs=20)
    monkeypatch.setattr(mtcnn, "opinions", lambda patches: np.full(len(patches), -5.0))
    assert len(mtcnn.find(np.concatenate((light, dark), 1), 16)[0]) == 1
    monkeypatch.setattr(mtcnn, "opinions", lambda patches: pytest.fail("no face is sure"))
    assert not len(mtcnn.find(dark // 20, 16)[0])
