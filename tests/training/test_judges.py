"""Judges: what they give, and what they do not see."""

import pytest
import torch

from facepriv.training.judges import JUDGES, Judge


@pytest.mark.parametrize("shape", JUDGES, ids=lambda s: f"{s.size}{'-grey' if s.grey else ''}")
def test_judges_give_logits_and_gradients_to_the_image(shape):
    x = torch.rand(2, 3, 112, 112, requires_grad=True)
    out = Judge(shape)(x)
    assert {k: v.shape for k, v in out.items()} == {"gender": (2, 2), "race": (2, 4), "years": (2, 90)}
    out["gender"].sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_a_judge_sees_age_in_ranks_or_in_groups():
    x = torch.rand(1, 3, 112, 112)
    assert set(Judge(JUDGES[0], ordered=False)(x)) == {"gender", "race", "age"}
    assert set(Judge(JUDGES[0], ordered=True)(x)) == {"gender", "race", "years"}


def test_a_grey_judge_does_not_see_colour():
    shape = next(s for s in JUDGES if s.grey)
    judge, x = Judge(shape), torch.rand(1, 3, 112, 112) * 0.5
    # Red and green exchanged so that luminance stays: 0.299 dr = -0.587 dg.
    y = x.clone()
    y[:, 0] += 0.1
    y[:, 1] -= 0.1 * 0.299 / 0.587
    assert torch.allclose(judge(x)["gender"], judge(y)["gender"], atol=1e-4)
