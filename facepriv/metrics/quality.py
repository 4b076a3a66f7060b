"""Similarity of two versions of a photo, over all of its pixels: image quality, never a measure of privacy.

The values are scikit-image's. Here a photo is compared in strips: memory does not grow with its size, and a strip that
did not change costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError

#: Side of SSIM's window in pixels; smaller photos have no SSIM.
WINDOW = 7
#: Constants of SSIM (Wang et al., IEEE TIP 2004).
K1, K2 = 0.01, 0.03
#: Numbers in a strip, so that the maps of one fit in a processor's cache.
_STRIP = 2**15


def ssim(original: NDArray[Any], changed: NDArray[Any]) -> float:
    """Return the structural similarity in [-1, 1], 1 for equal photos (Wang et al., IEEE TIP 2004); colours averaged.

    The mean over all windows of 7 x 7 pixels that lie in the photo, with sample covariances, as by scikit-image.

    Parameters
    ----------
    original, changed : ndarray
        (H, W) or (H, W, 3) of one shape, uint8 or uint16, at least 7 pixels a side.

    Raises
    ------
    ContractError
        If shape or dtype differ or are not supported.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> photo = astronaut()
    >>> ssim(photo, photo), round(ssim(photo, photo // 2), 2)
    (1.0, 0.74)
    """
    _check(original, changed)
    rows = original.shape[0] - WINDOW + 1
    windows = rows * (original[0].size - (WINDOW - 1) * original[0, 0].size)
    below = sum(_dissimilarity(a, b) for a, b in _strips(original, changed, halo=WINDOW - 1))
    return 1 - below / windows


def psnr(original: NDArray[Any], changed: NDArray[Any]) -> float:
    """Return the peak signal-to-noise ratio in dB, infinity for equal photos; arguments as for `ssim`.

    Examples
    --------
    >>> grey = np.full((8, 8), 100, np.uint8)
    >>> round(psnr(grey, grey + np.uint8(1)), 2)
    48.13
    """
    _check(original, changed)
    error = 0.0
    for a, b in _strips(original, changed):
        error += float(np.square(a.astype(np.float32) - b).sum(dtype=np.float64))
    top = float(np.iinfo(original.dtype).max)
    return float(10 * np.log10(top**2 * original.size / error)) if error else float("inf")


def _strips(
    original: NDArray[Any], changed: NDArray[Any], halo: int = 0
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield strips of both photos that differ; each has its own rows and the `halo` rows below them."""
    height = max(WINDOW, _STRIP // original[0].size)
    for start in range(0, len(original) - halo, height):
        rows = slice(start, start + height + halo)
        if not np.array_equal(original[rows], changed[rows]):
            yield original[rows], changed[rows]


def _dissimilarity(original: NDArray[Any], changed: NDArray[Any]) -> float:
    """Return the sum of 1 - SSIM over all windows of a strip and all colours."""
    top = float(np.iinfo(original.dtype).max)
    # The sums over a window of 8-bit pixels are exact: 49 x 49 x 255^2 is below 2^31.
    kind = np.int32 if original.dtype == np.uint8 else np.float64
    colours = original[0, 0].size
    # Colours lie side by side, so that a shift by one pixel is one of `colours` columns.
    first, second = (side.reshape(len(side), -1).astype(kind) for side in (original, changed))
    count = WINDOW**2
    x, y = _window_sums(first, colours), _window_sums(second, colours)
    product = x * y
    squares = x * x + y * y
    # Covariances times count^2.
    covariance = count * _window_sums(first * second, colours) - product
    variances = count * _window_sums(first * first + second * second, colours) - squares
    scale = count / (count - 1)
    c1, c2 = (count**2 * (k * top) ** 2 for k in (K1, K2))
    means = (2.0 * product + c1) / (squares + c1)
    spread = (2.0 * scale * covariance + c2) / (scale * variances + c2)
    return float(means.size - np.vdot(means, spread))


def _window_sums(values: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the sum over each window of 7 rows and of 7 columns that are `step` apart."""
    return _sums_of_seven(_sums_of_seven(values, 1).T, step).T


def _sums_of_seven(values: NDArray[Any], apart: int) -> NDArray[Any]:
    """Return the sum over each 7 rows that are `apart` from each other, in four additions of whole arrays."""
    two = values[:-apart] + values[apart:]
    four = two[: -2 * apart] + two[2 * apart :]
    kept = len(values) - 6 * apart
    return four[:kept] + two[4 * apart : 4 * apart + kept] + values[6 * apart :]


def _check(original: NDArray[Any], changed: NDArray[Any]) -> None:
    same = original.shape == changed.shape and original.dtype == changed.dtype
    deep = original.dtype not in (np.uint8, np.uint16)
    if not same or deep or original.ndim not in (2, 3) or min(original.shape[:2]) < WINDOW:
        raise ContractError(
            f"photos: expected two alike, (H, W) or (H, W, 3) uint8 or uint16 of at least {WINDOW} pixels a side, "
            f"got {original.dtype} {original.shape} and {changed.dtype} {changed.shape}"
        )
