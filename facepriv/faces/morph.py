"""Piecewise-affine warping of a face from one set of landmarks to another.

Points are x and y in pixels as in `facepriv.contracts.FaceBatch`: the centre of the top left pixel is (0, 0). Fixed
points on the image border are added to the given points. They make the mesh cover the whole image and keep its border
in place. A mesh is computed once and works for any points in the same order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError

#: Number of segments of each side of the image; their ends are the fixed border points.
SEGMENTS = 4
# A triangle's span of a row is widened by this many pixels, so that rounding leaves no gaps between triangles.
_SLACK = 1e-3
# Triangles with less than twice this area, in pixels, cover nothing.
_FLAT = 1e-6


def with_border(points: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """Return points (K, 2), clipped to the image, followed by the border points.

    Returns
    -------
    ndarray
        (K + 4 * SEGMENTS, 2) float64.

    Raises
    ------
    ContractError
        If the points are not (K, 2) or not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ContractError(f"points of a warp: expected finite values (K, 2), got {points.shape}")
    along = np.linspace(0, size - 1, SEGMENTS + 1)[:-1]
    zero, far = np.zeros(SEGMENTS), np.full(SEGMENTS, size - 1.0)
    x = np.concatenate([along, far, far - along, zero])
    y = np.concatenate([zero, along, far, far - along])
    return np.concatenate([np.clip(points, 0.5, size - 1.5), np.stack([x, y], axis=1)])


def mesh(points: NDArray[np.floating], size: int) -> NDArray[np.int32]:
    """Compute the Delaunay triangulation of points and border.

    Parameters
    ----------
    points : ndarray
        (K, 2), for example the mean of the shapes to warp between.
    size : int
        Side of the image.

    Returns
    -------
    ndarray
        (T, 3) int32 indices into the points followed by the border points, see `with_border`.
    """
    from scipy.spatial import Delaunay

    return Delaunay(with_border(points, size)).simplices.astype(np.int32)


def warp(
    image: NDArray[np.float32],
    source_points: NDArray[np.floating],
    target_points: NDArray[np.floating],
    mesh: NDArray[np.int32],
    size: int,
) -> NDArray[np.float32]:
    """Warp an image from `source_points` to `target_points`; bilinear, without averaging where it shrinks.

    Parameters
    ----------
    image : ndarray
        (S, S, C) or (S, S) float32, any range of values.
    source_points, target_points : ndarray
        (K, 2), in pixels of `image` and of the result.
    mesh : ndarray
        (T, 3) from the function `mesh`, preferably of `target_points` or similar shapes.
    size : int
        Side of the result.

    Returns
    -------
    ndarray
        (size, size, C) or (size, size) float32.
    """
    return sample(image, sampling_map(source_points, target_points, mesh, image.shape[0], size))


def sampling_map(
    source_points: NDArray[np.floating],
    target_points: NDArray[np.floating],
    mesh: NDArray[np.int32],
    source_size: int,
    size: int,
) -> NDArray[np.float32]:
    """Return where each pixel of the warped image comes from, (size, size, 2) float32 x and y; see `warp`.

    To apply the same warp to several images, compute the map once and `sample` each.
    """
    source, target = with_border(source_points, source_size), with_border(target_points, size)
    triangle = _triangle_map(target, mesh, size)
    affine = _affine(target[mesh], source[mesh]).astype(np.float32)[triangle]
    x = np.arange(size, dtype=np.float32)
    return affine[..., 0] * x[None, :, None] + affine[..., 1] * x[:, None, None] + affine[..., 2]


def sample(image: NDArray[np.float32], coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sample an image at fractional coordinates, bilinearly; outside the image the border is repeated.

    Parameters
    ----------
    image : ndarray
        (H, W, C) or (H, W) float32.
    coordinates : ndarray
        (..., 2) float32, x and y in pixels.

    Returns
    -------
    ndarray
        (..., C) or (...) float32.
    """
    height, width = image.shape[:2]
    x, y = np.clip(coordinates[..., 0], 0, width - 1), np.clip(coordinates[..., 1], 0, height - 1)
    left, top = x.astype(np.int32), y.astype(np.int32)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = x - left.astype(np.float32), y - top.astype(np.float32)
    if image.ndim == 3:
        fx, fy = fx[..., None], fy[..., None]
    flat = image.reshape(height * width, *image.shape[2:])
    upper = flat[top * width + left]
    upper += fx * (flat[top * width + right] - upper)
    lower = flat[below * width + left]
    lower += fx * (flat[below * width + right] - lower)
    return upper + fy * (lower - upper)


def _affine(target: NDArray[np.float64], source: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (T, 2, 3) transforms from target triangles (T, 3, 2) to source triangles."""
    a, b = target[:, 1] - target[:, 0], target[:, 2] - target[:, 0]
    c, d = source[:, 1] - source[:, 0], source[:, 2] - source[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    area = np.where(np.abs(area) < _FLAT, np.inf, area)[:, None]
    by_x = (c * b[:, 1:] - d * a[:, 1:]) / area
    by_y = (d * a[:, :1] - c * b[:, :1]) / area
    shift = source[:, 0] - by_x * target[:, :1, 0] - by_y * target[:, :1, 1]
    return np.stack([by_x, by_y, shift], axis=2)


def _triangle_map(points: NDArray[np.float64], mesh: NDArray[np.int32], size: int) -> NDArray[np.intp]:
    """Return the triangle of each pixel, (size, size), by filling all triangles' spans of all rows at once."""
    corners = points[mesh]
    first, last = corners[:, [0, 1, 2]], corners[:, [1, 2, 0]]
    rows = np.arange(size)
    # x where the three edges cross each row, (T, 3, size); an edge that does not reach a row is ignored there.
    rise = last[..., 1] - first[..., 1]
    level = np.abs(rise) < _SLACK
    share = (rows - first[..., 1, None]) / np.where(level, 1, rise)[..., None]
    crossing = first[..., 0, None] + np.clip(share, 0, 1) * (last[..., 0] - first[..., 0])[..., None]
    slack = _SLACK / np.maximum(np.abs(rise), _SLACK)[..., None]
    missed = level[..., None] | (share < -slack) | (share > 1 + slack)
    start = np.ceil(np.where(missed, np.inf, crossing).min(axis=1) - _SLACK)
    stop = np.floor(np.where(missed, -np.inf, crossing).max(axis=1) + _SLACK)
    start, stop = np.clip(start, 0, size), np.clip(stop, -1, size - 1)
    count = np.maximum(stop - start + 1, 0).astype(np.intp)
    edge_a, edge_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    count[np.abs(edge_a[:, 0] * edge_b[:, 1] - edge_a[:, 1] * edge_b[:, 0]) < _FLAT] = 0
    triangle, row = np.nonzero(count)
    length = count[triangle, row]
    begin = row * size + start[triangle, row].astype(np.intp)
    # Concatenated spans: each pixel's position within its span, plus the start of the span.
    pixel = np.arange(length.sum()) + np.repeat(begin - (np.cumsum(length) - length), length)
    found = np.full(size * size, -1, dtype=np.intp)
    found[pixel] = np.repeat(triangle, length)
    return found.reshape(size, size)
