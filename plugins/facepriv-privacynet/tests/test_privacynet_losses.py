"""The losses against values worked out by hand or by another route."""

import numpy as np
import pytest
import torch
from facepriv_privacynet import losses
from torch import nn


def test_attribute_loss_is_the_sum_of_mean_cross_entropies_over_known_labels():
    logits = {"gender": torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]]), "age": torch.zeros(3, 3)}
    labels = {"gender": torch.tensor([0, 0, -1]), "age": torch.tensor([2, -1, -1])}
    p = np.exp([2, 0]) / np.exp([2, 0]).sum(), np.exp([0, 1]) / np.exp([0, 1]).sum()
    expected = -(np.log(p[0][0]) + np.log(p[1][0])) / 2 + np.log(3)
    assert losses.attributes(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_attribute_loss_weighs_single_attributes():
    logits, labels = (
        {"gender": torch.zeros(1, 2), "race": torch.zeros(1, 4)},
        {"gender": torch.tensor([0]), "race": torch.tensor([1])},
    )
    assert losses.attributes(logits, labels, {"gender": 3}).item() == pytest.approx(3 * np.log(2) + np.log(4), rel=1e-5)


def test_age_in_ranks_costs_more_the_further_it_is_off_and_nothing_where_unknown():
    ranks = torch.where(torch.arange(90) < 40, 8.0, -8.0)[None]
    near, far, unknown = (
        losses.attributes({"years": ranks}, {"years": torch.tensor([y])}) for y in (41.0, 70.0, np.nan)
    )
    assert 0 < near < far / 5 and unknown == 0


def test_attribute_loss_without_any_known_label_is_zero_and_finite():
    value = losses.attributes({"race": torch.randn(4, 4)}, {"race": torch.full((4,), -1)})
    assert value.item() == 0


def test_critic_and_adversarial_have_opposite_signs_on_changed_faces():
    real, changed = torch.full((2, 3, 3), 2.0), torch.full((2, 3, 3), -1.0)
    assert losses.critic(real, changed).item() == -3
    assert losses.adversarial(changed).item() == 1


def test_gradient_penalty_of_a_linear_critic_is_known_and_differentiable():
    linear = nn.Linear(3 * 4 * 4, 1, bias=False)
    with torch.no_grad():
        linear.weight.fill_(0.5)
    x, y = torch.rand(5, 3, 4, 4), torch.rand(5, 3, 4, 4)
    value = losses.gradient_penalty(lambda m, share: linear(m.flatten(1)), x, y)
    norm = 0.5 * np.sqrt(48)
    assert value.item() == pytest.approx((norm - 1) ** 2, rel=1e-5)
    value.backward()
    assert linear.weight.grad is not None and linear.weight.grad.abs().sum() > 0


def test_gradient_penalty_tells_the_share_of_the_real_face():
    x, y, seen = torch.zeros(5, 3, 4, 4), torch.ones(5, 3, 4, 4), []

    def score(mixed, share):
        seen.append(torch.allclose(mixed.mean(dim=(1, 2, 3)), 1 - share[:, 0]))
        return mixed.flatten(1).sum(1)

    losses.gradient_penalty(score, x, y)
    assert seen == [True]


def test_kept_counts_only_faces_whose_targets_are_their_own():
    x = torch.zeros(2, 3, 2, 2)
    y = torch.stack([torch.full((3, 2, 2), 0.25), torch.full((3, 2, 2), 0.75)])
    assert losses.kept(x, y, torch.tensor([True, False])).item() == 0.25
    assert losses.kept(x, y, torch.tensor([False, False])).item() == 0


def test_kept_faces_of_several_processes_average_to_the_mean_over_all():
    x, y = torch.zeros(4, 3, 2, 2), torch.arange(1.0, 5)[:, None, None, None].expand(4, 3, 2, 2)
    own = torch.tensor([True, False, True, True])
    whole = losses.kept(x, y, own)
    parts = [losses.kept(x[part], y[part], own[part], own.sum() / 2) for part in (slice(2), slice(2, 4))]
    assert sum(parts) / 2 == pytest.approx(whole.item()) == pytest.approx(8 / 3)


def test_mirror_is_zero_where_left_and_right_count_alike_and_moves_both_faces():
    y = torch.rand(2, 3, 4, 4, requires_grad=True)
    assert losses.mirror(y, y.flip(3)).item() == 0
    other = torch.rand(2, 3, 4, 4, requires_grad=True)
    losses.mirror(y, other).backward()
    assert losses.mirror(y, other).item() == pytest.approx((y.flip(3) - other).abs().mean().item())
    assert y.grad.abs().sum() > 0 and other.grad.abs().sum() > 0


def test_colour_ignores_changes_of_light_and_sees_changes_of_hue():
    x = torch.full((1, 3, 4, 4), 0.5)
    assert losses.colour(x, x + 0.2).item() == pytest.approx(0, abs=1e-9)
    red = x.clone()
    red[:, 0] += 0.2
    assert losses.colour(x, red).item() > 1e-3
