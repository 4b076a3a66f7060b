"""Readers learn gender from descriptors, and G leaves them nothing."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from facepriv_privacynet.config import RANDOM
from facepriv_privacynet.networks import GeneratorShape
from facepriv_privacynet.readers import Reader, told
from facepriv_privacynet.training import Trainer
from torch import nn
from torch.nn import functional as F

from facepriv.testing.training import TinyMatcher, four_views
from facepriv.training.judges import JudgeShape
from facepriv.training.loop import CHECKPOINT

SMALL = {"generator": GeneratorShape(32, 8, 1), "judges": (JudgeShape(16, 8),), "judges_each_step": 1}
TINY = replace(RANDOM, **SMALL, warm_up=0, batch=8, steps=4)


def described_people(count=512, width=16):
    """Unit descriptors in which one direction tells the class, and others the person."""
    own = torch.arange(count) % 2
    d = torch.randn(count, width)
    d[:, 0] += 3.0 * (2 * own - 1)
    return F.normalize(d, dim=1), own


def taught(reader, descriptors, own, steps=80):
    optimiser = torch.optim.AdamW(reader.parameters(), 1e-2)
    reader.remember(descriptors, own)
    for _ in range(steps):
        loss = reader.train().loss(128)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return reader.eval()


def test_both_models_learn_what_descriptors_tell():
    torch.manual_seed(0)
    descriptors, own = described_people()
    reader = taught(Reader(16), descriptors, own)
    fresh, classes = described_people()
    for answers in reader(fresh):
        assert (answers.argmax(1) == classes).float().mean() > 0.95


def test_told_is_zero_where_nothing_is_told_and_its_gradient_removes_the_direction():
    torch.manual_seed(0)
    descriptors, own = described_people()
    reader = taught(Reader(16), descriptors, own)
    silent = Reader(16)
    for p in silent.parameters():
        nn.init.zeros_(p)
    assert told([silent], [descriptors]).item() == pytest.approx(0, abs=1e-6)
    before = told([reader], [descriptors])
    d = descriptors.clone().requires_grad_(True)
    told([reader], [d]).backward()
    assert before > 0.3 and told([reader], [descriptors - 0.05 * F.normalize(d.grad, dim=1)]) < before
    # The class's direction is what moves, the person's stay.
    assert d.grad[:, 0].abs().mean() > 3 * d.grad[:, 1:].abs().mean()


def test_unknown_classes_are_not_remembered_and_old_descriptors_leave():
    reader = Reader(2, remembered=3)
    reader.remember(torch.tensor([[1.0, 0], [2, 0], [3, 0]]), torch.tensor([0, -1, 1]))
    assert reader.classes.tolist() == [0, 1, -1]
    reader.remember(torch.tensor([[4.0, 0], [5, 0]]), torch.tensor([1, 1]))
    assert reader.latest[:, 0].tolist() == [4, 5, 1] and reader.classes.tolist() == [1, 1, 0]


def trainer(recipe=TINY):
    return Trainer(recipe, four_views(), [TinyMatcher()], Accelerator(cpu=True, mixed_precision="no"))


def test_readers_learn_at_every_step_of_a_run_for_drawn_classes():
    t = trainer()
    before = [p.clone() for p in t.readers[0].parameters()]
    parts = t.train_step()
    assert parts["told"].isfinite() and parts["readers"] > 0
    assert not any(torch.equal(a, b) for a, b in zip(before, t.readers[0].parameters(), strict=True))


def test_a_resumed_run_has_the_readers_and_their_descriptors_of_one_that_never_stopped(tmp_path):
    never = trainer()
    for _ in range(2):
        never.train_step()
    never.save(tmp_path / CHECKPOINT)
    again = trainer()
    again.load(tmp_path / CHECKPOINT)
    for t in (never, again):
        t.train_step()
    one, other = (t.readers[0].state_dict() for t in (never, again))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_no_reader_takes_part_where_the_recipe_gives_them_no_weight():
    t = trainer(replace(TINY, w_told=0.0))
    assert t.readers == [] and not {"told", "readers"} & t.train_step().keys()
