"""Each training face's own outline, which limits the change in training as at inference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from facepriv_privacynet import region, runs
from facepriv_privacynet.config import OURS
from facepriv_privacynet.data import draw_work
from facepriv_privacynet.networks import Generator, GeneratorShape
from facepriv_privacynet.region import OUTLINE_SIDE, outline, outlines_of
from facepriv_privacynet.training import Trainer
from facepriv_privacynet.validation import Gain, changed
from torch.nn import functional as F

from facepriv.faces import crop_faces, find_faces
from facepriv.faces.detect import landmarks_of_crop
from facepriv.testing.training import labelled
from facepriv.training.faces import OUTLINE
from facepriv.training.judges import JudgeShape


@pytest.fixture(scope="module")
def crops(portraits):
    """The crops (2, 3, 112, 112) uint8 of two real faces."""
    found = np.concatenate([crop_faces(rgb, find_faces(rgb)[:1], 112) for rgb in portraits])
    return torch.from_numpy(np.rint(found * 255).astype(np.uint8)).permute(0, 3, 1, 2)


@pytest.fixture
def faces(crops):
    return labelled(crops, [40.0, 60.0], gender=[1, 0], race=[0, 0], age=[1, 2])


def test_an_outline_holds_the_face_and_leaves_out_what_is_beside_it(crops):
    outlines = outlines_of(crops)
    assert outlines.shape == (2, 1, OUTLINE_SIDE, OUTLINE_SIDE) and outlines.dtype == torch.uint8
    for crop, found in zip(crops, outlines[:, 0].numpy(), strict=True):
        landmarks = landmarks_of_crop(crop.permute(1, 2, 0).contiguous().numpy())
        for x, y in landmarks[17:] / 4:  # brows, nose, eyes, mouth
            assert found[int(y), int(x)] == 255
        assert found[:, 0].max() == found[:, -1].max() == found[-1].max() == 0
        below = int(landmarks[8, 1] / 4) + 4
        assert not found[below:].any() and 0.35 < (found > 127).mean() < 0.75


def test_an_outline_turns_with_the_head(crops):
    landmarks = landmarks_of_crop(crops[0].permute(1, 2, 0).contiguous().numpy())
    mirrored = landmarks.copy()
    mirrored[:, 0] = 111 - mirrored[:, 0]
    mirrored[:17] = mirrored[16::-1]
    assert np.abs(outline(mirrored, 112).astype(int) - outline(landmarks, 112)[:, ::-1]).mean() < 8


def test_outlines_are_mirrored_with_their_faces(faces):
    faces.outlines = outlines_of(faces.crops)
    rows = torch.tensor([0] * 16)
    x, labels = faces.take(rows)
    mirrored = [torch.equal(face, faces.crops[0].flip(2).float() / 255) for face in x]
    assert 0 < sum(mirrored) < 16
    for turned, found in zip(mirrored, labels[OUTLINE], strict=True):
        wanted = faces.outlines[0].float() / 255
        assert torch.equal(found, wanted.flip(2) if turned else wanted)


def test_a_step_changes_outlined_heads_alone(faces):
    small = {"generator": GeneratorShape(112, 8, 1), "judges": (JudgeShape(16, 8),), "batch": 2, "judges_batch": 2}
    trainer = Trainer(replace(OURS.unmatched(), **small, judges_each_step=1), faces, [], Accelerator(cpu=True))
    work = draw_work(faces, trainer.recipe)
    everywhere, _, _ = trainer.generator_step(work)
    assert (everywhere != work.faces).any(1)[:, :, 4].any()
    faces.outlines = outlines_of(faces.crops)
    work = draw_work(faces, trainer.recipe)
    changed, _, _ = trainer.generator_step(work)
    beside = F.interpolate(work.own[OUTLINE], size=112, mode="bilinear")[:, 0] == 0
    moved = (changed != work.faces).any(1)
    assert beside.float().mean() > 0.2 and not moved[beside].any() and moved.float().mean() > 0.3


def test_validation_changes_outlined_heads_alone(faces):
    rows, own = torch.tensor([1, 0]), {name: values.flip(0) for name, values in faces.labels.items()}
    generator = Generator(GeneratorShape(112, 8, 1))
    faces.outlines = outlines_of(faces.crops)
    x = faces.crops[rows].float() / 255
    moved = (changed(Gain(generator, 0.5), faces, rows, own) != x).any(1)
    beside = F.interpolate(faces.outlines[rows].float(), size=112, mode="bilinear")[:, 0] == 0
    assert beside.any() and not moved[beside].any() and moved.any()


def test_outlines_are_kept_and_read_again_for_the_same_faces_alone(faces, tmp_path, monkeypatch):
    runs.fill_outlines(faces, tmp_path / "outlines")
    again, other = replace(faces, outlines=None), replace(faces, outlines=None)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "outlines_of", None)  # nobody is traced
        runs.fill_outlines(again, tmp_path / "outlines")
    assert torch.equal(again.outlines, faces.outlines)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "DRAWING", "another way")  # the kept ones are drawn again
        patch.setattr(runs, "outlines_of", lambda crops: torch.zeros_like(faces.outlines))
        runs.fill_outlines(again, tmp_path / "outlines")
    assert not again.outlines.any()
    other.labels = {**faces.labels, "gender": 1 - faces.labels["gender"]}
    other.crops = faces.crops.flip(0)
    runs.fill_outlines(other, tmp_path / "outlines")
    assert torch.equal(other.outlines, region.outlines_of(other.crops))
    assert not torch.equal(other.outlines, again.outlines)
