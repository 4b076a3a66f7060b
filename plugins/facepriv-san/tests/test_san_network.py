"""The network: the authors' layout, and the quick way against the plain one."""

import pytest
import torch
from facepriv_san import convert
from facepriv_san.network import San, folded
from torch.nn import functional as F


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.rand(2, 1, 32, 32), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)


def authors_forward(state, grey, own, other):
    """The published network in plain functions, from its raw state dict."""
    x = torch.cat([grey, own], 1)
    for layer in (0, 3):
        x = F.conv2d(x, state[f"autoencoder.{layer}.weight"], state[f"autoencoder.{layer}.bias"], padding=1)
        x = F.avg_pool2d(torch.where(x > 0, x, 0.01 * x), 2)
    for layer in (6, 9):
        x = F.conv2d(x, state[f"autoencoder.{layer}.weight"], state[f"autoencoder.{layer}.bias"], padding=1)
        x = torch.where(x > 0, x, 0.01 * x).repeat_interleave(2, 2).repeat_interleave(2, 3)
    weight, bias = state["protocombiner.0.weight"][0, :, 0, 0], state["protocombiner.0.bias"]
    return [
        1 / (1 + torch.exp(-(torch.einsum("nchw,c->nhw", torch.cat([x, p], 1), weight)[:, None] + bias)))
        for p in (own, other)
    ]


def test_the_quick_forward_gives_what_the_layers_give_one_after_the_other(inputs):
    net = San()
    for quick, plain in zip(net(*inputs, inputs[1]), net.plain(*inputs, inputs[1]), strict=True):
        assert quick.shape == (2, 1, 32, 32)
        torch.testing.assert_close(quick, plain, atol=1e-5, rtol=0)


def test_both_forwards_have_the_same_gradients(inputs):
    net, gradients = San(), []
    for forward in (net.forward, net.plain):
        net.zero_grad()
        (forward(*inputs)[0] ** 2).sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    for quick, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(quick, plain, atol=1e-3, rtol=1e-3)


def test_a_folded_kernel_on_the_small_picture_is_the_kernel_on_the_doubled_one():
    torch.manual_seed(1)
    x, weight = torch.rand(1, 3, 5, 7), torch.randn(4, 3, 3, 3)
    doubled = F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)
    phases = F.conv2d(x, folded(weight), padding=1).unflatten(1, (2, 2, 4))
    for a in (0, 1):
        for b in (0, 1):
            torch.testing.assert_close(phases[:, a, b, :, a : a + 5, b : b + 7], doubled[:, :, a::2, b::2])


def test_the_prototype_that_is_shown_matters_and_so_does_the_own_one(inputs):
    net = San()
    grey, own, other = inputs
    towards_own, towards_other = net(grey, own, own, other)
    assert (towards_own - towards_other).abs().max() > 1e-3
    assert (net(grey, other, other)[0] - towards_other).abs().max() > 1e-4


def test_the_authors_weights_load_and_give_their_output(authors_file, inputs):
    state = convert.read(authors_file)
    net = San()
    net.load_state_dict(state)  # strict: every name and shape is theirs
    for ours, theirs in zip(net(*inputs[:2], *inputs[1:]), authors_forward(state, *inputs), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        assert theirs.std() > 0.05  # not saturated: a comparison of something
