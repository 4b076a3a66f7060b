"""The morph of two faces: mix the shapes, warp both faces to the mixed shape, and mix their pixels there.

    shape    p = (1 - a) p_face + a p_other
    texture  x = (1 - b w) W(face -> p) + b w W(other -> p)

W is the piecewise-affine warp of `facepriv.faces.morph`; w is 1 within the face and falls to 0 at its hull, so
that hair, ears and background are the photo's own. A ring of fixed points around the face ends the warp: no pixel
beyond it moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepriv.faces import morph

Image = NDArray[np.float32]
Points = NDArray[np.floating]

#: Directions of the ring's points, and their distance beyond the face, in units of the face's half width there.
_RING, _REACH = 32, 1.3
#: Height of the strip above the brows that counts as face, as a share of the distance from chin to brows.
_FOREHEAD = 0.4
#: Width of the rim in which the other face fades in, as a share of the jaw's width.
_FEATHER = 0.05
# Limits on the change of the other face's contrast to match the photo's: an average is flatter than any face.
_LEAST_GAIN, _MOST_GAIN = 0.7, 2.5
# Above the brows, pixels further than this from the face's mean colour count as hair or a hat. The distance is in
# standard deviations of the face's colours, with a lower limit.
_HAIR, _LEAST_SPREAD = 2.5, 0.03
# Side, in pixels, of the approximate grid over which colours are averaged.
_GRID = 96
# Smaller pixel movements are ignored.
_STILL = 1e-3

_JAW, _BROWS, _CHIN = slice(0, 17), slice(17, 27), 8


def outline(points: Points) -> NDArray[np.float64]:
    """Return the points (78, 2) of the face's convex hull: the 68 landmarks and ten on the forehead."""
    points = np.asarray(points, np.float64)
    brows = points[_BROWS]
    return np.concatenate([points, brows + _FOREHEAD * (brows.mean(axis=0) - points[_CHIN])])


def hull_mask(points: Points, size: int) -> Image:
    """Return the mask (size, size) float32 of the points' convex hull: 1 inside, falling smoothly to 0 at its rim.

    The first 17 points are the jaw; its width sets the rim's.
    """
    from scipy.spatial import ConvexHull

    axis = np.arange(size, dtype=np.float32)
    inside = np.full((size, size), np.inf, np.float32)
    # The distance to the nearest side; a hull's sides are stored as (outward normal, offset).
    for a, b, c in ConvexHull(points).equations.astype(np.float32):
        np.minimum(inside, -(a * axis[None, :] + b * axis[:, None] + c), out=inside)
    width = np.linalg.norm(points[_JAW][-1] - points[_JAW][0])
    return _smooth(inside / np.float32(max(_FEATHER * width, 1.0)))


def face_mask(image: Image, points: Points) -> Image:
    """Return the mask (S, S) float32 of a face in its image: its landmarks' hull, and the skin above the brows.

    A fringe or a hat over the forehead is excluded by its colour.
    """
    from scipy.ndimage import gaussian_filter

    size = image.shape[0]
    inner, whole = hull_mask(points, size), hull_mask(outline(points), size)
    mean, spread = _moments(image, inner)
    distance = np.sqrt((((image - mean) / np.maximum(spread, _LEAST_SPREAD)) ** 2).mean(axis=2))
    skin = gaussian_filter(_smooth(_HAIR - distance), size / 100)
    return np.maximum(inner, whole * skin)


def mean_colour(image: Image, points: Points) -> NDArray[np.float32]:
    """Return the mean RGB (3,) of a face in a square image, from jaw to brows."""
    return _moments(image, hull_mask(points, image.shape[0]))[0]


