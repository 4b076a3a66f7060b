"""Inks stay as they were, except for those of changed pixels."""

import numpy as np
import pytest
from PIL import Image

from facepriv.image import cmyk
from facepriv.image.decode import read_image


@pytest.fixture(scope="module")
def inks():
    return np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)


def test_unchanged_cmyk_pixels_are_bit_identical(inks, saved, rewritten, opened):
    path = saved(Image.frombytes("CMYK", (32, 24), inks.tobytes()), "a.tif")
    assert read_image(path).pixels.shape == (24, 32, 3)

    def edit(pixels):
        pixels[3:6, 3:6] = (200, 30, 90)

    out = opened(rewritten(path, change=edit))
    assert out.mode == "CMYK"
    different = (np.asarray(out) != inks).any(axis=2)
    assert different.sum() == 9
    shown = read_image(rewritten(path, change=edit)).pixels[3:6, 3:6]
    assert np.abs(shown.astype(int) - (200, 30, 90)).max() <= 1


def test_a_cmyk_jpeg_stays_cmyk_and_is_not_inverted(portrait, saved, rewritten, opened):
    path = saved(portrait.convert("CMYK"), "a.jpg", quality=95)
    photo = read_image(path)
    assert np.abs(photo.pixels.astype(int) - np.asarray(portrait)).mean() < 3
    out = opened(rewritten(path))
    assert out.mode == "CMYK"
    assert np.abs(np.asarray(out).astype(int) - np.asarray(opened(path))).mean() < 1


def test_a_changed_cmyk_pixel_keeps_its_black_unless_it_must_get_lighter():
    inks = np.array([[[40, 50, 60, 100], [0, 0, 0, 200]]], dtype=np.uint8)
    rgb = cmyk.to_rgb(inks).astype(int)
    wanted = (rgb + np.array([[[-10, 5, 0], [60, 60, 60]]])).astype(np.uint8)
    changed = cmyk.with_rgb(inks, wanted)
    assert changed[0, 0, 3] == 100
    assert changed[0, 1, 3] < 200
    assert np.abs(cmyk.to_rgb(changed).astype(int) - wanted).max() <= 1
