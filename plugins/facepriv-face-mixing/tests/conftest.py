"""Faces of the two portraits."""

import numpy as np
import pytest

from facepriv import samples
from facepriv.faces import crop_face, find_faces

SIZE = 192


@pytest.fixture(scope="session")
def portrait_files():
    """Name -> file."""
    return {name: portrait.path for name, portrait in zip(("astronaut", "hopper"), samples.portraits(), strict=True)}


@pytest.fixture(scope="session")
def mixing_faces(portraits):
    """Name -> aligned crop (SIZE, SIZE, 3) float32, and its 68 landmarks in pixels."""
    faces = {}
    for name, rgb in zip(("astronaut", "hopper"), portraits, strict=True):
        face = find_faces(rgb, dense=True)[0]
        faces[name] = crop_face(rgb, face, SIZE), face.landmarks_in_crop(SIZE).astype(np.float64)
    return faces
