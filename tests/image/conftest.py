"""Photos for the tests of reading and writing, and what writes and reads them again."""

import io
import os

import pytest
from PIL import Image

from facepriv.image.decode import read_image
from facepriv.image.encode import write_image


@pytest.fixture(autouse=True)
def no_wait_for_the_disk(monkeypatch):
    """Hundreds of files are written here; that they are synced has a test of its own."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture(scope="module")
def portrait(astronaut_file):
    """The astronaut at 64 x 48, RGB."""
    with Image.open(astronaut_file) as image:
        return image.convert("RGB").crop((120, 30, 440, 270)).resize((64, 48))


@pytest.fixture(scope="module")
def profile():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def saved(tmp_path):
    """Return ``saved(image, name, **options)``: writes a file with Pillow alone, if asked with an EXIF orientation."""

    def save(image, name, orientation=None, **options):
        path = tmp_path / name
        if orientation:
            options["exif"] = exif = Image.Exif()
            exif[0x0112] = orientation
        image.save(path, **options)
        return path

    return save


@pytest.fixture
def rewritten():
    """Return ``rewritten(path, suffix, change, **options)``: reads, changes some pixels, writes it beside."""

    def rewrite(path, suffix=None, change=None, **options):
        photo = read_image(path)
        if change is not None:
            pixels = photo.pixels.copy()
            change(pixels)
            photo = photo.with_pixels(pixels)
        out = path.parent / "out" / f"{path.stem}{suffix or path.suffix}"
        write_image(photo, out, **options)
        return out

    return rewrite


@pytest.fixture
def opened():
    """Return ``opened(path)``: the image of a file, read with Pillow alone."""

    def load(path):
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
        return image

    return load
