"""A convolution by oneDNN's operators is torch's own convolution, with its activation."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from facepriv.inference.onednn import NONE, RELU, RELU6, Convolution, can_fuse

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this build of torch has not the operators")


@pytest.mark.parametrize(("activation", "plain"), [(NONE, lambda x: x), (RELU, F.relu), (RELU6, F.relu6)])
@pytest.mark.parametrize(("groups", "stride", "bias"), [(1, 1, True), (8, 2, False)])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_it_computes_what_torch_does(activation, plain, groups, stride, bias, dtype, apart):
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, 3, stride, 1, groups=groups, bias=bias).requires_grad_(False)
    nn.init.normal_(layer.weight)
    found = Convolution(layer.to(dtype), activation)
    for _ in range(2):  # the first call lays the weights out
        x = 3 * torch.randn(2, 8, 20, 20).to(dtype, memory_format=torch.channels_last)
        wanted, given = plain(layer(x)), found(x)
        assert given.dtype == dtype and given.shape == wanted.shape
        assert wanted.float().abs().max() > 5
        assert (given.float() - wanted.float()).abs().max() <= apart * wanted.float().abs().max() / 6
