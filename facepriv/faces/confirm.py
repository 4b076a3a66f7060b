"""A second opinion on boxes that MTCNN's third network rejects: a small network of our own.

It saw more dark, overexposed, turned and blurred faces in training. `benchmarks/train_confirm.py` makes the weights.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.faces import layers

WEIGHTS = Path(__file__).with_name("confirm.safetensors")
ARCHITECTURE = "face-confirmation"
#: Side of the patches, in pixels.
SIDE = 48


def opinions(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log-odds of a face (N,).

    Parameters
    ----------
    patches : ndarray
        (3, N, 48, 48) float32, from 0 to 255.
    """
    return np.array([_opinion(patch) for patch in patches.transpose(1, 2, 3, 0)], np.float32)


def _opinion(patch: NDArray[np.float32]) -> float:
    """Return the log-odds of one patch (48, 48, 3)."""
    net = _layers()
    x = layers.convolve(net, "conv2", layers.squares(net, "conv1", patch))
    x = layers.inside(layers.convolve(net, "conv3", x, 2))
    x = np.maximum(layers.dense(net, "full", x.transpose(2, 0, 1).ravel()), 0)
    return float(layers.dense(net, "face", x)[0])


@cache
def _layers() -> layers.Layers:
    return layers.load(WEIGHTS, ARCHITECTURE)
