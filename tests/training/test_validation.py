"""Parts of the figures on validation faces."""

import pytest
import torch
from torch import nn

from facepriv.training.validation import batched, evenly, similarity


def test_faces_are_chosen_evenly_and_never_more_than_there_are():
    assert evenly(9, 3).tolist() == [0, 4, 8]
    assert evenly(2, 3).tolist() == [0, 1]


def test_batches_give_what_one_call_gives_without_gradients():
    net, x, y = nn.Linear(4, 2), torch.rand(7, 4), torch.rand(7, 4)
    sizes = []

    def function(a, b):
        sizes.append(len(a))
        return net(a - b).bfloat16()

    found = batched(function, x, y, batch=3)
    assert sizes == [3, 3, 1] and not found.requires_grad and found.dtype == torch.float32
    torch.testing.assert_close(found, net(x - y).detach(), atol=0.02, rtol=0.02)


def test_similarity_is_of_each_face_with_itself_and_of_different_faces_with_each_other():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    same = similarity(torch.stack([a, b]), torch.stack([a, b]))
    assert same == {"cosine": 1, "alike": 0}
    apart = similarity(torch.stack([a, a]), torch.stack([a, b]))
    assert apart == pytest.approx({"cosine": 0.5, "alike": -1})
