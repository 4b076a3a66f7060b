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
        (N, 48, 48, 3), from 0 to 255.
    """
    net = _layers()
    x = layers.convolve(net, "conv1", layers.pixels(patches), 4).relu_()
    x = layers.convolve(net, "conv2", x, 1, 1).relu_()
    x = layers.convolve(net, "conv3", x, 2, 1).relu_()
    return layers.dense(net, "face", layers.dense(net, "full", x.flatten(1)).relu_())[:, 0].numpy()


@cache
def _layers() -> layers.Layers:
    return layers.load(WEIGHTS, ARCHITECTURE, "conv1")
