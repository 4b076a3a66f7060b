"""Two portraits in the public domain: Eileen Collins (NASA) and Grace Hopper (US Navy)."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv.faces import crop_face, find_faces

_PORTRAITS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
SIZE = 192


@pytest.fixture(scope="session")
def portrait_files():
    """Name -> file."""
    return {name: Path(find_spec(package).origin).parent / file for name, (package, file) in _PORTRAITS.items()}


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
