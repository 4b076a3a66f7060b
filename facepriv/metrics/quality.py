"""Similarity of two versions of a photo, computed by scikit-image: image quality, never a measure of privacy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError

#: Side of SSIM's window in pixels; smaller photos have no SSIM.
WINDOW = 7


def ssim(original: NDArray[Any], changed: NDArray[Any]) -> float:
    """Return the structural similarity in [-1, 1], 1 for equal photos (Wang et al., IEEE TIP 2004); colours averaged.

    Parameters
    ----------
    original, changed : ndarray
        (H, W) or (H, W, 3) of one shape and integer dtype, at least 7 pixels a side.

    Raises
    ------
    ContractError
        If shape or dtype differ or are not supported.
    """
    _check(original, changed)
    if np.array_equal(original, changed):
        return 1.0
    from skimage.metrics import structural_similarity

    top = np.iinfo(original.dtype).max
    channel = -1 if original.ndim == 3 else None
    return float(structural_similarity(original, changed, win_size=WINDOW, data_range=top, channel_axis=channel))


def psnr(original: NDArray[Any], changed: NDArray[Any]) -> float:
    """Return the peak signal-to-noise ratio in dB, infinity for equal photos; arguments as for `ssim`."""
    _check(original, changed)
    if np.array_equal(original, changed):
        return float("inf")
    from skimage.metrics import peak_signal_noise_ratio

    return float(peak_signal_noise_ratio(original, changed, data_range=np.iinfo(original.dtype).max))


def _check(original: NDArray[Any], changed: NDArray[Any]) -> None:
    same = original.shape == changed.shape and original.dtype == changed.dtype
    if not same or original.dtype.kind != "u" or original.ndim not in (2, 3) or min(original.shape[:2]) < WINDOW:
        raise ContractError(
            f"photos: expected two alike, (H, W) or (H, W, 3) unsigned integers of at least {WINDOW} pixels a side, "
            f"got {original.dtype} {original.shape} and {changed.dtype} {changed.shape}"
        )
