"""Layers of the small networks that find faces, in torch on the CPU.

Features are (N, C, H, W) with channels last in memory, which oneDNN computes fastest. Torch is imported with the first
network: a process that only starts others must not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facepriv.weights import load_weights

if TYPE_CHECKING:
    from torch import Tensor

    Layers = Mapping[str, Tensor]


def load(path: Path, architecture: str, *inputs: str) -> Layers:
    """Return a network's tensors, without gradients. Its layers `inputs` are adapted to pixels from 0 to 255."""
    import torch

    layers = {}
    for name, tensor in load_weights(path, architecture=architecture, framework="torch").tensors.items():
        layers[name] = tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
    for name in inputs:
        # They were trained with (pixel - 127.5) / 128.
        layers[f"{name}.weight"] = layers[f"{name}.weight"] / 128
        layers[f"{name}.bias"] = layers[f"{name}.bias"] - 127.5 * layers[f"{name}.weight"].sum((1, 2, 3))
    return layers


def pixels(pictures: NDArray[np.number]) -> Tensor:
    """(N, H, W, 3) from 0 to 255 -> (N, 3, H, W) float32."""
    from torch import from_numpy

    return from_numpy(pictures.astype(np.float32)).permute(0, 3, 1, 2)


def convolve(layers: Layers, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """(N, C, H, W) -> (N, C', H', W'), without activation."""
    from torch.nn.functional import conv2d

    return conv2d(x, layers[f"{name}.weight"], layers[f"{name}.bias"], stride, padding)


def pool(x: Tensor, side: int) -> Tensor:
    """Return the maxima of squares of `side` pixels with stride 2; the last ones may extend over the border."""
    from torch.nn.functional import max_pool2d

    return max_pool2d(x, side, 2, ceil_mode=True)


def dense(layers: Layers, name: str, x: Tensor) -> Tensor:
    """(..., C) -> (..., C'), without activation."""
    from torch.nn.functional import linear

    return linear(x, layers[f"{name}.weight"], layers[f"{name}.bias"])
