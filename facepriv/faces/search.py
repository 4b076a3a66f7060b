"""Proposes faces: one small network on copies of a photo, each half the size of the one before.

In each copy the network finds faces of one octave of widths. MTCNN's first network takes several times as long: it
needs more copies, and looks at windows at a stride of two pixels. `benchmarks/train_search.py` makes the weights.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.faces import layers
from facepriv.faces.boxes import Floats

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
# Side of the squares that the first layer reads, and number of rows of squares that it reads at once.
_SQUARE, _BAND = 4, 64


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
    import torch

    height, width = (-side % CELL for side in copy.shape[:2])
    if height or width:
        copy = np.pad(copy, ((0, height), (0, width), (0, 0)), mode="edge")
    net = _layers()
    channels, height, width = len(net["conv1.bias"]), len(copy) // _SQUARE, copy.shape[1] // _SQUARE
    x = torch.empty((1, channels, height, width), memory_format=torch.channels_last)
    # In bands: all pixels as float32 need as much memory as the result.
    for top in range(0, height, _BAND):
        band = layers.pixels(copy[None, _SQUARE * top : _SQUARE * (top + _BAND)])
        x[:, :, top : top + _BAND] = layers.convolve(net, "conv1", band, _SQUARE)
    x = layers.convolve(net, "conv2", x.relu_(), 2, 1).relu_()
    x = layers.convolve(net, "conv3", x, 1, 1).relu_()
    return layers.convolve(net, "head", x)[0].numpy()


@cache
def _layers() -> layers.Layers:
    return layers.load(WEIGHTS, ARCHITECTURE, "conv1")
