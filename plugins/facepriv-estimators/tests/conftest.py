"""Real faces for the tests: two portraits in the public domain, and LFW where ``FACEPRIV_DATA`` says it is."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv.faces import crop_faces, find_faces

_PORTRAITS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}


def read(path):
    with Image.open(path) as photo:
        return np.asarray(photo.convert("RGB"))


@pytest.fixture(scope="session")
def portraits():
    """Eileen Collins (NASA) and Grace Hopper (US Navy): name -> (H, W, 3) uint8."""
    return {name: read(Path(find_spec(package).origin).parent / file) for name, (package, file) in _PORTRAITS.items()}


@pytest.fixture(scope="session")
def portrait_crops(portraits):
    """Their aligned crops, (2, 128, 128, 3) float32."""
    return np.concatenate([crop_faces(rgb, find_faces(rgb)[:1], 128) for rgb in portraits.values()])


@pytest.fixture(scope="session")
def lfw():
    """Return ``lfw(people, photos)``: the first so many photos of people spread over LFW, as person -> [pixels]."""
    root = os.environ.get("FACEPRIV_DATA")
    if not root or not (Path(root) / "lfw").is_dir():
        pytest.skip("FACEPRIV_DATA is not set, or holds no folder lfw")
    folders = sorted(p for p in (Path(root) / "lfw").iterdir() if p.is_dir())

    def load(people, photos):
        chosen = folders[:: len(folders) // people][:people]
        return {p.name: [read(file) for file in sorted(p.glob("*.jpg"))[:photos]] for p in chosen}

    return load


@pytest.fixture(scope="session")
def mobilefacenet_file():
    """The published MobileFaceNet, which is not part of the project."""
    path = Path(os.environ.get("FACEPRIV_WEIGHTS", "")) / "mobilefacenet_foamliu.onnx"
    if not os.environ.get("FACEPRIV_WEIGHTS") or not path.is_file():
        pytest.skip("FACEPRIV_WEIGHTS is not set, or holds no mobilefacenet_foamliu.onnx")
    return path
