"""The pictures that the page shows: the photo at the size of a screen, its faces, and their changes."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.evaluation.inspection import Box, window_of
from facepriv.evaluation.pairing import Pixels
from facepriv.faces import Face
from facepriv.report.sheet_image import cut

#: Long side of the whole photo, and of a face, on the page.
WHOLE_SIDE, FACE_SIDE = 1600, 560
#: Faces that get pictures of their own; the largest of more.
MOST_FACES = 24
# Pixels of the page's picture that are resized together with a part, so that no seam shows.
_MARGIN = 4
_QUALITY = 92


def jpeg_uri(picture: Image.Image) -> str:
    """Return a picture as the page embeds it."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def whole(rgb: Pixels) -> Image.Image:
    """Return a photo (H, W, 3), its long side at most `WHOLE_SIDE`."""
    height, width = rgb.shape[:2]
    scale = min(1.0, WHOLE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(rgb).resize(size, Image.Resampling.HAMMING)


def repainted(view: Image.Image, rgb: Pixels, faces: Sequence[Face]) -> Image.Image:
    """Return `whole` of a photo that differs from another only at its faces, from the view of the other.

    Parameters
    ----------
    view : Image
        `whole` of the other photo.
    rgb : ndarray
        (H, W, 3) uint8.
    faces : sequence of Face
    """
    made = view.copy()
    across, down = np.divide(rgb.shape[1::-1], view.size)
    for face in faces:
        left, top, right, bottom = _footprint(face) / (across, down, across, down)
        inner = _clipped((left, top, right, bottom), 0, view.size)
        outer = _clipped((left, top, right, bottom), _MARGIN, view.size)
        if inner[2] <= inner[0] or inner[3] <= inner[1]:
            continue
        source = [outer[0] * across, outer[1] * down, outer[2] * across, outer[3] * down]
        x0, y0 = math.floor(source[0]), math.floor(source[1])
        part = Image.fromarray(np.ascontiguousarray(rgb[y0 : math.ceil(source[3]), x0 : math.ceil(source[2])]))
        box = (source[0] - x0, source[1] - y0, min(source[2] - x0, part.width), min(source[3] - y0, part.height))
        size = outer[2] - outer[0], outer[3] - outer[1]
        small = part.resize(size, Image.Resampling.HAMMING, box)
        at = inner[0] - outer[0], inner[1] - outer[1]
        made.paste(small.crop((*at, at[0] + inner[2] - inner[0], at[1] + inner[3] - inner[1])), inner[:2])
    return made


def _footprint(face: Face) -> NDArray[np.float64]:
    """Return left, top, right, bottom of what a method may change for a face, in the photo."""
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) @ face.to_photo[:, :2].T + face.to_photo[:, 2]
    return np.concatenate([corners.min(0), corners.max(0)])


def _clipped(box: Sequence[float], margin: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return (
        max(0, math.floor(left) - margin),
        max(0, math.floor(top) - margin),
        min(size[0], math.ceil(right) + margin),
        min(size[1], math.ceil(bottom) + margin),
    )


def windows(faces: Sequence[Face], shape: tuple[int, ...]) -> list[Box]:
    """Return the square around each face that its pictures show, for the first `MOST_FACES`."""
    return [window_of(face, shape) for face in faces[:MOST_FACES]]


def face_view(rgb: Pixels, window: Box, count: int) -> Image.Image:
    """Return the picture of a face; smaller where there are many."""
    side = FACE_SIDE if count <= 4 else FACE_SIDE // 2
    return cut(rgb, window, max(1, min(side, round(max(window[2] - window[0], window[3] - window[1])))))
