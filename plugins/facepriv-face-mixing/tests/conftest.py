"""Two portraits in the public domain: Eileen Collins (NASA) and Grace Hopper (US Navy)."""

import numpy as np
import pytest
from PIL import Image

from facepriv.faces import crop_face, find_faces
from facepriv.samples import portraits

SIZE = 192


@pytest.fixture(scope="session")
def portrait_files():
    """Name -> file."""
    return {name: portrait.path for name, portrait in zip(("astronaut", "hopper"), portraits(), strict=True)}


@pytest.fixture(scope="session")
def mixing_faces(portrait_files):
    """Name -> aligned crop (SIZE, SIZE, 3) float32, and its 68 landmarks in pixels."""
    faces = {}
    for name, file in portrait_files.items():
        with Image.open(file) as photo:
            rgb = np.asarray(photo.convert("RGB"))
        face = find_faces(rgb, dense=True)[0]
        faces[name] = crop_face(rgb, face, SIZE), face.landmarks_in_crop(SIZE).astype(np.float64)
    return faces
