"""Faces for the checks: a real one if available offline, and drawn ones."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceBatch
from facepriv.schema import ATTRIBUTES

if TYPE_CHECKING:
    from facepriv.faces import Face

# Eye corners and nose base in scikit-image's astronaut, from `facepriv.faces.find_faces`.
_ASTRONAUT = ((255.5, 104.5), (237.5, 105.5), (195.5, 101.5), (212.5, 103.5), (224.5, 135.5))

CropAndPoints = tuple[NDArray[np.float32], NDArray[np.float32]]


def specimens(size: int, *, landmarks: bool = True) -> FaceBatch:
    """Return three different labelled faces, (3, size, size, 3); the first is real if scikit-image is installed.

    Parameters
    ----------
    size : int
        Side of the crops in pixels.
    landmarks : bool
        Whether to find the 68 landmarks of the real face, which takes a second.
    """
    drawn, drawn_points = drawn_face(size)
    try:
        real, real_points = astronaut(size, landmarks)
    except ImportError:
        real, real_points = np.sqrt(drawn), drawn_points
    dark = (real[:, ::-1] * 0.7).astype(np.float32)
    # Mirrored points would need another numbering; the unmirrored points are good enough here.
    points = np.stack([real_points, drawn_points, real_points]) if landmarks else None
    labels = {name: np.arange(3, dtype=np.int64) % len(spec.classes) for name, spec in ATTRIBUTES.items()}
    return FaceBatch(np.stack([real, drawn, dark]), points, labels)


@cache
def astronaut(size: int, landmarks: bool = False) -> CropAndPoints:
    """Return the aligned crop of scikit-image's astronaut and her 68 landmarks (zeros unless asked for).

    The photo (Eileen Collins, NASA) is in the public domain and comes with scikit-image.
    """
    from facepriv.faces import crop_face

    rgb, face = _found_astronaut(landmarks)
    points = face.landmarks_in_crop(size)
    return crop_face(rgb, face, size), np.zeros((68, 2), np.float32) if points is None else points


@cache
def _found_astronaut(landmarks: bool) -> tuple[NDArray[np.uint8], Face]:
    from skimage.data import astronaut as photo

    from facepriv.faces import Face, find_faces

    rgb = photo()  # type: ignore[no-untyped-call]
    return rgb, find_faces(rgb, dense=True)[0] if landmarks else Face((179, 83, 267, 171), np.array(_ASTRONAUT))


@cache
def drawn_face(size: int) -> CropAndPoints:
    """Return a drawn face, (size, size, 3) float32 in [0, 1], with its 68 landmarks, (68, 2) float32."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    image = np.empty((size, size, 3))
    image[:] = np.array([0.35, 0.45, 0.6]) + 0.1 * (y - x)[..., None]
    for centre_x, centre_y, width, height, colour in (
        (0.495, 0.40, 0.31, 0.42, (0.25, 0.17, 0.1)),  # hair
        (0.495, 0.46, 0.27, 0.36, (0.8, 0.62, 0.5)),  # face
        (0.363, 0.36, 0.054, 0.02, (0.15, 0.1, 0.1)),  # eyes
        (0.627, 0.36, 0.054, 0.02, (0.15, 0.1, 0.1)),
        (0.495, 0.53, 0.035, 0.05, (0.7, 0.5, 0.4)),  # nose
        (0.495, 0.67, 0.1, 0.03, (0.65, 0.3, 0.3)),  # mouth
    ):
        distance = ((x - centre_x) / width) ** 2 + ((y - centre_y) / height) ** 2
        cover = np.clip((1 - distance) * 4, 0, 1)[..., None]
        image = (1 - cover) * image + cover * np.array(colour)
    return np.clip(image, 0, 1).astype(np.float32), (size * _drawn_points() - 0.5).astype(np.float32)


def _drawn_points() -> NDArray[np.float64]:
    """Return the 68 landmarks of the drawn face (jaw, brows, nose, eyes, mouth) in a crop of side 1."""

    def arc(
        x: float, y: float, width: float, height: float, start: float, stop: float, count: int
    ) -> NDArray[np.float64]:
        turn = np.radians(np.linspace(start, stop, count))
        return np.stack([x + width * np.cos(turn), y + height * np.sin(turn)], axis=1)

    def ring(x: float, y: float, width: float, height: float, count: int) -> NDArray[np.float64]:
        return arc(x, y, width, height, -180, 180, count + 1)[:-1]

    return np.concatenate(
        [
            arc(0.495, 0.46, 0.27, 0.36, 180, 0, 17),
            arc(0.363, 0.32, 0.08, 0.04, -180, 0, 5),
            arc(0.627, 0.32, 0.08, 0.04, -180, 0, 5),
            np.linspace((0.495, 0.37), (0.495, 0.5), 4),
            np.linspace((0.44, 0.564), (0.55, 0.564), 5),
            ring(0.363, 0.36, 0.054, 0.02, 6),
            ring(0.627, 0.36, 0.054, 0.02, 6),
            ring(0.495, 0.67, 0.1, 0.03, 12),
            ring(0.495, 0.67, 0.08, 0.01, 8),
        ]
    )
