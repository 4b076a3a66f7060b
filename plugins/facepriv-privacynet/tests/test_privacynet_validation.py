"""What a run looks at: the targets of the evaluation preset, the figures, the sample grid."""

import numpy as np
import pytest
import torch
from facepriv_privacynet.networks import Generator, GeneratorShape
from facepriv_privacynet.validation import Gain, Recognition, figures, flipped, sample_grid
from PIL import Image
from torch import nn

from facepriv.metrics.verification import rates_at, tmr_at_fmr
from facepriv.testing.training import TinyMatcher, labelled
from facepriv.training.judges import Judge, JudgeShape


class Brightness(nn.Module):
    """A stand-in estimator: bright faces are female; race is always the first class; brightness is age."""

    def forward(self, x):
        bright = (x.mean(dim=(1, 2, 3)) - 0.5) * 20
        return {
            "gender": torch.stack([-bright, bright], 1),
            "race": torch.tensor([[4.0, 0, 0, 0]]).repeat(len(x), 1),
            "years": 50.0 * (torch.sign(x.mean(dim=(1, 2, 3)) * 90 - torch.arange(90)[:, None] - 0.5)).T,
        }


class Inverter(nn.Module):
    """A generator that turns light into dark where another gender than the own is wanted."""

    def forward(self, x, v):
        own = (x.mean(dim=(1, 2, 3)) > 0.5).float()
        flip = (v[:, 1] != own)[:, None, None, None]
        return torch.where(flip, 1 - x, x)


@pytest.fixture
def faces():
    torch.manual_seed(0)
    light = torch.tensor([60, 70, 180, 190, 65, 200])[:, None, None, None]
    crops = (light + torch.randint(-20, 20, (6, 3, 32, 32))).to(torch.uint8)
    classes = {"gender": [0, 0, 1, 1, 0, 1], "race": [0, 1, 2, 3, -1, 0], "age": [0, 1, 2, 0, 1, -1]}
    return labelled(crops, [20.0, 40, 60, 20, 40, 50], **classes)


def test_flipped_targets_follow_the_evaluation_preset(faces):
    targets = flipped(faces.labels, ("gender", "race", "age"))
    assert targets["gender"].tolist() == [1, 1, 0, 0, 1, 0]
    assert targets["race"].tolist() == [1, 0, 3, 2, -1, 1]
    assert targets["age"].tolist() == [1, 2, 0, 1, 2, -1]
    assert flipped(faces.labels, ("gender",))["race"].tolist() == faces.labels["race"].tolist()


def test_figures_of_a_generator_that_inverts_gender_and_nothing_else(faces):
    found = figures(Inverter(), faces, torch.arange(6), Brightness(), TinyMatcher())
    assert found["eer_original"] == 0 and found["eer_own"] == 0
    assert found["eer_gender"] == 1
    assert found["race_kept"] == 1 and found["race_hidden"] == 0
    assert found["years_kept"] > 10 and found["years_old"] == found["years_young"] == 0
    assert 0 < found["cosine"] < 1.01 and found["change"] > 0.1


def test_a_gain_scales_the_change(faces):
    torch.manual_seed(0)
    generator, x, v = Generator(GeneratorShape(32, 8, 1)).eval(), torch.rand(2, 3, 32, 32), torch.rand(2, 9)
    torch.nn.init.normal_(generator.leave.weight, std=0.01)
    whole, half = generator(x, v) - x, Gain(generator, 0.5)(x, v) - x
    assert whole.abs().max() > 0 and torch.allclose(half, whole / 2, atol=1e-6)


def test_figures_and_grid_of_a_real_generator(faces, tmp_path):
    torch.manual_seed(0)
    generator = Generator(GeneratorShape(32, 8, 1)).eval()
    found = figures(generator, faces, torch.arange(6), Judge(JudgeShape(16, 8)).eval(), TinyMatcher())
    assert all(0 <= value <= 1.01 for name, value in found.items() if "years" not in name and name != "alike")
    assert abs(found["alike"]) < 0.1 and found["years_kept"] < 5
    sample_grid(generator, faces, torch.arange(3), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        # Original, own labels, and the seven selections of three attributes.
        assert grid.size == (9 * 32, 3 * 32)


def people(count=20):
    """Two noisy pictures of each of `count` made-up people."""
    torch.manual_seed(0)
    base = torch.randint(0, 200, (count, 3, 16, 16)).repeat_interleave(2, 0)
    crops = (base + torch.randint(0, 40, base.shape)).to(torch.uint8)
    none = [0] * 2 * count
    faces = labelled(crops, [20.0] * 2 * count, gender=[n // 2 % 2 for n in range(2 * count)], race=none, age=none)
    return faces, [str(n // 2) for n in range(2 * count)]


class Thumbnail(nn.Module):
    def forward(self, x):
        small = nn.functional.adaptive_avg_pool2d(x, 8).flatten(1)
        return nn.functional.normalize(small - small.mean(1, keepdim=True), dim=1)


def test_recognition_is_the_originals_where_nothing_changes_and_falls_where_all_faces_grow_alike():
    faces, subjects = people()
    recognition = Recognition(faces, torch.arange(len(faces)), subjects, Thumbnail(), fmr=0.1)
    same = recognition(lambda x, v: x)
    assert same["tmr_original"] == same["tmr"] == same["tmr_fixed"] > 0.9 and same["fmr_fixed"] <= 0.1
    common = torch.rand(3, 16, 16)
    alike = recognition(lambda x, v: 0.1 * x + 0.9 * common)
    assert alike["tmr_original"] == same["tmr_original"]
    assert alike["fmr_fixed"] > 0.9  # what no own threshold would tell


def test_recognition_is_that_of_the_independent_pairwise_metrics():
    faces, subjects = people()
    rows = torch.arange(len(faces))

    def dim(x, v):
        return x + 0.4 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))

    found = Recognition(faces, rows, subjects, Thumbnail(), fmr=0.1)(dim)
    x = faces.crops.float() / 255
    first, second = np.triu_indices(len(subjects), 1)
    same = np.array(subjects)[first] == np.array(subjects)[second]
    changed = torch.cat([dim(part, None) for part in x.split(32)])
    before, after = ((d @ d.T).numpy()[first, second] for d in (Thumbnail()(x), Thumbnail()(changed)))
    own = tmr_at_fmr(after[same], after[~same], 0.1)
    fixed = rates_at(after[same], after[~same], tmr_at_fmr(before[same], before[~same], 0.1).threshold)
    assert found["tmr"] == pytest.approx(own.tmr) and found["tmr_fixed"] == pytest.approx(fixed.tmr)
    assert found["fmr_fixed"] == pytest.approx(fixed.fmr)


def test_recognition_says_nothing_of_too_few_pairs():
    faces, subjects = people(3)
    assert Recognition(faces, torch.arange(6), subjects, Thumbnail())(lambda x, v: x) == {}