def _smooth(ramp: Image) -> Image:
    """Smooth a ramp at 0 and 1; clip it beyond."""
    ramp = np.clip(ramp, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _moments(image: Image, weight: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation (3,) of an image's channels under a mask, from a grid of some pixels."""
    step = max(1, image.shape[0] // _GRID)
    image, weight = image[::step, ::step], weight[::step, ::step]
    share = (weight / np.float32(max(float(weight.sum()), 1e-9)))[..., None]
    mean = (image * share).sum(axis=(0, 1))
    return mean, np.sqrt(((image - mean) ** 2 * share).sum(axis=(0, 1)))


def ring(outline: Points, size: int) -> NDArray[np.float64]:
    """Return points (32, 2) around outlines (K, 2): in each direction beyond all of them, by `_REACH`."""
    centre = (outline.min(axis=0) + outline.max(axis=0)) / 2
    turn = np.linspace(0, 2 * np.pi, _RING, endpoint=False)
    away = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    reach = ((outline - centre) @ away.T).max(axis=0)
    return np.clip(centre + _REACH * reach[:, None] * away, 1, size - 2)


def matched(other: Image, face: Image, weight: Image) -> Image:
    """Adjust a face's mean colour and contrast to another's, per channel, both (S, S, 3) in one shape."""
    (from_mean, from_spread), (to_mean, to_spread) = _moments(other, weight), _moments(face, weight)
    gain = np.clip(to_spread / np.maximum(from_spread, 1e-6), _LEAST_GAIN, _MOST_GAIN)
    return np.clip((other - from_mean) * gain + to_mean, 0, 1)


def mix(
    face: Image,
    points: Points,
    other: Image,
    other_points: Points,
    *,
    shape: float,
    texture: float,
    match_tone: bool = True,
    window: tuple[float, float] = (0.0, 1.0),
) -> Image:
    """Mix a face with another one.

    Parameters
    ----------
    face : ndarray
        (S, S, 3) float32 in [0, 1], an aligned crop.
    points : ndarray
        (68, 2) landmarks in its pixels.
    other : ndarray
        (R, R, 3) float32 in [0, 1], the `window` of another aligned crop.
    other_points : ndarray
        (68, 2) landmarks of the other, in a crop of side 1.
    shape, texture : float
        Share of the other's shape and texture, 0 to 1.
    match_tone : bool
        Whether the other is first adjusted to the face's mean colour and contrast.
    window : tuple of float
        Start and stop of the window of `other`, along both axes of the crop.

    Returns
    -------
    ndarray
        (S, S, 3) float32. Beyond the ring of fixed points every value is the face's own.
    """
    size = face.shape[0]
    points, other_points = np.asarray(points, np.float64), np.asarray(other_points, np.float64)
    goal = (1 - shape) * points + shape * (size * other_points - 0.5)
    fixed = ring(np.concatenate([outline(points), outline(goal)]), size)
    start, stop = window
    # The ring has the same position in both crops.
    anchors = (np.concatenate([other_points, (fixed + 0.5) / size]) - start) / (stop - start) * other.shape[0] - 0.5

    left, top, side = _square(fixed, size)
    part = np.s_[top : top + side, left : left + side]
    result = face.copy()
    result[part] = _mixed(
        face[part], points - (left, top), goal - (left, top), fixed - (left, top), other, anchors, texture, match_tone
    )
    return result


def _square(ring: Points, size: int) -> tuple[int, int, int]:
    """Return left, top and side of a square of the image around the ring; pixels outside do not change."""
    low = np.maximum(np.floor(ring.min(axis=0)).astype(int) - 1, 0)
    side = min(size, int(np.ceil((ring.max(axis=0) - low).max())) + 2)
    left, top = np.minimum(low, size - side)
    return int(left), int(top), side


def _mixed(
    face: Image, points: Points, goal: Points, fixed: Points, other: Image, anchors: Points, texture: float, tone: bool
) -> Image:
    """Warp a face from `points` to `goal`, and another one from its `anchors`, and mix them there."""
    size = face.shape[0]
    target = np.concatenate([goal, fixed])
    mesh = morph.mesh(target, size)
    moves = morph.sampling_map(np.concatenate([points, fixed]), target, mesh, size, size)
    carried, brought = morph.sample(face, moves), morph.warp(other, anchors, target, mesh, size)
    weight = face_mask(carried, goal)
    if tone:
        brought = matched(brought, carried, weight)
    brought -= carried
    brought *= (np.float32(texture) * weight)[..., None]
    brought += carried

    axis = np.arange(size, dtype=np.float32)
    travel = np.abs(moves[..., 0] - axis[None, :]) + np.abs(moves[..., 1] - axis[:, None])
    still = (travel < _STILL) & (weight == 0)
    brought[still] = face[still]
    return brought
