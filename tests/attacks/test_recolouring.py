"""A fixed change of colours is found and undone; where there is none, that is seen."""

import numpy as np
import pytest
from PIL import Image

from facepriv.attacks.recolouring import gain, learn_colours


def recoloured(images):
    """Channels in another order, one as its negative."""
    return np.stack([255 - images[..., 1], images[..., 2], images[..., 0]], axis=-1)


@pytest.fixture(scope="module")
def faces(small_faces):
    """24 views (24, 64, 64, 3) uint8 of two portraits, in different light."""
    rng = np.random.default_rng(0)
    views = []
    for n in range(24):
        x, y = rng.integers(0, 20, 2)
        face = Image.fromarray(small_faces[n % 2]).crop((x, y, x + 80, y + 80)).resize((64, 64))
        views.append(np.clip(np.asarray(face) * rng.uniform(0.6, 1.1), 0, 255).astype(np.uint8))
    return np.stack(views)


def test_an_invertible_recolouring_is_undone_in_faces_that_were_not_studied(faces):
    changed = recoloured(faces)
    colours = learn_colours(changed[:16], faces[:16])
    assert gain(colours, changed[16:], faces[16:]) > 0.95
    assert np.abs(colours(changed[16:]).astype(int) - faces[16:]).mean() < 4


def test_a_curve_that_no_polynomial_fits_is_undone_too(faces):
    steps = ((np.arange(256) + 128 * (np.arange(256) // 32 % 2)) % 256).astype(np.uint8)
    changed = steps[faces]
    assert gain(learn_colours(changed[:16], faces[:16]), changed[16:], faces[16:]) > 0.5


def test_where_nothing_was_done_there_is_nothing_to_gain(faces):
    assert gain(learn_colours(faces[:16], faces[:16]), faces[16:], faces[16:]) == 0.0


def test_a_change_of_shape_is_no_recolouring(faces):
    changed = np.roll(faces, 9, axis=2)
    assert gain(learn_colours(changed[:16], faces[:16]), changed[16:], faces[16:]) < 0.25
