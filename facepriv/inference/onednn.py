"""Convolutions by oneDNN for inference on a CPU: weights are reordered once, and the activation is fused.

Eager torch reorders the weights in every call, runs bias and activation separately, and with a single thread runs 1x1
convolutions without oneDNN. The operators are those used by torch's compiler; not every build has them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

#: Activations, as arguments to oneDNN.
RELU6: tuple[str, list[float]] = ("hardtanh", [0.0, 6.0])
RELU: tuple[str, list[float]] = ("relu", [])
NONE: tuple[str, list[float]] = ("none", [])


def can_fuse() -> bool:
    """Return whether this build of torch has the operators."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class Convolution:
    """A convolution with its activation; without gradients.

    It is for images of one shape: the weights are reordered once, for the shape of the first images.
    """

    def __init__(self, plain: nn.Conv2d, activation: tuple[str, list[float]] = NONE) -> None:
        self.weight, self.bias = plain.weight.detach(), plain.bias
        self._form: tuple[Any, ...] = (plain.padding, plain.stride, plain.dilation, plain.groups)
        self._activation = (*activation, "")

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        if not self.weight.is_mkldnn:
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self._form, x.shape)
        return torch.ops.mkldnn._convolution_pointwise.default(
            x, self.weight, self.bias, *self._form, *self._activation
        )
