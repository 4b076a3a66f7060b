"""MobileFaceNet's trunk for prediction on a CPU: convolution, bias and activation in one pass of oneDNN.

torch itself runs them one after the other, and with a single thread its 1x1 convolutions without oneDNN. The operators
are those that torch's compiler puts in; where a build of torch lacks them, the plain trunk runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from facepriv_estimators.mobilefacenet import InvertedResidual, MobileFaceNet

_RELU6: tuple[str, list[float]] = ("hardtanh", [0.0, 6.0])
_RELU: tuple[str, list[float]] = ("relu", [])
_NONE: tuple[str, list[float]] = ("none", [])


def can_fuse() -> bool:
    """Tell whether this build of torch has the operators."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class Convolution:
    """A convolution with its activation; its weights are laid out for oneDNN once, at the first images."""

    def __init__(self, plain: nn.Conv2d, activation: tuple[str, list[float]]) -> None:
        self.weight, self.bias = plain.weight.detach(), plain.bias
        self._form: tuple[Any, ...] = (plain.padding, plain.stride, plain.dilation, plain.groups)
        self._activation = (*activation, "")
        self._packed = False

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        if not self._packed:
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self._form, x.shape)
            self._packed = True
        return torch.ops.mkldnn._convolution_pointwise.default(
            x, self.weight, self.bias, *self._form, *self._activation
        )


class Block:
    """An inverted residual."""

    def __init__(self, plain: InvertedResidual) -> None:
        self.shortcut = plain.shortcut
        self.expand, self.depthwise = Convolution(plain.expand, _RELU6), Convolution(plain.depthwise, _RELU6)
        self.project = Convolution(plain.project, _NONE)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class Trunk(nn.Module):
    """What `MobileFaceNet.features` computes, but for rounding, and without gradients.

    It is given always as many images, a face and its mirror image: the weights are laid out for the first ones' shape.
    Only itself is a module of torch: its many small layers would spend much of the time on being called.
    """

    def __init__(self, plain: MobileFaceNet) -> None:
        super().__init__()
        self.layers = (
            Convolution(plain.stem, _RELU6),
            Convolution(plain.stem_depthwise, _RELU),
            Convolution(plain.stem_pointwise, _RELU),
            *(Block(block) for block in plain.blocks),
            Convolution(plain.head, _RELU6),
            Convolution(plain.pool, _NONE),
        )
        self.dtype = plain.stem.weight.dtype

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, 512)."""
        x = x.to(self.dtype, memory_format=torch.channels_last)
        for layer in self.layers:
            x = layer(x)
        return x.flatten(1)
