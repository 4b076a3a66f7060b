"""MobileFaceNet's trunk for prediction on a CPU: convolution, bias and activation in one pass of oneDNN.

If a build of torch lacks the operators, the plain trunk runs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facepriv.inference.onednn import NONE, RELU, RELU6, Convolution
from facepriv_estimators.mobilefacenet import InvertedResidual, MobileFaceNet


class Block:
    """An inverted residual."""

    def __init__(self, plain: InvertedResidual) -> None:
        self.shortcut = plain.shortcut
        self.expand, self.depthwise = Convolution(plain.expand, RELU6), Convolution(plain.depthwise, RELU6)
        self.project = Convolution(plain.project, NONE)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class Trunk(nn.Module):
    """`MobileFaceNet.features` without gradients; the result differs only by rounding.

    Its input is always two images, a face and its mirror image: the weights are arranged for the first input's shape.
    Its layers are no torch modules, because module calls would take much of the time of many small layers.
    """

    def __init__(self, plain: MobileFaceNet) -> None:
        super().__init__()
        self.layers = (
            Convolution(plain.stem, RELU6),
            Convolution(plain.stem_depthwise, RELU),
            Convolution(plain.stem_pointwise, RELU),
            *(Block(block) for block in plain.blocks),
            Convolution(plain.head, RELU6),
            Convolution(plain.pool, NONE),
        )
        self.dtype = plain.stem.weight.dtype

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, 512)."""
        x = x.to(self.dtype, memory_format=torch.channels_last)
        for layer in self.layers:
            x = layer(x)
        return x.flatten(1)
