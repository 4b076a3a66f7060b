"""The layers of MTCNN's networks, in NumPy, and their weights (see `mtcnn-LICENSE.txt` and the file's provenance).

Arrays are (C, N, H, W), so that a convolution is one matrix product.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from facepriv.faces.boxes import Floats
from facepriv.weights import load_weights

WEIGHTS = Path(__file__).with_name("mtcnn.safetensors")
ARCHITECTURE = "mtcnn"


def first(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first network's features (32, N, h, w) of pictures (3, N, H, W).

    There is one vector for each window of 12 x 12 pixels, at a stride of 2.
    """
    x = convolve(x, "first.conv1")
    x = np.pad(x, ((0, 0), (0, 0), (0, x.shape[2] % 2), (0, x.shape[3] % 2)), mode="edge")
    x = np.maximum(x[:, :, ::2], x[:, :, 1::2])
    x = np.maximum(x[..., ::2], x[..., 1::2])
    return convolve(convolve(x, "first.conv2"), "first.conv3")


def second(patches: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return the second network's shifts of the edges of boxes (N, 4), as fractions of the side, and log-odds (N,).

    Parameters
    ----------
    patches : ndarray
        (3, N, 24, 24) float32, from 0 to 255.
    """
    x = pool3(convolve(patches, "second.conv1"))
    x = convolve(pool3(convolve(x, "second.conv2")), "second.conv3")
    x = _full(x, "second")
    return _head(x, "second.box").T, _head(x, "second.face")


def third(patches: NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """Return the third network's shifts (N, 4), log-odds (N,), and landmarks (N, 5, 2) as fractions of the side.

    Parameters
    ----------
    patches : ndarray
        (3, N, 48, 48) float32, from 0 to 255.
    """
    x = pool3(convolve(patches, "third.conv1"))
    x = convolve(pool3(convolve(x, "third.conv2")), "third.conv3")
    x = np.maximum(x[:, :, ::2], x[:, :, 1::2])
    x = convolve(np.maximum(x[..., ::2], x[..., 1::2]), "third.conv4")
    x = _full(x, "third")
    points = _head(x, "third.points").reshape(2, 5, -1).transpose(2, 1, 0)
    return _head(x, "third.box").T, _head(x, "third.face"), points


def _full(x: NDArray[np.float32], net: str) -> NDArray[np.float32]:
    """Return the fully connected layer's output (O, N) of (C, N, h, w)."""
    # The authors' arrays have columns before rows.
    flat = x.transpose(3, 2, 0, 1).reshape(-1, x.shape[1])
    return bend(weights()[f"{net}.full.weight"] @ flat, f"{net}.full")


def _head(x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Return an output (K, N) of (C, N); (N,) if the layer has a single one."""
    layers = weights()
    return layers[f"{name}.weight"] @ x + layers[f"{name}.bias"][..., None]


def convolve(x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Return the layer's output (O, N, h, w) of (C, N, H, W), without padding, after its PReLU."""
    kernel = weights()[f"{name}.weight"]
    windows = sliding_window_view(x, kernel.shape[2:], axis=(2, 3)).transpose(0, 4, 5, 1, 2, 3)
    out = kernel.reshape(len(kernel), -1) @ windows.reshape(kernel[0].size, -1)
    return bend(out, name).reshape(len(kernel), *windows.shape[3:])


def bend(x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Add the bias to (O, M), in place, and apply the layer's slope to negative values."""
    layers = weights()
    x += layers[f"{name}.bias"][:, None]
    negative = np.minimum(x, 0)
    negative *= (layers[f"{name}.slope"] - 1)[:, None]
    x += negative
    return x


def pool3(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the maxima of 3 x 3 windows with stride 2; the last ones may extend over the border by a pixel."""
    return _maxima(_maxima(x.swapaxes(2, 3)).swapaxes(2, 3))


def _maxima(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the maxima of three values with stride 2 on the last axis."""
    found = np.maximum(x[..., :-1:2], x[..., 1::2])
    third = x[..., 2::2]
    inner = found[..., : third.shape[-1]]
    np.maximum(inner, third, out=inner)
    return found


@cache
def weights() -> dict[str, NDArray[np.float32]]:
    """Return the layers' arrays, adapted to pixels from 0 to 255; loaded once per process."""
    layers = dict(load_weights(WEIGHTS, architecture=ARCHITECTURE).tensors)
    for net in ("first", "second", "third"):
        # They were trained with (pixel - 127.5) / 128.
        kernel = layers[f"{net}.conv1.weight"] / 128
        layers[f"{net}.conv1.weight"] = kernel
        layers[f"{net}.conv1.bias"] = layers[f"{net}.conv1.bias"] - 127.5 * kernel.sum((1, 2, 3))
        # Two outputs, whose difference determines the softmax.
        for part in ("weight", "bias"):
            no, yes = layers[f"{net}.face.{part}"]
            layers[f"{net}.face.{part}"] = yes - no
    return layers
