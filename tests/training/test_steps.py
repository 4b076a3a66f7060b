"""Learning rates follow the step alone."""

import pytest
import torch

from facepriv.training.steps import set_rates


def rates_at(step, steps, decay):
    slow, fast = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0) for _ in range(2))
    set_rates({slow: 0.1, fast: 10.0}, step, steps, decay)
    assert fast.param_groups[0]["lr"] == pytest.approx(100 * slow.param_groups[0]["lr"])
    return fast.param_groups[0]["lr"]


def test_rates_fall_linearly_over_the_last_share_to_two_percent():
    assert [rates_at(step, 100, 0.4) for step in (0, 60)] == [10, 10]
    assert rates_at(80, 100, 0.4) == pytest.approx(5)
    assert rates_at(99, 100, 0.4) == pytest.approx(0.25)
    assert rates_at(100, 100, 0.4) == rates_at(150, 100, 0.4) == pytest.approx(0.2)


def test_rates_stay_without_decay_and_need_no_steps():
    assert rates_at(99, 100, 0.0) == 10
    assert rates_at(0, 0, 0.3) == 10
