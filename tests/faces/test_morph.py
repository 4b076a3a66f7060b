"""The piecewise-affine warp, beside scikit-image's, on a real face."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facepriv.errors import ContractError
from facepriv.faces import crop_face, find_faces, morph

SIZE = 128


@pytest.fixture(scope="module")
def face(astronaut_file):
    """A crop (SIZE, SIZE, 3) float32 and its 68 landmarks."""
    rgb = np.asarray(Image.open(astronaut_file).convert("RGB"))
    found = find_faces(rgb, dense=True)[0]
    return crop_face(rgb, found, SIZE), found.landmarks_in_crop(SIZE)


@pytest.fixture(scope="module")
def wider(face):
    points = face[1]
    return (points.mean(axis=0) + (points - points.mean(axis=0)) * (1.15, 0.9)).astype(np.float32)


def test_warp_equals_scikit_image(face, wider):
    from skimage.transform import PiecewiseAffineTransform
    from skimage.transform import warp as other_warp

    image, points = face
    theirs = PiecewiseAffineTransform.from_estimate(morph.with_border(wider, SIZE), morph.with_border(points, SIZE))
    expected = other_warp(image, theirs, order=1, mode="edge")
    warped = morph.warp(image, points, wider, morph.mesh(wider, SIZE), SIZE)
    assert warped.dtype == np.float32 and warped.shape == image.shape
    np.testing.assert_allclose(warped, expected, atol=1e-4)


def test_landmarks_arrive_at_their_targets(face, wider):
    _, points = face
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    warped = morph.warp(np.stack([x, y], axis=2), points, wider, morph.mesh(wider, SIZE), SIZE)
    # An image of its own coordinates tells where each target point came from; within half a pixel of rounding.
    nearest = np.rint(wider).astype(int)
    inside = (nearest >= 1).all(axis=1) & (nearest < SIZE - 1).all(axis=1)
    stretch = np.abs(wider - nearest)[inside] * 1.5 + 1e-3
    assert (np.abs(warped[nearest[inside, 1], nearest[inside, 0]] - points[inside]) < stretch + 0.5).all()


def test_same_points_leave_the_image_as_it_is(face):
    image, points = face
    np.testing.assert_allclose(morph.warp(image, points, points, morph.mesh(points, SIZE), SIZE), image, atol=1e-5)


def test_rim_stays_where_it_is(face, wider):
    image, points = face
    warped = morph.warp(image, points, wider, morph.mesh(wider, SIZE), SIZE)
    for rim in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        np.testing.assert_allclose(warped[rim], image[rim], atol=1e-5)


def test_there_and_back_gives_the_face_again(face, wider):
    image, points = face
    triangles = morph.mesh(points, SIZE)
    there = morph.warp(image, points, wider, triangles, SIZE)
    back = morph.warp(there, wider, points, triangles, SIZE)
    assert np.abs(back - image).mean() < 0.01 < np.abs(there - image).mean()


def test_result_may_have_another_size(face):
    image, points = face
    half = (points + 0.5) / 2 - 0.5
    small = morph.warp(image, points, half, morph.mesh(half, SIZE // 2), SIZE // 2)
    expected = image.reshape(SIZE // 2, 2, SIZE // 2, 2, 3).mean(axis=(1, 3))
    assert small.shape == (SIZE // 2, SIZE // 2, 3)
    assert np.abs(small - expected)[8:-8, 8:-8].mean() < 0.02


def test_plane_and_colour_image_are_warped_alike(face, wider):
    image, points = face
    triangles = morph.mesh(wider, SIZE)
    colour = morph.warp(image, points, wider, triangles, SIZE)
    plane = morph.warp(np.ascontiguousarray(image[..., 1]), points, wider, triangles, SIZE)
    np.testing.assert_array_equal(plane, colour[..., 1])


def test_residual_keeps_its_sign(face, wider):
    image, points = face
    triangles = morph.mesh(wider, SIZE)
    warped = morph.warp(-image, points, wider, triangles, SIZE)
    np.testing.assert_array_equal(warped, -morph.warp(image, points, wider, triangles, SIZE))


@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.floats(0, 40), st.integers(16, 70))
def test_every_pixel_has_its_triangle(seed, count, noise, size):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-5, size + 5, (count, 2))
    moved = points + rng.normal(0, noise, points.shape)
    # Also where the points have moved so far that triangles fold over one another.
    found = morph._triangle_map(morph.with_border(moved, size), morph.mesh(points, size), size)
    assert found.min() >= 0


@given(st.integers(0, 2**32 - 1))
def test_constant_image_stays_constant(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0, 40, (2, 20, 2))
    image = np.full((40, 40, 3), 0.25, np.float32)
    np.testing.assert_allclose(morph.warp(image, a, b, morph.mesh(b, 40), 40), image, atol=1e-6)


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.zeros(4), np.full((3, 2), np.nan)])
def test_bad_points_are_refused(points):
    with pytest.raises(ContractError, match="points of a warp"):
        morph.mesh(points, 32)
