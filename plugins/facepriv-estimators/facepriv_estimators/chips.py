"""The face regions that third-party models expect, cut out of our aligned crop: dlib's chip, or ArcFace's square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.contracts import Images
from facepriv.contracts.arrays import check_images
from facepriv.faces.align import TEMPLATE, chip_window

#: Side of the square in which ArcFace-style matchers align a face, in pixels.
ARCFACE_SIZE = 112
# The two eye centres in that alignment, in pixels with centres at whole numbers (insightface's template): the eye on
# the left of the picture, then the one on the right.
_ARCFACE_EYES = np.array([(38.2946, 51.6963), (73.5318, 51.5014)])
# TEMPLATE: outer and inner corner of the eye on the right, the same on the left, nose base.
_OUR_EYES = np.array([TEMPLATE[2:4].mean(axis=0), TEMPLATE[0:2].mean(axis=0)])

Window = tuple[float, float, float, float]


def arcface_window() -> Window:
    """Return (left, top, right, bottom) of ArcFace's square in our crop, as shares of the crop's side.

    ArcFace fits five points (eye centres, nose tip, mouth corners) in every face. Our crop is already upright and
    scaled by eye corners and nose base, so one fixed window serves all faces. It places the average eye centres at
    ArcFace's positions, and ignores each face's nose and mouth. The top of the square, 2 to 3 of its 112 rows, lies
    above our crop and repeats its border.
    """
    eyes = (_ARCFACE_EYES + 0.5) / ARCFACE_SIZE
    side = (_OUR_EYES[1, 0] - _OUR_EYES[0, 0]) / (eyes[1, 0] - eyes[0, 0])
    left, top = _OUR_EYES.mean(axis=0) - side * eyes.mean(axis=0)
    return float(left), float(top), float(left + side), float(top + side)


def dlib_chips(images: Images, padding: float, size: int) -> NDArray[np.float32]:
    """Cut dlib's face chips out of aligned crops.

    Parameters
    ----------
    images : ndarray
        (N, S, S, 3) float32 RGB in [0, 1], our crops.
    padding : float
        dlib's padding around the mean face, at most that of the crop: 0.2 or 0.25 in dlib's own models.
    size : int
        Side of the chip in pixels.

    Returns
    -------
    ndarray
        (N, size, size, 3) float32 in [0, 1].
    """
    check_images(images)
    start, stop = chip_window(padding)
    # dlib places the chip's outermost samples on the window's first and last pixel centres. The chip thus extends half
    # a sample less half a pixel beyond the window: 2 % of a chip of 32 pixels, which affects its networks.
    pixels = (stop - start) * images.shape[1]
    over = (stop - start) * ((1 - 1 / pixels) * size / (size - 1) - 1) / 2
    start, stop = max(0.0, start - over), min(1.0, stop + over)
    return cut(images, (start, start, stop, stop), size)


def arcface_chips(images: Images, size: int = ARCFACE_SIZE) -> NDArray[np.float32]:
    """Cut ArcFace's square out of aligned crops (N, S, S, 3); return (N, size, size, 3) float32 in [0, 1]."""
    return cut(images, arcface_window(), size)


def cut(images: Images, window: Window, size: int) -> NDArray[np.float32]:
    """Cut a square window (shares of the crop's side) and resize it; beyond the crop its border repeats.

    Shrinking averages over the area of each sample, much like dlib's image pyramid; enlarging is bicubic.
    """
    check_images(images)
    side = images.shape[1]
    rim = int(np.ceil(max(0.0, -min(window), max(window) - 1) * side))
    box = tuple(v * side + rim for v in window)
    shrinks = box[2] - box[0] > size
    method = Image.Resampling.HAMMING if shrinks else Image.Resampling.BICUBIC
    out = np.empty((len(images), size, size, 3), dtype=np.float32)
    for n, image in enumerate(images):
        framed = np.pad(image, ((rim, rim), (rim, rim), (0, 0)), mode="edge") if rim else image
        for c in range(3):
            plane = Image.fromarray(np.ascontiguousarray(framed[:, :, c]))
            out[n, :, :, c] = np.asarray(plane.resize((size, size), method, box=box))
    # Bicubic interpolation overshoots the range at hard edges.
    return np.clip(out, 0, 1, out=out)
