"""Age in ranks: consistent, shared, summed to years, and a loss that knows distance."""

import pytest
import torch

from facepriv.training.ordinal import AGE_RANKS, Coral, age_loss, years_from


def test_coral_probabilities_fall_with_the_rank_when_biases_do():
    torch.manual_seed(0)
    p = Coral(5)(torch.randn(7, 5)).sigmoid()
    assert p.shape == (7, AGE_RANKS)
    assert (p[:, 1:] <= p[:, :-1]).all()


def test_coral_ranks_share_one_weight_vector():
    coral = Coral(5)
    assert sum(p.numel() for p in coral.parameters()) == 5 + AGE_RANKS
    a, b = coral(torch.zeros(1, 5)), coral(torch.ones(1, 5))
    assert torch.allclose(b - a, (b - a)[:, :1].expand(-1, AGE_RANKS), atol=1e-5)


def test_years_are_the_sum_of_rank_probabilities():
    sure = torch.full((1, AGE_RANKS), -50.0)
    sure[:, :37] = 50.0
    assert years_from(sure).item() == pytest.approx(37, abs=1e-4)


def test_age_loss_grows_with_the_distance_and_leaves_unknown_ages_out():
    ranks = torch.where(torch.arange(AGE_RANKS) < 30, 9.0, -9.0)[None].requires_grad_()
    losses = [age_loss(ranks, torch.tensor([years])).item() for years in (30.0, 45.0, 80.0)]
    assert losses[0] < losses[1] < losses[2]
    both = age_loss(ranks.repeat(2, 1), torch.tensor([45.0, float("nan")]))
    assert both.item() == pytest.approx(losses[1])
    nothing = age_loss(ranks, torch.tensor([float("nan")]))
    assert nothing.item() == 0
    nothing.backward()
