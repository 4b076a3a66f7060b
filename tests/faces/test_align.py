"""Alignment is exact: a crop holds what the transform says, wherever the face lies and however it is turned."""

import dlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facepriv.contracts import STANDARD, Frame
from facepriv.faces import CROP_PADDING, Face, crop_face, crop_faces, find_faces
from facepriv.faces.align import TEMPLATE, chip_window, invert, similarity, template

scales = st.floats(0.1, 5000)
angles = st.floats(-180, 180)
shifts = st.floats(-5000, 5000)


def transform(scale, angle, x, y):
    turn = np.deg2rad(angle)
    a, b = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[a, -b, x], [b, a, y]])


def apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def face_at(scale, angle, x, y, dense=None):
    """A face whose crop of side 1 is mapped to the photo by that transform."""
    return Face((0.0, 0.0, 1.0, 1.0), apply(transform(scale, angle, x, y), TEMPLATE), dense)


def ramp(height, width):
    """A photo whose red is proportional to x and whose green is proportional to y, (H, W, 3) uint8."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[:, :, 0] = np.rint((np.arange(width) + 0.5) * (255 / width))
    photo[:, :, 1] = np.rint((np.arange(height) + 0.5) * (255 / height))[:, None]
    return photo


@settings(deadline=None)
@given(scales, angles, shifts, shifts)
def test_a_similarity_is_found_exactly(scale, angle, x, y):
    matrix = transform(scale, angle, x, y)
    found = similarity(TEMPLATE, apply(matrix, TEMPLATE))
    assert np.allclose(found, matrix, rtol=0, atol=1e-6 * max(1, scale))


@settings(deadline=None)
@given(scales, angles, shifts, shifts)
def test_inverting_undoes_a_transform(scale, angle, x, y):
    matrix = transform(scale, angle, x, y)
    points = np.array([(0.0, 0.0), (1.0, 0.3)])
    assert np.allclose(apply(invert(matrix), apply(matrix, points)), points, atol=1e-6)


def test_a_similarity_to_noisy_points_is_the_least_squares_one():
    rng = np.random.default_rng(0)
    points = apply(transform(200, 17, 50, 60), TEMPLATE) + rng.normal(0, 3, (5, 2))

    def error(matrix):
        return ((apply(matrix, TEMPLATE) - points) ** 2).sum()

    best = similarity(TEMPLATE, points)
    for _ in range(200):
        nudge = transform(1 + rng.normal(0, 0.01), rng.normal(0, 1), *rng.normal(0, 2, 2))
        nudged = nudge[:, :2] @ best
        nudged[:, 2] += nudge[:, 2]
        assert error(nudged) >= error(best)


@settings(max_examples=20, deadline=None)
@given(st.floats(30, 600), angles, st.integers(16, 224))
def test_a_crop_shows_what_the_transform_says(scale, angle, size):
    photo = ramp(1000, 900)
    # The crop's middle in the middle of the photo, so that it lies inside at any angle.
    face = face_at(scale, angle, *((450, 500) - apply(transform(scale, angle, 0, 0), np.array([0.5, 0.5]))))
    crop = crop_face(photo, face, size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.float32
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    expected = apply(face.to_photo, np.stack([x, y], axis=2) / size) / (900, 1000)
    assert np.abs(crop[:, :, :2] - expected).max() < 2.5 / 255  # photo, average and crop are rounded in turn


@pytest.mark.parametrize(("x", "y"), [(-300, 100), (700, 100), (200, -300), (200, 900), (-700, -700), (1500, 1500)])
def test_beyond_the_photo_the_border_is_continued(x, y):
    photo = ramp(1000, 900)
    crop = crop_face(photo, face_at(500, 0, x, y), 50)
    px = np.clip(x + (np.arange(50) + 0.5) * 10, 0.5, 899.5) / 900
    py = np.clip(y + (np.arange(50) + 0.5) * 10, 0.5, 999.5) / 1000
    # At the border itself a pixel of the crop averages several of the photo.
    assert np.abs(crop[:, :, 0] - px).max() < 3 / 255
    assert np.abs(crop[:, :, 1] - py[:, None]).max() < 3 / 255


def test_a_fine_pattern_is_averaged_not_aliased():
    photo = np.zeros((1200, 1200, 3), np.uint8)
    photo[::2, ::2] = photo[1::2, 1::2] = 255
    for angle in (0, 20):
        crop = crop_face(photo, face_at(800, angle, 300, 100), 64)
        assert np.abs(crop - 0.5).max() < 0.02


def test_eyes_and_nose_lie_at_the_template_in_every_crop(astronaut_file):
    photo = np.asarray(Image.open(astronaut_file).convert("RGB"))
    for angle in (0, 15, -15):
        turned = np.asarray(Image.fromarray(photo).rotate(angle, resample=Image.Resampling.BICUBIC))
        face = find_faces(turned)[0]
        inside = apply(invert(face.to_photo), face.points)
        assert np.abs(inside - TEMPLATE).max() < 0.02


def test_a_turned_photo_gives_the_same_crop(astronaut_file):
    photo = Image.open(astronaut_file).convert("RGB")
    upright = crop_face(np.asarray(photo), find_faces(np.asarray(photo))[0], 64)
    turned = np.asarray(photo.rotate(15, resample=Image.Resampling.BICUBIC))
    other = crop_face(turned, find_faces(turned)[0], 64)
    middle = slice(16, 48)
    # Landmarks move by a pixel or so: the pictures agree, far beyond what another face would give (0.2).
    assert np.abs(upright[middle, middle] - other[middle, middle]).mean() < 0.05


@pytest.mark.parametrize("padding", [0.2, 0.25])
def test_dlibs_chip_is_a_window_of_the_crop(astronaut_file, padding):
    photo = np.asarray(Image.open(astronaut_file).convert("RGB"))
    face = find_faces(photo)[0]
    parts = [dlib.point(*(round(float(v)) for v in p - 0.5)) for p in face.points]
    chip = dlib.get_face_chip(photo, dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), parts), 150, padding)
    start, stop = chip_window(padding)
    size = round(150 / (stop - start))
    low = round(start * size)
    window = crop_face(photo, face, size)[low : low + 150, low : low + 150]
    difference = np.abs(window - chip / 255)
    shifted = np.abs(window[:, 3:] - chip[:, :-3] / 255)
    assert difference.mean() < 0.02
    assert difference.mean() < shifted.mean() / 1.5


def test_the_windows_are_nested_and_centred():
    assert chip_window(CROP_PADDING) == (0.0, 1.0)
    start, stop = chip_window(0.25)
    assert start + stop == pytest.approx(1)
    assert chip_window(0.2)[0] > start > 0


def test_a_frame_is_a_square_around_the_same_face():
    photo, face = ramp(900, 1000), face_at(300, 20, 250, 150)
    mean_face = face.scale / STANDARD.side
    for frame in (STANDARD, Frame(3.0, 0.5), Frame(2.0, 0.75)):
        other = face.framed(frame)
        assert other.scale == pytest.approx(frame.side * mean_face)
        moved = apply(invert(face.to_photo), apply(other.to_photo, np.array([(0.5, 0.5)])))
        np.testing.assert_allclose(moved, [(0.5, 0.5 + (frame.centre - 0.5) / STANDARD.side)], atol=1e-9)
        inside = apply(invert(other.to_photo), face.points)
        np.testing.assert_allclose(inside, template(frame), atol=1e-9)
    assert face.framed(STANDARD) is face
    assert np.abs(crop_face(photo, face, 64) - crop_face(photo, face.framed(Frame(3.0, 0.5)), 64)).max() > 0.1


def test_landmarks_in_the_crop_are_pixel_indices():
    # A landmark at the centre of the photo's pixel (column 30, row 40) with a crop of one pixel a pixel from (10, 20).
    face = face_at(100, 0, 10, 20, dense=np.tile([30.5, 40.5], (68, 1)))
    found = face.landmarks_in_crop(100)
    assert found.dtype == np.float32
    assert np.allclose(found, (20, 20), atol=1e-4)
    assert np.allclose(face.landmarks_in_crop(200), (40.5, 40.5), atol=1e-4)
    assert face_at(100, 0, 10, 20).landmarks_in_crop(100) is None


def test_no_face_gives_an_empty_batch():
    assert crop_faces(ramp(10, 10), [], 32).shape == (0, 32, 32, 3)


def test_cropping_leaves_the_photo_alone_and_takes_read_only_ones():
    photo = ramp(300, 300)
    photo.setflags(write=False)
    crops = crop_faces(photo, [face_at(200, 10, 30, 30), face_at(50, -10, 30, 30)], 32)
    assert crops.shape == (2, 32, 32, 3)
    assert 0 <= crops.min() <= crops.max() <= 1
