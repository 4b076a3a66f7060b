"""Checks of the arrays passed between the core and plugins; each raises `ContractError` with the actual value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError
from facepriv.schema import attribute

#: How far a method's output may lie outside [0, 1]: two levels of an 8-bit photo. It covers a step of bfloat16 at 1
#: (2**-7), and is far below the error of a method without scaling or clipping.
ROUNDING = 2 / 255


def check_images(images: Any, what: str = "images") -> None:
    """Raise `ContractError` unless `images` is (N, S, S, 3) float32, finite, in [0, 1]."""
    if not isinstance(images, np.ndarray):
        raise ContractError(f"{what}: expected a NumPy array, got {type(images).__name__}")
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise ContractError(f"{what}: expected shape (N, S, S, 3), got {images.shape}")
    if images.dtype != np.float32:
        raise ContractError(f"{what}: expected float32, got {images.dtype}")
    if not images.size:
        return
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ContractError(f"{what}: expected finite values, got NaN or infinity")
    if low < 0 or high > 1:
        raise ContractError(f"{what}: expected values in [0, 1], got [{low:.4g}, {high:.4g}]")


def check_labels(name: str, labels: Any, count: int) -> None:
    """Raise unless `labels` is (count,) int64 of known classes of attribute `name`, or -1."""
    classes = attribute(name).classes
    if not isinstance(labels, np.ndarray) or labels.shape != (count,) or labels.dtype != np.int64:
        got = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise ContractError(f"labels of {name}: expected int64 ({count},), got {got}")
    if labels.size and (labels.min() < -1 or labels.max() >= len(classes)):
        raise ContractError(
            f"labels of {name}: expected -1 to {len(classes) - 1}, got {labels.min()} to {labels.max()}"
        )


def check_floats(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise `ContractError` unless `array` holds finite floats of `shape`."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind != "f":
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ContractError(f"{name}: expected floats {shape}, got {got}")
    if not np.isfinite(array).all():
        raise ContractError(f"{name}: expected finite values, got NaN or infinity")


def check_form(result: Any, shape: tuple[int, ...], method: str) -> None:
    """Raise `ContractError` unless the result of `method` is an array of floats of `shape`."""
    if not isinstance(result, np.ndarray) or result.shape != shape:
        got = result.shape if isinstance(result, np.ndarray) else type(result).__name__
        raise ContractError(f"{method} returned {got}, expected {shape}")
    if result.dtype.kind != "f":
        raise ContractError(f"{method} returned {result.dtype}, expected floats in [0, 1]")


def check_finite(result: NDArray[Any], method: str) -> None:
    """Raise `ContractError` if the result of `method` contains NaN or infinity."""
    if not np.isfinite(result).all():
        raise ContractError(f"{method} returned NaN or infinity")


def check_range(result: NDArray[Any], method: str) -> None:
    """Raise `ContractError` unless the result of `method` lies in [0, 1], up to `ROUNDING`."""
    low, high = float(result.min()), float(result.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ContractError(
            f"{method} returned values in [{low:.4g}, {high:.4g}], expected [0, 1]: scale them, or clip what overshoots"
        )
