"""MTCNN's networks, and their weights (see `mtcnn-LICENSE.txt` and the file's provenance)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facepriv.faces import layers
from facepriv.faces.boxes import Floats

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = Path(__file__).with_name("mtcnn.safetensors")
ARCHITECTURE = "mtcnn"


def first(
    picture: NDArray[np.uint8], least: float
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp], Floats]:
    """Look at each window of 12 x 12 pixels of a picture (H, W, 3), at a stride of 2.

    Returns
    -------
    scores : ndarray
        (h, w) float32, the log-odds of a face in each window.
    rows, columns : ndarray
        (N,) of the windows with a score above `least`.
    shifts : ndarray
        (N, 4), the shifts of the edges of their boxes, as fractions of the side.
    """
    net = weights()
    x = layers.pool(convolve(layers.pixels(picture[None]), "first.conv1"), 2)
    features = convolve(convolve(x, "first.conv2"), "first.conv3")[0].permute(1, 2, 0)
    scores = layers.dense(net, "first.face", features)[..., 0].numpy()
    rows, columns = np.nonzero(scores > least)
    return scores, rows, columns, layers.dense(net, "first.box", features[rows, columns]).numpy()


def second(patches: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return the second network's shifts of the edges of boxes (N, 4), as fractions of the side, and log-odds (N,).

    Parameters
    ----------
    patches : ndarray
        (N, 24, 24, 3), from 0 to 255.
    """
    x = layers.pool(convolve(layers.pixels(patches), "second.conv1"), 3)
    x = convolve(layers.pool(convolve(x, "second.conv2"), 3), "second.conv3")
    x = _full(x, "second")
    return _head(x, "second.box"), _head(x, "second.face")[:, 0]


def third(patches: NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """Return the third network's shifts (N, 4), log-odds (N,), and landmarks (N, 5, 2) as fractions of the side.

    Parameters
    ----------
    patches : ndarray
        (N, 48, 48, 3), from 0 to 255.
    """
    x = layers.pool(convolve(layers.pixels(patches), "third.conv1"), 3)
    x = convolve(layers.pool(convolve(x, "third.conv2"), 3), "third.conv3")
    x = _full(convolve(layers.pool(x, 2), "third.conv4"), "third")
    points = _head(x, "third.points").reshape(-1, 2, 5).transpose(0, 2, 1)
    return _head(x, "third.box"), _head(x, "third.face")[:, 0], points


def _full(x: Tensor, net: str) -> Tensor:
    """Return the fully connected layer's output (N, C') of (N, C, h, w)."""
    name = f"{net}.full"
    # The authors' arrays have columns before rows.
    return layers.dense(weights(), name, x.permute(0, 3, 2, 1).flatten(1)).prelu(weights()[f"{name}.slope"])


def _head(x: Tensor, name: str) -> NDArray[np.float32]:
    return layers.dense(weights(), name, x).numpy()


def convolve(x: Tensor, name: str) -> Tensor:
    """Return the layer's output (N, C', h, w) of (N, C, H, W), without padding, after its PReLU."""
    return layers.convolve(weights(), name, x).prelu(weights()[f"{name}.slope"])


@cache
def weights() -> layers.Layers:
    """Return the layers' tensors, adapted to pixels from 0 to 255; loaded once per process."""
    nets = ("first", "second", "third")
    net = dict(layers.load(WEIGHTS, ARCHITECTURE, *(f"{name}.conv1" for name in nets)))
    for name in nets:
        # Two outputs, whose difference determines the softmax.
        for part in ("weight", "bias"):
            no, yes = net[f"{name}.face.{part}"]
            net[f"{name}.face.{part}"] = (yes - no)[None]
    return net
