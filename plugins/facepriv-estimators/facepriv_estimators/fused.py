"""MobileFaceNet's trunk for prediction on a CPU: convolution, bias and activation in one pass of oneDNN.

Where a build of torch lacks the operators, the plain trunk runs.
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
    """What `MobileFaceNet.features` computes, but for rounding, and without gradients.

    It is given always as many images, a face and its mirror image: the weights are laid out for the first ones' shape.
    Only itself is a module of torch: its many small layers would spend much of the time on being called.
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
