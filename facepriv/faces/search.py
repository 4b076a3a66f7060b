"""Proposes faces: one small network on copies of a photo, each half the size of the one before.

In each copy the network finds faces of one octave of widths. It takes a tenth of the time of MTCNN's first network,
which needs more copies and looks at windows at a stride of two pixels. `benchmarks/train_search.py` makes the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.faces.boxes import Floats
from facepriv.weights import load_weights

WEIGHTS = Path(__file__).with_name("search.safetensors")
ARCHITECTURE = "face-search"
#: Side of a cell in pixels of a copy. Each cell answers for the faces whose centre lies in it.
CELL = 8
#: Widths of the faces that the network finds, in pixels of a copy, from ear to ear.
WIDTHS = (6.5, 15.0)
#: Width that the smallest faces to be found should have in the finest copy, in pixels.
SMALLEST = 8
#: Side of a face's square box, as the network gives it as a logarithm, relative to this many pixels.
SIDE = 12.0

# Rows that are computed at once.
_BAND = 8


def proposals(copy: NDArray[np.uint8], least: float) -> tuple[Floats, Floats]:
    """Return square boxes (N, 4) of possible faces, in pixels of the copy, and scores (N,) as log-odds.

    Parameters
    ----------
    copy : ndarray
        (H, W, 3) uint8.
    least : float
        Minimum score.
    """
    found = run(copy)
    scores = found[0]
    rows, columns = np.nonzero(scores > least)
    shifts = found[1:, rows, columns].astype(np.float64)
    # Predictions may be far off in a crafted photo.
    half = SIDE * np.exp(np.clip(shifts[2], -3, 3)) / 2
    x, y = (CELL * (at + 0.5 + np.clip(shift, -2, 2)) for at, shift in ((columns, shifts[0]), (rows, shifts[1])))
    return np.column_stack((x - half, y - half, x + half, y + half)), scores[rows, columns].astype(np.float64)


def run(copy: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the network's outputs (4, H / 8, W / 8), rounded up: score, shift of the centre in x and y, size."""
    height, width = (-side % CELL for side in copy.shape[:2])
    if height or width:
        copy = np.pad(copy, ((0, height), (0, width), (0, 0)), mode="edge")
    rows, columns = (side // 4 for side in copy.shape[:2])
    squares = copy.reshape(rows, 4, columns, 4, 3).transpose(0, 2, 1, 3, 4)
    x = _banded("conv1", lambda start, stop: squares[start:stop].astype(np.float32), rows)
    x = _convolve(_convolve(x, "conv2", 2), "conv3", 1)
    layers = weights()
    return (x @ layers["head.weight"] + layers["head.bias"]).transpose(2, 0, 1)


def _convolve(x: NDArray[np.float32], name: str, stride: int) -> NDArray[np.float32]:
    """Return a 3 x 3 convolution (h, w, O) of (H, W, C), padded with zeros, after its ReLU."""
    rows, columns = (side // stride for side in x.shape[:2])
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)))

    def taps(start: int, stop: int) -> NDArray[np.float32]:
        lines = [x[stride * start + i : stride * stop + i : stride] for i in range(3)]
        return np.stack([line[:, j : stride * columns + j : stride] for line in lines for j in range(3)], 2)

    return _banded(name, taps, rows)


def _banded(name: str, inputs: Callable[[int, int], NDArray[np.float32]], rows: int) -> NDArray[np.float32]:
    """Return a layer's output (rows, w, O) after its ReLU, in bands of rows that fit the processor's cache.

    `inputs` returns the inputs of some rows, (h, w, ...).
    """
    layers, bands = weights(), []
    for start in range(0, rows, _BAND):
        part = inputs(start, min(start + _BAND, rows))
        out = part.reshape(part.shape[0] * part.shape[1], -1) @ layers[f"{name}.weight"]
        out += layers[f"{name}.bias"]
        bands.append(np.maximum(out, 0, out=out).reshape(*part.shape[:2], -1))
    return np.concatenate(bands)


@cache
def weights() -> dict[str, NDArray[np.float32]]:
    """Return the layers' arrays as factors on the right, adapted to pixels from 0 to 255; loaded once per process."""
    tensors = load_weights(WEIGHTS, architecture=ARCHITECTURE).tensors
    layers: dict[str, NDArray[np.float32]] = {}
    for name, tensor in tensors.items():
        tensor = tensor.astype(np.float32)
        # (O, C, k, k) -> (k * k * C, O)
        layers[name] = (
            np.ascontiguousarray(tensor.transpose(2, 3, 1, 0).reshape(-1, len(tensor))) if tensor.ndim == 4 else tensor
        )
    # It was trained with (pixel - 127.5) / 128.
    layers["conv1.weight"] /= 128
    layers["conv1.bias"] -= 127.5 * layers["conv1.weight"].sum(0)
    return layers
