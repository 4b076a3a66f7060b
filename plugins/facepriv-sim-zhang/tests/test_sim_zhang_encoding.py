"""Faces as vectors and back, on a real face."""

import numpy as np
import pytest
from facepriv_sim_zhang.encoding import Encoding, face_region

from facepriv.faces import morph
from facepriv.testing.faces import astronaut

SIZE = 96


@pytest.fixture(scope="module")
def face():
    """The astronaut's crop (SIZE, SIZE, 3) and landmarks."""
    return astronaut(SIZE, landmarks=True)


@pytest.fixture(scope="module")
def encoding(face):
    """An encoding whose mean shape is a somewhat wider face than the astronaut's."""
    points = face[1]
    mean_shape = (points.mean(axis=0) + (points - points.mean(axis=0)) * (1.08, 0.96)).astype(np.float32)
    return Encoding(mean_shape, face_region(mean_shape, SIZE), 50.0)


def test_vector_holds_colours_of_the_region_and_landmarks(face, encoding):
    vector = encoding.encode(*face)
    assert vector.shape == (encoding.length,) and vector.dtype == np.float32
    assert encoding.colours == 3 * np.count_nonzero(encoding.region)
    shape = vector[encoding.colours :].reshape(68, 2) / 50 * SIZE + encoding.mean_shape
    np.testing.assert_allclose(shape, face[1], atol=1e-3)


def test_mean_shape_needs_no_warp(face, encoding):
    vector = encoding.encode(face[0], encoding.mean_shape)
    assert not vector[encoding.colours :].any()
    expected = (face[0] * encoding.region[:, :, None])[encoding.inside].ravel()
    np.testing.assert_allclose(vector[: encoding.colours], expected, atol=1e-5)


def test_shape_is_taken_out_of_the_appearance(face, encoding):
    """The same face in two shapes gives nearly the same appearance."""
    image, points = face
    other = (points + (encoding.mean_shape - points) * 0.7).astype(np.float32)
    moved = morph.warp(image, points, other, encoding.mesh, SIZE)
    first, second = (encoding.encode(*pair)[: encoding.colours] for pair in ((image, points), (moved, other)))
    as_they_lie = np.abs(moved - image)[encoding.inside].mean()
    assert np.abs(first - second).mean() < as_they_lie / 2


def test_crop_size_hardly_matters(face, encoding):
    large = encoding.encode(*astronaut(2 * SIZE, landmarks=True))
    assert np.abs(large - encoding.encode(*face)).mean() < 0.02


def test_region_holds_the_face_and_fades_around_it(encoding):
    x, y = np.rint(encoding.mean_shape).astype(int).T
    assert (encoding.region[y, x] > 0.6).all() and (encoding.region[y, x] == 1)[17:].all()
    brow, eyes = encoding.mean_shape[17:27, 1].mean(), encoding.mean_shape[36:48, 1].mean()
    forehead = int(brow - (eyes - brow))
    assert encoding.region[forehead, int(encoding.mean_shape[27, 0])] == 1
    rim = np.concatenate([encoding.region[0], encoding.region[-1], encoding.region[:, 0], encoding.region[:, -1]])
    assert rim.max() < 0.02
    # No border: it takes several pixels from the whole to nothing.
    assert np.abs(np.diff(encoding.region, axis=0)).max() < 0.4


def test_no_edit_leaves_the_face_as_it_is(face, encoding):
    image, points = face
    same = encoding.add(image, points, np.zeros(encoding.length, np.float32))
    np.testing.assert_allclose(same, image, atol=1e-5)


def test_an_edit_is_found_again_in_the_edited_face(face, encoding):
    image, points = face
    image = (0.25 + 0.5 * image).astype(np.float32)
    smooth = np.zeros((SIZE, SIZE, 3), np.float32)
    smooth[..., 0] = 0.1 * np.sin(np.arange(SIZE) / 15)[:, None]
    shape = np.zeros((68, 2), np.float32)
    shape[:17, 0] = np.linspace(1.5, -1.5, 17) / SIZE * 50
    edit = np.concatenate([(smooth * encoding.region[..., None])[encoding.inside].ravel(), shape.ravel()])
    moved = points + shape / 50 * SIZE
    found = encoding.encode(encoding.add(image, points, edit), moved) - encoding.encode(image, points)
    np.testing.assert_allclose(found[encoding.colours :], edit[encoding.colours :], atol=1e-3)
    wanted, got = edit[: encoding.colours], found[: encoding.colours]
    # Two interpolations blur; the edit must stand out of what they cost.
    assert np.abs(got - wanted).mean() < 0.2 * np.abs(wanted).mean()
