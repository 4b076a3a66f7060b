"""A control experiment: the recipe is PrivacyNet's but for the matcher, and so is what is drawn."""

from dataclasses import fields

import pytest
import torch
from accelerate import Accelerator
from facepriv_baseline_gan.method import BASELINE
from facepriv_privacynet.config import PRIVACYNET
from facepriv_privacynet.training import Trainer

from facepriv.testing.training import TinyMatcher, labelled


@pytest.mark.parametrize("preset", list(PRIVACYNET.presets))
def test_the_recipe_is_privacynets_but_for_the_matchers_terms(preset):
    ours, baseline = PRIVACYNET.presets[preset], BASELINE.presets[preset]
    different = {f.name for f in fields(ours) if getattr(ours, f.name) != getattr(baseline, f.name)}
    assert different <= {"w_identity", "w_alike", "w_told"} and "w_identity" in different
    assert ours.matched and not baseline.matched
    assert baseline.w_identity == baseline.w_alike == baseline.w_told == 0


def test_networks_begin_alike_and_the_first_step_sees_the_same_faces_targets_and_judges(monkeypatch):
    torch.manual_seed(0)
    crops = torch.randint(0, 255, (6, 3, 112, 112), dtype=torch.uint8)
    classes = {name: [n % count for n in range(6)] for name, count in (("gender", 2), ("race", 4), ("age", 3))}
    faces = labelled(crops, [20.0, 30, 40, 50, 60, 70], **classes)
    seen = []
    monkeypatch.setattr(Trainer, "generator_step", lambda self, work: seen.append(work) or (work.faces, None, {}))
    for name in ("discriminator_step", "judges_step"):
        monkeypatch.setattr(Trainer, name, lambda *_: {})
    trainers = [
        Trainer(variant.presets["ours"], faces, [TinyMatcher()], Accelerator(cpu=True, mixed_precision="no"))
        for variant in (PRIVACYNET, BASELINE)
    ]
    for one, other in zip(*(t.nets().values() for t in trainers), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for trainer in trainers:
        torch.rand(3)  # what was drawn before does not matter
        trainer.train_step()
    one, other = seen
    assert torch.equal(one.faces, other.faces) and torch.equal(one.real[0], other.real[0])
    assert one.judges == other.judges and torch.equal(one.kept, other.kept)
    assert all(torch.equal(one.targets[name], other.targets[name]) for name in (*classes, "years"))
