import sys

import numpy as np
import pytest

from facepriv.contracts import FaceBatch
from facepriv.faces.align import TEMPLATE
from facepriv.testing import faces, specimens

# Eye corners, the outer one first, right of the picture and then left, and nose base: in the 68 points and in TEMPLATE.
FIVE_OF_68 = (45, 42, 36, 39, 33)


@pytest.mark.parametrize("size", [48, 128])
def test_specimens_are_three_different_labelled_faces_of_the_size_asked_for(size):
    batch = specimens(size, landmarks=False)
    assert isinstance(batch, FaceBatch)
    assert batch.images.shape == (3, size, size, 3)
    assert batch.landmarks is None
    assert set(batch.labels) == {"gender", "race", "age"}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(batch.images[a] - batch.images[b]).mean() > 0.05


@pytest.mark.parametrize("face", [faces.drawn_face, lambda size: faces.astronaut(size, True)], ids=["drawn", "real"])
def test_landmarks_lie_where_the_alignment_puts_them(face):
    _, points = face(100)
    assert points.shape == (68, 2) and points.dtype == np.float32
    assert np.abs((points[list(FIVE_OF_68)] + 0.5) / 100 - TEMPLATE).max() < 0.05


def test_the_pinned_points_of_the_astronaut_give_the_crop_that_detection_gives():
    pinned, _ = faces.astronaut(64, False)
    found, _ = faces.astronaut(64, True)
    assert np.array_equal(pinned, found)


def test_without_scikit_image_a_drawn_face_stands_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    faces._found_astronaut.cache_clear()
    faces.astronaut.cache_clear()
    batch = specimens(40)
    assert batch.images.shape == (3, 40, 40, 3)
    assert np.array_equal(batch.images[0], np.sqrt(faces.drawn_face(40)[0]))


def test_writing_to_specimens_spoils_no_later_ones():
    first = specimens(32, landmarks=False)
    before = first.images.copy()
    first.images[:] = 0
    assert np.array_equal(specimens(32, landmarks=False).images, before)
