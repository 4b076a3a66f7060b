import numpy as np
import pytest
from facepriv_pixelate import CELLS, Pixelate

from facepriv.protection.request import face_rng
from facepriv.registry import registry
from facepriv.testing import specimens


def mosaic(size, strength):
    faces = specimens(size, landmarks=False)
    rngs = [face_rng("test", n, "pixelate", 0) for n in range(len(faces))]
    return faces.images, Pixelate().perturb(faces, faces.labels, faces.labels, strength=strength, rngs=rngs)


def test_every_block_is_the_mean_of_the_face_under_it():
    before, after = mosaic(128, 1.0)
    block = 128 // CELLS
    means = before.reshape(3, CELLS, block, CELLS, block, 3).mean(axis=(2, 4))
    assert np.allclose(after, np.kron(means, np.ones((1, block, block, 1))), atol=1e-6)


def test_blocks_grow_with_strength():
    colours = [len(np.unique(mosaic(128, strength)[1][0].reshape(-1, 3), axis=0)) for strength in (0.25, 0.5, 0.75, 1)]
    assert colours == sorted(colours, reverse=True)
    assert colours[-1] == CELLS**2


@pytest.mark.parametrize("size", [5, 97, 130])
def test_mean_colour_is_kept_where_blocks_do_not_divide_the_crop(size):
    before, after = mosaic(size, 1.0)
    assert np.allclose(before.mean(axis=(1, 2), dtype=float), after.mean(axis=(1, 2), dtype=float), atol=1e-6)


def test_is_found_by_name_with_a_reason_not_to_use_it():
    assert "not protection" in registry().find("method", "pixelate").summary
