"""Helpers of our torch evaluators: windows of the aligned crop, normalisation, inference face by face."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.contracts import Images
from facepriv_estimators.chips import ARCFACE_SIZE, arcface_window


class Window(nn.Module):
    """Cuts a fixed square out of aligned crops and resizes it, with gradients; beyond the crop its border repeats."""

    def __init__(self, left: float, top: float, side: float, size: int) -> None:
        super().__init__()
        theta = torch.tensor([[side, 0, 2 * left + side - 1], [0, side, 2 * top + side - 1]])
        self.size = size
        grid = F.affine_grid(theta[None].float(), [1, 3, size, size], align_corners=False)
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 3, size, size)."""
        grid = self.grid.to(x.dtype).expand(len(x), -1, -1, -1)
        return F.grid_sample(x, grid, "bilinear", "border", align_corners=False)


class ArcFaceWindow(Window):
    """The square that ArcFace-style matchers expect."""

    def __init__(self) -> None:
        left, top, right, _ = arcface_window()
        super().__init__(left, top, right - left, ARCFACE_SIZE)


class Normalise(nn.Module):
    """[0, 1] RGB -> ImageNet mean and deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> the same, normalised."""
        return (x - self.mean) / self.std


def run_each(module: nn.Module, images: Images, width: int) -> NDArray[np.float32]:
    """Run `module` face by face, so that a face's result never depends on its batch; return (N, width) float32."""
    out = np.zeros((len(images), width), dtype=np.float32)
    device = next(module.buffers()).device
    with torch.inference_mode():
        for n in range(len(images)):
            x = torch.from_numpy(np.ascontiguousarray(images[n : n + 1].transpose(0, 3, 1, 2))).to(device)
            out[n] = module(x).float().reshape(width).cpu().numpy()
    return out
