"""Faces as vectors: colour appearance in the mean shape, then scaled landmarks; and the inverse for edits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import resize_images
from facepriv.faces import feather_mask, morph

Float = NDArray[np.float32]

# The region: the landmarks' hull, extended above the brows by `_FOREHEAD` of the face's height, as the forehead has no
# landmarks. Its weight is 1 up to `_GROWN` beyond the hull, then fades over `_FADE` (shares of the crop's side).
_FOREHEAD = 0.38
_GROWN, _FADE = 0.02, 0.05
_BROWS, _CHIN = slice(17, 27), 8


@dataclass(frozen=True)
class Encoding:
    """The encoding of a face as a vector.

    Parameters
    ----------
    mean_shape : ndarray
        (68, 2) float32, in pixels of the region.
    region : ndarray
        (size, size) float32 in [0, 1], weights of the pixels in the mean shape; pixels of weight 0 are left out. Edits
        made of such vectors therefore fade out at the border.
    shape_weight : float
        Factor on a landmark's coordinates, as shares of the crop's side, to balance shape and appearance in one
        vector.
    """

    mean_shape: Float
    region: Float
    shape_weight: float

    @property
    def size(self) -> int:
        """Side of the appearance in pixels."""
        return len(self.region)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Mask of the pixels in use, (size, size)."""
        return self.region > 0

    @cached_property
    def colours(self) -> int:
        """Number of appearance values in a vector; the rest is shape."""
        return 3 * int(self.inside.sum())

    @property
    def length(self) -> int:
        """Length of a vector, D."""
        return self.colours + self.mean_shape.size

    @cached_property
    def mesh(self) -> NDArray[np.int32]:
        """The triangles of all warps."""
        return morph.mesh(self.mean_shape, self.size)

    def encode(self, image: Float, landmarks: Float) -> Float:
        """Return the vector (D,) float32 of one crop (S, S, 3) in [0, 1] with landmarks (68, 2) in its pixels."""
        small = resize_images(image[None], self.size)[0] if len(image) != self.size else image
        points = rescaled(landmarks, len(image), self.size)
        appearance = morph.warp(small, points, self.mean_shape, self.mesh, self.size) * self.region[:, :, None]
        shape = self.shape_weight * (points - self.mean_shape) / self.size
        return np.concatenate([appearance[self.inside].ravel(), shape.ravel()]).astype(np.float32)

    def add(self, image: Float, landmarks: Float, edit: Float) -> Float:
        """Return a crop with an edit applied: its own pixels move to the new shape, the new colours are added there.

        Parameters
        ----------
        image, landmarks : ndarray
            As in `encode`.
        edit : ndarray
            (D,) difference of two vectors.

        Returns
        -------
        ndarray
            (S, S, 3) float32, not clipped.
        """
        side = len(image)
        colours = np.zeros((self.size, self.size, 3), dtype=np.float32)
        colours[self.inside] = edit[: self.colours].reshape(-1, 3)
        new_points = self.moved(landmarks, edit, side)
        changed = morph.warp(image, landmarks, new_points, self.mesh, side)
        return changed + morph.warp(colours, self.mean_shape, new_points, self.mesh, side)

    def moved(self, landmarks: Float, edit: Float, side: int) -> Float:
        """Return the landmarks (68, 2) after an edit (D,), in pixels of a crop of `side`."""
        return landmarks + edit[self.colours :].reshape(-1, 2) * (side / self.shape_weight)


def rescaled(points: Float, old: int, new: int) -> Float:
    """Convert points from pixels of a crop of side `old` to pixels of one of side `new`."""
    return ((points + 0.5) * (new / old) - 0.5).astype(np.float32)


def face_region(mean_shape: Float, size: int) -> Float:
    """Return the weights (size, size) float32 of the pixels: 1 on the face, fading to 0 around it and at the rim."""
    from scipy.ndimage import distance_transform_edt
    from scipy.spatial import Delaunay

    brows = mean_shape[_BROWS]
    height = mean_shape[_CHIN, 1] - brows[:, 1].mean()
    points = np.concatenate([mean_shape, brows - np.float32([0, _FOREHEAD * height])])
    y, x = np.mgrid[:size, :size]
    beyond = distance_transform_edt(Delaunay(points).find_simplex(np.stack([x, y], axis=-1)) < 0) / size
    ramp = np.clip((_GROWN + _FADE - beyond) / _FADE, 0, 1)
    return (ramp * ramp * (3 - 2 * ramp) * feather_mask(size)).astype(np.float32)
