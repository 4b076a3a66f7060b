"""The faces available for mixing: pictures, landmarks, classes; averages of many people, or a user's photos.

Positions are in the aligned crop of side 1, so that pictures and crops of any sizes can be combined. A picture may show
only a window of the crop: pixels outside the face are never mixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import WeightsError
from facepriv.schema import ATTRIBUTES
from facepriv.weights import Provenance, WeightsMetadata, load_weights, packaged_weights, save_weights
from facepriv_face_mixing.mixing import mean_colour

ARCHITECTURE = "face-mixing-gallery"
PACKAGE = "facepriv_face_mixing.averages"


@dataclass(frozen=True, eq=False)
class Gallery:
    """Faces to mix with. Galleries compare by identity, so that results for one can be cached.

    Parameters
    ----------
    images : ndarray
        (N, S, S, 3) uint8 RGB, the window of the aligned crop.
    points : ndarray
        (N, 68, 2) float32 landmarks in the aligned crop of side 1 (the whole crop, not the window).
    labels : mapping
        Attribute -> (N,) int64 class, -1 if the face is an average of all classes, or the class is unknown.
    people : ndarray
        (N,) int64, number of people averaged in a picture.
    window : tuple of float
        Start and stop of the window along both axes of the crop.
    """

    images: NDArray[np.uint8]
    points: NDArray[np.float32]
    labels: Mapping[str, NDArray[np.int64]]
    people: NDArray[np.int64]
    window: tuple[float, float] = (0.0, 1.0)

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, index: int) -> NDArray[np.float32]:
        """Return one picture, (S, S, 3) float32 in [0, 1]."""
        return self.images[index].astype(np.float32) / np.float32(255)

    def in_window(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Turn positions in the crop of side 1, (..., 2), into pixels of a picture (centre of the first: 0)."""
        start, stop = self.window
        return (np.asarray(points, np.float64) - start) / (stop - start) * self.images.shape[1] - 0.5

    @cached_property
    def tones(self) -> NDArray[np.float64]:
        """Mean colours of the faces, (N, 3) RGB in [0, 1]."""
        return np.stack([mean_colour(self.picture(n), self.in_window(p)) for n, p in enumerate(self.points)])


def save(path: Path, gallery: Gallery, provenance: Provenance) -> str:
    """Write a gallery as a weights file; return its SHA-256."""
    tensors = {
        "images": gallery.images,
        "points": gallery.points,
        "people": gallery.people,
        **{f"label.{name}": values for name, values in gallery.labels.items()},
    }
    metadata = WeightsMetadata(ARCHITECTURE, provenance, {"window": list(gallery.window)})
    return save_weights(path, tensors, metadata)


@cache
def load(path: Path) -> Gallery:
    """Read a gallery; raise `WeightsError` if the file is missing, damaged or of another kind."""
    weights = load_weights(path, architecture=ARCHITECTURE)
    try:
        tensors = weights.tensors
        labels = {name: tensors[f"label.{name}"].astype(np.int64) for name in ATTRIBUTES}
        start, stop = weights.metadata.config["window"]
        return Gallery(tensors["images"], tensors["points"], labels, tensors["people"], (start, stop))
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: no gallery for face mixing ({type(error).__name__}: {error})") from error


def shipped() -> Path:
    """Return the path of the packaged averages."""
    return packaged_weights(PACKAGE, "averages")
