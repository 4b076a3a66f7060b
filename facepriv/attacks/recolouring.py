"""Undo a fixed change of colours: map each protected colour to its average colour in the originals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Steps of each channel in the table.
LEVELS = 32
# Weight of the polynomial estimate in a cell of the table, in pixels.
_PRIOR = 4.0


@dataclass(frozen=True)
class ColourMap:
    """Map from protected colours to original ones.

    Parameters
    ----------
    polynomial : ndarray
        (10, 3) least squares on the products of up to two channels; the estimate for colours not seen in training.
    residual : ndarray
        (LEVELS, LEVELS, LEVELS, 3) mean difference of a cell's colours from the polynomial.
    """

    polynomial: NDArray[np.float32]
    residual: NDArray[np.float32]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return crops (N, S, S, 3) uint8 in their estimated original colours."""
        from scipy.ndimage import map_coordinates

        out = np.empty_like(images)
        for n, image in enumerate(images):
            pixels = image.reshape(-1, 3).astype(np.float32) / np.float32(255)
            # Linear interpolation between cell centres.
            where = (pixels.T * LEVELS) - 0.5
            fine = [map_coordinates(self.residual[..., c], where, order=1, mode="nearest") for c in range(3)]
            restored = _products(pixels) @ self.polynomial + np.stack(fine, axis=1)
            out[n] = np.rint(np.clip(restored, 0, 1) * 255).astype(np.uint8).reshape(image.shape)
        return out


def learn_colours(protected: NDArray[np.uint8], original: NDArray[np.uint8]) -> ColourMap:
    """Learn the map from pairs of crops (N, S, S, 3) uint8 that show the same face, pixel by pixel."""
    from scipy.ndimage import gaussian_filter

    size = _products(np.zeros((1, 3), np.float32)).shape[1]
    normal, sums = np.zeros((size, size)), np.zeros((size, 3))
    for one, other in zip(protected, original, strict=True):
        x = _products(_pixels(one)).astype(np.float64)
        normal += x.T @ x
        sums += x.T @ _pixels(other)
    polynomial = np.linalg.solve(normal + 1e-6 * np.trace(normal) * np.eye(size), sums).astype(np.float32)
    counts, totals = np.zeros(LEVELS**3), np.zeros((LEVELS**3, 3))
    for one, other in zip(protected, original, strict=True):
        pixels = _pixels(one)
        cell = np.minimum((pixels * LEVELS).astype(np.int64), LEVELS - 1) @ np.array([LEVELS**2, LEVELS, 1])
        missing = _pixels(other) - _products(pixels) @ polynomial
        counts += np.bincount(cell, minlength=LEVELS**3)
        for channel in range(3):
            totals[:, channel] += np.bincount(cell, missing[:, channel], LEVELS**3)
    shape = (LEVELS,) * 3
    # Cells with few pixels borrow from their neighbours; without data there, the polynomial alone remains.
    near = gaussian_filter(counts.reshape(shape), 1.0, mode="constant")
    table = np.empty((*shape, 3), np.float32)
    for channel in range(3):
        borrowed = gaussian_filter(totals[:, channel].reshape(shape), 1.0, mode="constant") / (near + _PRIOR)
        own = totals[:, channel].reshape(shape) + _PRIOR * borrowed
        table[..., channel] = own / (counts.reshape(shape) + _PRIOR)
    return ColourMap(polynomial, table)


def gain(colours: ColourMap, protected: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """Return the share of the difference between protected and original crops that the map removes, 1 for all of it."""
    before = np.abs(protected.astype(np.float32) - original).mean()
    after = np.abs(colours(protected).astype(np.float32) - original).mean()
    return float(1 - after / before) if before > 0 else 0.0


def _pixels(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return image.reshape(-1, 3).astype(np.float32) / np.float32(255)


def _products(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, 10): one, the channels, and the products of two channels."""
    r, g, b = pixels.T
    return np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b], axis=1)
