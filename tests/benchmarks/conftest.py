"""The benchmark scripts as modules, and a small LFW of public-domain faces."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def bars(script):
    return script("benchmarks/bars.py")


@pytest.fixture
def detection(script):
    return script("benchmarks/detection.py")


@pytest.fixture
def marks(script):
    return script("benchmarks/marks.py")


@pytest.fixture
def rewriting(script):
    return script("benchmarks/rewriting.py")


@pytest.fixture
def small_lfw(tmp_path):
    """Eight "people", each two photos of the astronaut in another light; the last of them has no face."""
    from skimage import data

    face = Image.fromarray(data.astronaut()).crop((96, 0, 352, 256)).resize((160, 160))
    root = tmp_path / "data" / "lfw"
    rows = ["subject,gender"]
    for i, name in enumerate("ABCDEFGH"):
        (root / name).mkdir(parents=True)
        rows.append(f"{name},{'female' if i % 2 else 'male'}")
        for photo in (1, 2):
            light = np.array(face) * (0.6 + 0.05 * i + 0.02 * photo)
            pixels = np.zeros_like(light) if name == "H" else light
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{name}_000{photo}.jpg")
    (root.parent / "lfw_gender.csv").write_text("\n".join(rows) + "\n")
    return root.parent
