"""Small copies of faces, on which attacks train networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import Images, resize_images

#: Side of the faces, in pixels.
SIDE = 112


def small_pixels(images: Images) -> NDArray[np.uint8]:
    """Return crops (N, S, S, 3) at `SIDE` pixels, uint8."""
    return np.rint(np.clip(resize_images(images, SIDE), 0, 1) * 255).astype(np.uint8)


def as_tensor(pixels: NDArray[np.uint8]) -> Any:
    """Return crops (N, S, S, 3) uint8 as a tensor (N, 3, S, S) in [0, 1]."""
    import torch

    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
