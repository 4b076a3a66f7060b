"""The shared losses against values worked out by hand."""

import pytest
import torch
from torch import nn

from facepriv.training import losses


def test_alike_counts_only_what_brings_different_faces_together():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    middle = nn.functional.normalize(torch.stack([a + b, a + b]), dim=1)
    assert losses.alike(torch.stack([a, b]), middle).item() == pytest.approx(1)
    assert losses.alike(middle, torch.stack([a, b])).item() == 0
    assert losses.alike(a[None], b[None]).item() == 0


def test_identity_is_the_squared_distance_of_descriptors():
    a, b = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert losses.identity(a, b).item() == 1.0


def test_roughness_of_an_even_change_is_zero_and_of_a_step_is_not():
    x = torch.zeros(1, 3, 4, 4)
    assert losses.roughness(x, x + 0.3).item() == pytest.approx(0, abs=1e-6)
    stepped = x.clone()
    stepped[..., 2:] += 0.5
    assert losses.roughness(x, stepped).item() > 0.1


def test_a_face_fades_where_its_edges_grow_weaker_and_not_where_they_grow_stronger():
    x = torch.zeros(1, 3, 8, 8)
    x[..., 4:] = 0.4
    assert losses.faded(x, 0.5 + 0.5 * x).item() == pytest.approx(0.2 / 3)  # one of three steps across is half as high
    assert losses.faded(x, 2 * x).item() == losses.faded(x, x + 0.3).item() == 0


def test_unknown_labels_do_not_count_in_the_cross_entropy():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    known = losses.cross_entropy(logits, torch.tensor([0, 0, -1]))
    assert known.item() == pytest.approx(nn.functional.cross_entropy(logits[:2], torch.tensor([0, 0])).item())
    assert losses.cross_entropy(logits.bfloat16(), torch.tensor([0, 0, -1])).dtype == torch.float32
    assert losses.cross_entropy(logits, torch.full((3,), -1)).item() == 0
