"""The morph itself, on two real faces."""

import numpy as np
import pytest
from facepriv_face_mixing import gallery
from facepriv_face_mixing.mixing import face_mask, hull_mask, matched, mix, outline, ring
from PIL import Image, ImageFilter
from scipy.spatial import Delaunay

from facepriv.faces import find_faces


@pytest.fixture(scope="module")
def averages():
    return gallery.load(gallery.shipped())


def mixed(face, averages, index=0, *, shape=0.5, texture=0.5, **options):
    options |= {"shape": shape, "texture": texture, "window": averages.window}
    return mix(*face, averages.picture(index), averages.points[index], **options)


def halfway(face, averages, index=0):
    """Return the landmarks half way to those of an average."""
    return 0.5 * face[1] + 0.5 * (len(face[0]) * averages.points[index] - 0.5)


def men(averages):
    return int(np.flatnonzero(averages.labels["gender"] == 0)[0])


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_nothing_taken_leaves_every_value(mixing_faces, averages, name):
    out = mixed(mixing_faces[name], averages, shape=0.0, texture=0.0)
    np.testing.assert_allclose(out, mixing_faces[name][0], atol=1e-4)


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_beyond_the_ring_every_value_is_the_faces_own(mixing_faces, averages, name):
    image, points = mixing_faces[name]
    size = image.shape[0]
    goal = halfway(mixing_faces[name], averages)
    around = ring(np.concatenate([outline(points), outline(goal)]), size)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=2)
    outside = Delaunay(around).find_simplex(pixels) < 0
    assert outside.mean() > 0.15
    np.testing.assert_array_equal(mixed(mixing_faces[name], averages)[outside], image[outside])


def test_landmarks_arrive_half_way(mixing_faces, averages):
    """Faces are found anew in the mixed picture: eyes and mouth lie where the mixed shape has them."""
    size, index = len(mixing_faces["astronaut"][0]), men(averages)
    out = mixed(mixing_faces["astronaut"], averages, index)
    found = find_faces((out * 255).astype(np.uint8), dense=True)[0].dense - 0.5
    goal = halfway(mixing_faces["astronaut"], averages, index)
    inner = np.s_[17:]  # brows, nose, eyes, mouth
    assert np.linalg.norm(found[inner] - goal[inner], axis=1).mean() < 0.012 * size


def test_eyes_and_mouth_of_both_faces_fall_together(mixing_faces):
    """Landmarks are found anew in either face alone, as carried to the mixed shape."""
    (image, points), (other, other_points) = mixing_faces["astronaut"], mixing_faces["hopper"]
    size = image.shape[0]
    found = []
    for texture in (0.0, 1.0):
        out = mix(image, points, other, (other_points + 0.5) / size, shape=0.5, texture=texture)
        found.append(find_faces((out * 255).astype(np.uint8), dense=True)[0].dense[27:])
    before = np.linalg.norm(points[27:] - other_points[27:], axis=1).mean()
    assert np.linalg.norm(found[0] - found[1], axis=1).mean() < min(0.012 * size, 0.7 * before)


def test_a_hat_and_a_fringe_stay_out_of_the_mix(mixing_faces, averages):
    image, points = mixing_faces["hopper"]
    size = image.shape[0]
    whole = hull_mask(outline(points), size)
    dark = (image.mean(axis=2) < 0.2) & (whole > 0.5) & (np.arange(size)[:, None] < points[17:27, 1].min() - 8)
    assert dark.sum() > 100  # the hat, within the forehead strip
    assert np.median(face_mask(image, points)[dark]) < 0.05
    carried = mixed(mixing_faces["hopper"], averages, texture=0.0)
    assert np.abs(mixed(mixing_faces["hopper"], averages) - carried)[dark].mean() < 0.02


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_there_is_no_seam_at_the_rim_of_the_mask(mixing_faces, averages, name):
    """The other face's share rises slowly: no step between neighbouring pixels that the warped photo had not."""
    face = mixing_faces[name]
    carried, out = mixed(face, averages, texture=0.0), mixed(face, averages)
    change = out - carried
    step = max(np.abs(np.diff(change, axis=axis)).mean(axis=2).max() for axis in (0, 1))
    edges = max(np.abs(np.diff(carried, axis=axis)).mean(axis=2).max() for axis in (0, 1))
    mask = face_mask(carried, halfway(face, averages))
    rim = (mask > 0) & (mask < 0.05)
    assert np.abs(change)[rim].max() < 0.03
    assert step < 0.7 * edges


def test_matched_face_has_mean_and_contrast_of_the_other(mixing_faces):
    image, points = mixing_faces["astronaut"]
    weight = hull_mask(points, image.shape[0])
    pale = 0.6 + 0.15 * (image - image.mean())
    blurred = np.asarray(Image.fromarray((image * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))) / 255
    out = matched(pale.astype(np.float32), blurred.astype(np.float32), weight)
    inside = weight > 0.9
    assert np.abs(out[inside].mean(axis=0) - blurred[inside].mean(axis=0)).max() < 0.02
    # 0.15 of the contrast comes back 2.5 times as strong, no more: noise of a flat picture is not blown up.
    assert (np.abs(out[inside].std(axis=0) / image[inside].std(axis=0) - 0.375) < 0.03).all()


def test_texture_alone_leaves_the_shape(mixing_faces, averages):
    image, points = mixing_faces["astronaut"]
    out = mixed(mixing_faces["astronaut"], averages, men(averages), shape=0.0)
    found = find_faces((out * 255).astype(np.uint8), dense=True)[0].dense - 0.5
    assert np.linalg.norm(found[27:] - points[27:], axis=1).mean() < 0.012 * image.shape[0]


def test_landmarks_beyond_the_crop_are_no_error(averages):
    rng = np.random.default_rng(0)
    face = rng.random((96, 96, 3), dtype=np.float32), rng.uniform(-40, 140, (68, 2))
    assert np.isfinite(mixed(face, averages)).all()
