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


class Convolution(nn.Module):
    """A convolution with its activation; its weights are laid out for oneDNN once, at the first image."""

    def __init__(self, plain: nn.Conv2d, activation: tuple[str, list[float]]) -> None:
        super().__init__()
        self.plain, self.activation = plain, activation
        self._form: tuple[Any, ...] = (plain.padding, plain.stride, plain.dilation, plain.groups)
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> (1, C', H', W')."""
        if self._packed is None:
            weight = self.plain.weight.detach()
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._form, x.shape)
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.plain.bias, *self._form, *self.activation, ""
        )


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, plain: InvertedResidual) -> None:
        super().__init__()
        self.shortcut = plain.shortcut
        self.layers = nn.Sequential(
            Convolution(plain.expand, _RELU6), Convolution(plain.depthwise, _RELU6), Convolution(plain.project, _NONE)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> (1, C', H', W')."""
        y = self.layers(x)
        return x + y if self.shortcut else y


class Trunk(nn.Module):
    """What `MobileFaceNet.features` computes, but for rounding, for one face at a time and without gradients."""

    def __init__(self, plain: MobileFaceNet) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Convolution(plain.stem, _RELU6),
            Convolution(plain.stem_depthwise, _RELU),
            Convolution(plain.stem_pointwise, _RELU),
            *(Block(block) for block in plain.blocks),
            Convolution(plain.head, _RELU6),
            Convolution(plain.pool, _NONE),
        )

    def features(self, x: Tensor) -> Tensor:
        """(1, 3, 112, 112) -> (1, 512)."""
        return self.layers(x.contiguous(memory_format=torch.channels_last)).flatten(1)
