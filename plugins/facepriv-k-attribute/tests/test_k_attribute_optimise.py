"""The optimisation, on linear classifiers whose smallest perturbation is known in closed form."""

import numpy as np
import pytest
import torch
from facepriv_k_attribute.classifiers import Classifier
from facepriv_k_attribute.optimise import VIEWS, Demand, demands, lead, perturb

from facepriv.training.augment import Augmentation

SIDE = 8
#: A view that changes nothing.
STILL = Augmentation(rotate=0, shift=0, scale=0, flip=False, light=0, colour=0, smallest=1, noise=0, grey=0)
WHOLE = torch.ones(SIDE, SIDE)


@pytest.fixture
def face():
    return torch.from_numpy(np.random.default_rng(0).uniform(0.4, 0.6, (1, 3, SIDE, SIDE)).astype(np.float32))


def plane(seed):
    """Return a linear score of images, and its weights."""
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, SIDE, SIDE)).astype(np.float32))
    return weights, lambda x: (x * weights).sum((1, 2, 3))


def logits_of(score):
    """Two logits whose difference is the score."""
    return lambda x: torch.stack([torch.zeros(len(x)), score(x)], 1)


def turning(score, face, margin):
    """Return the demand that a face be of the other class than the score says, and its shortfall of images."""
    demand = Demand(int(score(face)[0] <= 0), margin)
    return demand, lambda x: demand.shortfall(logits_of(score)(x))


def solve(face, shortfall, **options):
    options = {"budget": 1.0, "steps": 50, "views": 1, "augment": STILL, **options}
    return perturb(face, WHOLE, shortfall, **options)


def test_of_one_linear_demand_the_change_is_hardly_longer_than_the_shortest():
    x = torch.full((1, 3, SIDE, SIDE), 0.5)
    weights, score = plane(1)
    demand, shortfall = turning(score, x, 2.0)
    change = solve(x, shortfall)
    start = float(lead(logits_of(score)(x), demand.wanted))
    assert start < 0
    shortest = (2.0 - start) / float(weights.norm())
    assert float(lead(logits_of(score)(x + change), demand.wanted)) >= 2.0
    assert shortest <= float(change.norm()) <= 1.3 * shortest


def test_two_demands_are_met_together(face):
    asked = [turning(plane(seed)[1], face, 1.0)[1] for seed in (1, 2)]

    def shortfall(v):
        return sum(one(v) for one in asked)

    assert float(shortfall(face)) > 1
    assert float(shortfall(face + solve(face, shortfall))) == 0


def test_the_budget_is_never_exceeded_and_steps_end_what_cannot_be_met(face):
    _, shortfall = turning(plane(1)[1], face, 1e6)
    looked = []
    change = solve(face, lambda v: looked.append(1) or shortfall(v), budget=0.02, steps=7)
    assert len(looked) == 7
    assert float(change.square().mean().sqrt()) == pytest.approx(0.02, rel=1e-3)


def test_where_nothing_is_asked_nothing_changes(face):
    demand = Demand(0, margin=-1e6)
    change = solve(face, lambda v: demand.shortfall(logits_of(plane(1)[1])(v)))
    assert not change.any()


def test_a_gradient_that_vanishes_leaves_the_face_and_raises_nothing(face):
    change = solve(face, lambda v: 1 + 0 * v.sum())
    assert not change.any()


def test_several_views_in_a_row_must_be_met(face):
    looked = []

    def shortfall(v):
        looked.append(1)
        return torch.relu(torch.tensor(0.0 if len(looked) != 2 else 1.0) + 0 * v.sum())

    solve(face, shortfall, views=3)
    assert len(looked) == 5  # met, not met, then three in a row


def test_views_differ_and_are_the_same_for_every_face(face):
    def watched(x):
        views = []

        def shortfall(v):
            views.append(v.detach().clone())
            return 1 + 0 * v.sum()

        solve(x, shortfall, steps=4, augment=VIEWS)
        return views

    torch.manual_seed(1)
    first = watched(face)
    torch.manual_seed(2)
    again = watched(face)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(not torch.equal(first[0], other) for other in first[1:])


def test_what_is_pasted_away_is_left_alone(face):
    mask = torch.zeros(SIDE, SIDE)
    mask[2:6, 2:6] = 1
    _, shortfall = turning(plane(1)[1], face, 1.0)
    change = perturb(face, mask, shortfall, budget=1, steps=50, views=1, augment=STILL)
    assert change[..., 2:6, 2:6].any()
    change[..., 2:6, 2:6] = 0
    assert not change.any()


def test_hidden_attributes_want_their_target_and_kept_ones_hold_half_their_lead(face):
    table = {"gender": torch.tensor([[3.0, 0.0]]), "race": torch.tensor([[0.0, 0.4, 0.0, -1.0]])}
    both = Classifier("both", ("gender", "race"), lambda x: table)
    (asked,) = demands(face, [both], {"gender": 1}, margin=1.5, keep=2.0)
    assert asked["gender"] == Demand(1, 1.5)
    assert (asked["race"].wanted, asked["race"].weight) == (1, 2.0)
    assert asked["race"].margin == pytest.approx(0.2)
    (free,) = demands(face, [both], {"gender": 1}, margin=1.5, keep=0)
    assert set(free) == {"gender"}


def test_no_kept_attribute_is_held_more_firmly_than_the_margin(face):
    sure = Classifier("sure", ("gender",), lambda x: {"gender": torch.tensor([[9.0, 0.0]])})
    (asked,) = demands(face, [sure], {}, margin=1.5, keep=1.0)
    assert asked["gender"] == Demand(0, 1.5, 1.0)
