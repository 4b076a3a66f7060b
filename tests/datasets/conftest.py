"""Small trees in the native layouts, with real public-domain faces."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv import samples


@pytest.fixture(scope="session")
def portraits():
    """Two photos with one face each: 256 pixels of the astronaut and of Grace Hopper."""
    astronaut, hopper = (Image.open(portrait.path).convert("RGB") for portrait in samples.portraits())
    return {"astronaut": astronaut.crop((96, 0, 352, 256)), "hopper": hopper.resize((256, 300))}


@pytest.fixture
def save():
    """Write an image below a folder that is made; `shade` makes the file's bytes its own."""

    def write(path: Path, image: Image.Image | None = None, shade: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((64, 64, 3), shade, np.uint8) if image is None else np.array(image)
        pixels[0, 0] = shade
        Image.fromarray(pixels).save(path, format="PNG")
        return path

    return write


@pytest.fixture
def celeba(tmp_path, portraits, save):
    """CelebA of six photos of three people, one of them faceless."""
    root = tmp_path / "celeba"
    people = {"000001.jpg": "7", "000002.jpg": "7", "000003.jpg": "8", "000004.jpg": "9", "000005.jpg": "9"}
    for i, name in enumerate(people):
        picture = None if name == "000005.jpg" else portraits["astronaut" if i % 2 else "hopper"]
        save(root / "img_align_celeba" / name, picture, shade=i)
    rows = [f"{name} -1 {'1' if person == '8' else '-1'} 1" for name, person in people.items()]
    (root / "list_attr_celeba.txt").write_text("\n".join(["5", "Bald Male Young", *rows, ""]))
    (root / "identity_CelebA.txt").write_text("".join(f"{name} {person}\n" for name, person in people.items()))
    return root
