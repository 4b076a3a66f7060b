"""Layers of our own small networks, in NumPy: arrays are (H, W, C), and each layer is a few matrix products.

Layers that compute planes put a border of zeros around them, one pixel wide, which the next convolution needs as its
padding: (H + 2, W + 2, C). `inside` takes it off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.weights import load_weights

Layers = Mapping[str, NDArray[np.float32]]

#: Side of the squares that the first layer reads.
SQUARE = 4

# Rows that are computed at once: a band fits the processor's cache.
_BAND = 8


def load(path: Path, architecture: str) -> Layers:
    """Return a network's arrays as factors on the right; its first layer is adapted to pixels from 0 to 255."""
    layers: dict[str, NDArray[np.float32]] = {}
    for name, tensor in load_weights(path, architecture=architecture).tensors.items():
        factor = tensor.astype(np.float32)
        if factor.ndim == 4:  # (O, C, k, k) -> (k * k * C, O)
            factor = factor.transpose(2, 3, 1, 0).reshape(-1, len(factor))
        layers[name] = np.ascontiguousarray(factor.T if tensor.ndim == 2 else factor)
    # It was trained with (pixel - 127.5) / 128.
    layers["conv1.weight"] /= 128
    layers["conv1.bias"] -= 127.5 * layers["conv1.weight"].sum(0)
    return layers


def squares(layers: Layers, name: str, picture: NDArray[np.number]) -> NDArray[np.float32]:
    """Return a layer on squares of 4 x 4 pixels that do not overlap, after its ReLU.

    (H, W, 3), with sides that 4 divides -> (H / 4 + 2, W / 4 + 2, O).
    """
    rows, columns = (side // SQUARE for side in picture.shape[:2])
    parts = picture.reshape(rows, SQUARE, columns, SQUARE, 3).transpose(0, 2, 1, 3, 4)
    return _banded(layers, name, lambda start, stop: parts[start:stop].astype(np.float32), rows, columns)


def convolve(layers: Layers, name: str, x: NDArray[np.float32], stride: int = 1) -> NDArray[np.float32]:
    """Return a 3 x 3 convolution of (H + 2, W + 2, C), after its ReLU; `stride` divides the sides H and W."""
    rows, columns = ((side - 2) // stride for side in x.shape[:2])

    def taps(start: int, stop: int) -> NDArray[np.float32]:
        lines = [x[stride * start + i : stride * stop + i : stride] for i in range(3)]
        return np.stack([line[:, j : stride * columns + j : stride] for line in lines for j in range(3)], 2)

    return _banded(layers, name, taps, rows, columns)


def inside(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (H, W, C) of (H + 2, W + 2, C), see the module docstring."""
    return x[1:-1, 1:-1]


def dense(layers: Layers, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a layer on the last axis, (..., C) -> (..., O)."""
    return x @ layers[f"{name}.weight"] + layers[f"{name}.bias"]


def _banded(
    layers: Layers, name: str, inputs: Callable[[int, int], NDArray[np.float32]], rows: int, columns: int
) -> NDArray[np.float32]:
    """Return a layer's output (rows + 2, columns + 2, O); `inputs` returns the inputs of some rows, (h, w, ...)."""
    weight, bias = layers[f"{name}.weight"], layers[f"{name}.bias"]
    whole = np.zeros((rows + 2, columns + 2, len(bias)), np.float32)
    for start in range(0, rows, _BAND):
        stop = min(start + _BAND, rows)
        part = inputs(start, stop).reshape((stop - start) * columns, -1) @ weight
        part += bias
        np.maximum(part.reshape(stop - start, columns, -1), 0, out=inside(whole)[start:stop])
    return whole
