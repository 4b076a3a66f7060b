"""Storage of the face crops that judges receive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facepriv.faces.subject import Crop
from facepriv.files import load_arrays, save_arrays

#: Side of the judges' crops, in pixels.
JUDGE_SIZE = 224


def save_crops(path: Path, crops: Sequence[Crop]) -> None:
    """Save the face crops of a chunk of photos."""
    found = [crop for crop in crops if not isinstance(crop, str)]
    images = np.stack(found) if found else np.zeros((0, JUDGE_SIZE, JUDGE_SIZE, 3), np.uint8)
    seen = np.array([not isinstance(crop, str) for crop in crops])
    save_arrays(path, {"seen": seen, "images": images}, compressed=True)


def load_crops(path: Path) -> list[Crop]:
    """Load the face crops of a chunk of photos, as written by `save_crops`."""
    kept = load_arrays(path)
    images = iter(kept["images"])
    return [next(images) if face else "no_face" for face in kept["seen"]]
