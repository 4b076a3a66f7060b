"""Augmentation of pairs: both halves of a batch under the same view."""

from itertools import pairwise

import pytest
import torch

from facepriv.training.augment import Augmentation, matcher_jitter

QUIET = Augmentation(noise=0, grey=0.5)


@pytest.mark.parametrize("transform", ["geometric", "photometric"])
def test_both_halves_of_a_pair_change_alike(transform):
    torch.manual_seed(0)
    x = torch.rand(6, 3, 16, 16)
    first, second = getattr(QUIET, transform)(torch.cat([x, x]), pairs=True).chunk(2)
    assert torch.equal(first, second)
    assert not torch.allclose(first, x, atol=0.01)


def test_faces_of_a_batch_change_each_in_its_own_way():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16).repeat(6, 1, 1, 1)
    pairs = QUIET.photometric(x, pairs=True)[:3]
    single = QUIET.photometric(x)
    for views in (pairs, single):
        assert all((a - b).abs().max() > 0.01 for a, b in pairwise(views))


def test_the_share_of_grey_faces_is_the_one_asked_for():
    torch.manual_seed(0)
    views = Augmentation(light=0, colour=0, noise=0, grey=0.25).photometric(torch.rand(400, 3, 4, 4))
    grey = (views - views.mean(1, keepdim=True)).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 70 < grey.sum() < 130


def test_gradients_reach_the_image_through_every_transform():
    torch.manual_seed(0)
    x = (torch.rand(4, 3, 16, 16) * 0.5 + 0.25).requires_grad_(True)
    Augmentation()(x).sum().backward()
    assert x.grad is not None and (x.grad.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_the_jitter_before_a_matcher_neither_mirrors_nor_adds_noise():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16).repeat(8, 1, 1, 1)
    jitter = matcher_jitter(0.03, 0.4, 0.2)
    assert (jitter.shift, jitter.smallest, jitter.light, jitter.colour, jitter.grey) == (0.03, 0.4, 0.2, 0.2, 0.2)
    same = matcher_jitter(0.0, 1.0, 0.0)
    assert torch.equal(same.resolution(same.photometric(x)), same.photometric(x))
    for view in jitter.geometric(x):
        near, mirrored = ((view - other).abs().mean() for other in (x[0], x[0].flip(2)))
        assert near < mirrored
