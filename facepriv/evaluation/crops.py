"""The faces that judges are given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.faces.subject import Crop

#: Side of the crops that judges are given, in pixels.
JUDGE_SIZE = 224


def load_crops(path: Path) -> list[Crop]:
    """Return the faces of a chunk of photos as they were kept, see `facepriv.faces.subject.crop_subject`."""
    with np.load(path, allow_pickle=False) as file:
        seen: NDArray[np.bool_] = file["seen"]
        images = iter(file["images"])
    return [next(images) if face else "no_face" for face in seen]


def _save_crops(path: Path, crops: Sequence[Crop]) -> None:
    found = [crop for crop in crops if not isinstance(crop, str)]
    images = np.stack(found) if found else np.zeros((0, JUDGE_SIZE, JUDGE_SIZE, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    seen = np.array([not isinstance(crop, str) for crop in crops])
    np.savez_compressed(partial, allow_pickle=False, seen=seen, images=images)
    os.replace(partial, path)
