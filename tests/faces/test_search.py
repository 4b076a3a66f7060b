"""The search network proposes faces of an octave of widths, wherever they lie; bands give what the whole gives."""

import numpy as np
import pytest
import torch
from PIL import Image

from facepriv.faces import search
from facepriv.weights import load_weights

# dlib's box of the face in the file is 88 pixels wide; MTCNN's has its centre here.
CENTRE = np.array((222.0, 115.0))


@pytest.fixture(scope="module")
def astronaut(astronaut_file):
    with Image.open(astronaut_file) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("width", [8, 10, 12, 14])
@pytest.mark.parametrize("moved", [(0, 0), (3, 5)])
def test_a_face_is_proposed_at_its_place_and_size(astronaut, width, moved):
    times = width / 78
    small = astronaut.resize((round(512 * times),) * 2, Image.Resampling.BOX)
    photo = Image.new("RGB", (200, 150), (120, 130, 110))
    photo.paste(small, (60 + moved[0], 40 + moved[1]))
    boxes, _ = search.proposals(np.asarray(photo), 0.0)
    apart = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - (CENTRE * times + (60, 40) + moved)).max(1)
    sides = boxes[:, 2] - boxes[:, 0]
    assert ((apart < 0.3 * width) & (sides > width) & (sides < 1.75 * width)).any()
    assert len(boxes) < 0.1 * 25 * 19  # of the cells


def test_a_face_that_is_too_large_is_left_to_a_smaller_copy(astronaut):
    boxes, _ = search.proposals(np.asarray(astronaut), 0.0)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert not (np.abs(centres - CENTRE).max(1) < 20).any()


@pytest.mark.parametrize("size", [(1, 1), (7, 900), (61, 83), (600, 136)])
def test_bands_give_what_the_layers_give_for_the_whole_picture(size):
    copy = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    layers = load_weights(search.WEIGHTS, architecture=search.ARCHITECTURE, framework="torch").tensors
    layers = {name: tensor.float() for name, tensor in layers.items()}
    padded = np.pad(copy, [(0, -side % search.CELL) for side in size] + [(0, 0)], mode="edge")
    x = (torch.from_numpy(padded).permute(2, 0, 1)[None].float() - 127.5) / 128
    for name, stride, padding in (("conv1", 4, 0), ("conv2", 2, 1), ("conv3", 1, 1)):
        x = torch.relu(torch.conv2d(x, layers[f"{name}.weight"], layers[f"{name}.bias"], stride, padding))
    expected = torch.conv2d(x, layers["head.weight"], layers["head.bias"])[0].numpy()
    assert search.run(copy) == pytest.approx(expected, abs=2e-3)


def test_proposals_are_finite_and_have_an_area_whatever_the_network_says(monkeypatch):
    wild = np.full((4, 5, 6), 1e6, np.float32)
    wild[3] = -1e6
    monkeypatch.setattr(search, "run", lambda copy: wild)
    boxes, scores = search.proposals(np.zeros((40, 48, 3), np.uint8), 0.0)
    assert len(boxes) == len(scores) == 30
    assert np.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()
