"""Alignment: a similarity transform from the photo to a square crop with fixed positions of eyes and nose.

The template is dlib's mean face (eye corners and nose base), padded by half its size on every side. The crop therefore
contains hair line, jaw and ears, which attribute classifiers use. dlib's own chips, at paddings of 0.2 and 0.25, are
windows of this crop (`chip_window`). A method may ask for another frame, larger or lower (`facepriv.contracts.Frame`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.contracts.methods import STANDARD, Frame

#: Padding around the mean face, as a fraction of its size, on every side of the crop.
CROP_PADDING = (STANDARD.side - 1) / 2

# dlib's 5-point mean face in a unit square (the constants of get_face_chip_details): outer and inner corner of the
# eye on the right of the picture, the same on the left, nose base.
_MEAN_FACE = np.array(
    [
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)


@cache
def template(frame: Frame) -> NDArray[np.float64]:
    """Return the five points in a crop of side 1, (5, 2)."""
    corner = np.array((0.5, frame.centre)) - frame.side / 2
    return (_MEAN_FACE - corner) / frame.side


#: The five points in a crop of side 1 of the standard frame.
TEMPLATE = template(STANDARD)


@dataclass(frozen=True)
class Face:
    """One face in a photo.

    Parameters
    ----------
    box : tuple of float
        Left, top, right, bottom in the photo.
    points : ndarray
        (5, 2) eye corners and nose base in the photo, in the order of `TEMPLATE`.
    dense : ndarray or None
        (68, 2) landmarks in the photo.
    frame : Frame
        The square around the face that a crop shows.
    """

    box: tuple[float, float, float, float]
    points: NDArray[np.float64]
    dense: NDArray[np.float64] | None = None
    frame: Frame = STANDARD

    @cached_property
    def to_photo(self) -> NDArray[np.float64]:
        """(2, 3) transform from a crop of side 1 to the photo."""
        return similarity(template(self.frame), self.points)

    def framed(self, frame: Frame) -> Face:
        """Return the same face, whose crop is another frame."""
        return self if frame == self.frame else replace(self, frame=frame)

    @property
    def scale(self) -> float:
        """Side of the crop in the photo, in pixels."""
        return float(np.hypot(self.to_photo[0, 0], self.to_photo[1, 0]))

    def landmarks_in_crop(self, size: int) -> NDArray[np.float32] | None:
        """The 68 landmarks in pixels of a crop of `size`, (68, 2) float32, or None."""
        if self.dense is None:
            return None
        inverse = invert(self.to_photo)
        return (size * (self.dense @ inverse[:, :2].T + inverse[:, 2]) - 0.5).astype(np.float32)


def similarity(source: NDArray[np.float64], destination: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (2, 3) least-squares similarity (rotation, scale, shift) from `source` to `destination`, (K, 2)."""
    a = source[:, 0] + 1j * source[:, 1]
    b = destination[:, 0] + 1j * destination[:, 1]
    # A similarity without reflection is b = m a + t over the complex numbers: a linear regression.
    centred = a - a.mean()
    m = np.vdot(centred, b - b.mean()) / np.vdot(centred, centred)
    t = b.mean() - m * a.mean()
    return np.array([[m.real, -m.imag, t.real], [m.imag, m.real, t.imag]])


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert a (2, 3) affine transform."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.hstack([linear, -linear @ matrix[:, 2:]])


def crop_face(rgb: NDArray[np.uint8], face: Face, size: int) -> NDArray[np.float32]:
    """Cut one aligned crop, (size, size, 3) float32 in [0, 1], out of a photo (H, W, 3) uint8.

    Where the crop extends beyond the photo, the photo's border is repeated.
    """
    matrix = face.to_photo
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) @ matrix[:, :2].T + matrix[:, 2]
    # If the photo is finer than the crop, average areas first: interpolation alone would alias.
    factor = max(1, int(face.scale / size))
    margin = 2 * factor + 2
    low = np.floor(corners.min(0)).astype(int) - margin
    high = np.ceil(corners.max(0)).astype(int) + margin
    window = _window(rgb, low, high)
    if factor > 1:
        window = np.asarray(Image.fromarray(window).reduce(factor))
    m = matrix.copy()
    m[:, 2] -= low
    m /= factor
    m[:, :2] /= size
    cut = Image.fromarray(window).transform(
        (size, size), Image.Transform.AFFINE, tuple(m.ravel()), Image.Resampling.BILINEAR
    )
    return np.asarray(cut, dtype=np.float32) / np.float32(255)


def crop_faces(rgb: NDArray[np.uint8], faces: list[Face], size: int) -> NDArray[np.float32]:
    """Cut all faces, (N, size, size, 3) float32 in [0, 1]; N may be 0."""
    if not faces:
        return np.zeros((0, size, size, 3), dtype=np.float32)
    return np.stack([crop_face(rgb, face, size) for face in faces])


def chip_window(padding: float) -> tuple[float, float]:
    """Return (start, stop) of the dlib chip with `padding` inside the crop, as fractions of the crop's side."""
    whole = 1 + 2 * CROP_PADDING
    return (CROP_PADDING - padding) / whole, (1 + CROP_PADDING + padding) / whole


def _window(rgb: NDArray[np.uint8], low: NDArray[np.int_], high: NDArray[np.int_]) -> NDArray[np.uint8]:
    """Cut [low, high) (x, y) from a photo; pixels outside repeat the border."""
    height, width = rgb.shape[:2]
    inside_low = np.clip(low, 0, (width - 1, height - 1))
    inside_high = np.clip(high, inside_low + 1, (width, height))
    part = rgb[inside_low[1] : inside_high[1], inside_low[0] : inside_high[0]]
    before = np.maximum(inside_low - low, 0)
    after = np.maximum(high - low - before - (inside_high - inside_low), 0)
    if before.any() or after.any():
        part = np.pad(part, ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge")
    return np.ascontiguousarray(part)
