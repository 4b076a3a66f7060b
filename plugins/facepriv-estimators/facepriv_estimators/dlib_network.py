"""dlib's face descriptor network as a torch module, with the weights of dlib's own file.

dlib takes about a tenth of a second per face on one CPU thread; torch is about nine times as fast, with the same
descriptors to six digits. The architecture is that of dlib's ``dnn_face_recognition_ex``: 29 convolutions, each
followed by a scale and a shift, which are folded into it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.errors import WeightsError

#: Side of the chip that the network takes, in pixels.
CHIP_SIZE = 150
#: Width of the descriptor.
WIDTH = 128
# The mean of each colour; dlib subtracts it from bytes, then divides by 256.
_MEAN = (122.782, 117.001, 104.298)
# (channels, halves the resolution first) of each residual block.
_BLOCKS = (
    *((32, False),) * 3,
    *((64, True), *((64, False),) * 3),
    *((128, True), *((128, False),) * 2),
    *((256, True), *((256, False),) * 2),
    (256, True),
)


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut; the smaller operand is padded with zeros, as in dlib's ``add_prev``."""

    def __init__(self, inside: int, outside: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        # dlib pads a convolution only if it does not stride.
        self.first = nn.Conv2d(inside, outside, 3, 2 if halves else 1, 0 if halves else 1)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        y = self.second(F.relu(self.first(x)))
        if self.halves:
            x = F.avg_pool2d(x, 2, 2)
        shape = [max(a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)]
        return F.relu(_filled(x, shape) + _filled(y, shape))


class DlibResNet(nn.Module):
    """Chips (N, 3, 150, 150) RGB from 0 to 255 -> descriptors (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.stem = nn.Conv2d(3, 32, 7, 2)
        inside = (32, *(channels for channels, _ in _BLOCKS))
        self.blocks = nn.Sequential(*(Block(n, *block) for n, block in zip(inside, _BLOCKS, strict=False)))
        self.embed = nn.Linear(256, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Describe chips."""
        x = F.max_pool2d(F.relu(self.stem((x - self.mean) / 256)), 3, 2)
        return self.embed(self.blocks(x).mean(dim=(2, 3)))


def load(path: Path) -> DlibResNet:
    """Read ``dlib_face_recognition_resnet_model_v1.dat``.

    Raises
    ------
    WeightsError
        If the file does not hold this network.
    """
    data = path.read_bytes()
    # The random initial weights must not change the caller's random state.
    with torch.random.fork_rng(devices=[]):
        net = DlibResNet()
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    try:
        kernels, scales = list(_tensors(data, b"con_4")), list(_tensors(data, b"affine_"))
        (last,) = _tensors(data, b"fc_2", numbers_before=2)
        with torch.no_grad():
            for module, kernel, scale in zip(convolutions, kernels, scales, strict=True):
                _fold(module, kernel, scale)
            net.embed.weight.copy_(torch.from_numpy(last.reshape(256, WIDTH).T.copy()))
    except (IndexError, RuntimeError, ValueError) as error:
        mend = "pip install --force-reinstall face-recognition-models"
        raise WeightsError(f"{path}: not dlib's face descriptor network ({error}), {mend}") from error
    return net.eval().requires_grad_(False)


def _filled(x: Tensor, shape: list[int]) -> Tensor:
    channels, height, width = (want - have for want, have in zip(shape, x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))


def _fold(module: nn.Conv2d, kernel: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
    """Fill a convolution from its kernel and bias, times the scale and plus the shift that follow it."""
    weight = kernel[: module.weight.numel()].reshape(module.weight.shape)
    bias = kernel[module.weight.numel() :]
    gain, shift = scale.reshape(2, module.out_channels)
    module.weight.copy_(torch.from_numpy(weight * gain[:, None, None, None]))
    assert module.bias is not None  # nn.Conv2d has one by default
    module.bias.copy_(torch.from_numpy(bias * gain + shift))


def _tensors(data: bytes, layer: bytes, numbers_before: int = 0) -> Iterator[NDArray[np.float32]]:
    """Yield the parameters of every layer of a kind, in the order of the network.

    dlib stores a layer as its name, some numbers, then its parameters: a version, four sizes, the values.
    """
    name = bytes([len(layer)]) + layer
    at = data.find(name)
    while at >= 0:
        at += len(name)
        numbers = []
        for _ in range(numbers_before + 5):
            # A whole number: its length in bytes, then those bytes, the lowest first.
            length = data[at]
            numbers.append(int.from_bytes(data[at + 1 : at + 1 + length], "little"))
            at += 1 + length
        count = int(np.prod(numbers[-4:]))
        yield np.frombuffer(data, "<f4", count, at)
        at = data.find(name, at + 4 * count)
