"""Faces are found with any detector, aligned alike, and counted where they cannot be protected well."""

import numpy as np
import pytest
from PIL import Image

from facepriv.contracts import Detections, FaceDetector
from facepriv.faces import crop_face, detect, detectors, find_faces
from facepriv.faces.detectors import Auto, Dlib, Mtcnn
from facepriv.faces.finding import FIVE_POINTS, find_with


@pytest.fixture(scope="module")
def portraits(astronaut_file, hopper_file):
    photos = []
    for file in (astronaut_file, hopper_file):
        with Image.open(file) as image:
            photos.append(np.asarray(image.convert("RGB")))
    return photos


class Given(FaceDetector):
    """Returns what it was built with, once; further photos hold nothing."""

    def __init__(self, boxes, scores, landmarks):
        self.answers = [(boxes, scores, landmarks)]

    def _detect(self, photo, min_face):
        boxes, scores, points = self.answers.pop() if self.answers else ([], [], [])
        return Detections(
            np.array(boxes, float).reshape(-1, 4), np.array(scores, float), np.array(points, float).reshape(-1, 5, 2)
        )


#: A box with landmarks that fit it, 79 pixels high.
BOX = (20.0, 20.0, 78.0, 99.0)
POINTS = FIVE_POINTS * 100 + (0, 17)


def apart(a, b):
    """Mean distance of the corners of two crops, as a share of the side."""
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    places = [corners @ face.to_photo[:, :2].T + face.to_photo[:, 2] for face in (a, b)]
    return np.linalg.norm(places[0] - places[1], axis=1).mean() / a.scale


def test_the_faces_that_dlib_finds_stay_as_they_are(portraits):
    for rgb in portraits:
        (own,), found = find_faces(rgb, dense=True), find_with(Auto(), rgb, dense=True).faces
        assert found[0].box == own.box
        assert np.array_equal(found[0].points, own.points) and np.array_equal(found[0].dense, own.dense)
        assert np.array_equal(crop_face(rgb, found[0], 112), crop_face(rgb, own, 112))


def test_dlib_takes_the_boxes_of_mtcnn_in_a_large_photo(portraits, monkeypatch):
    """The photo is searched once, and dlib's face stays where dlib's own proposals find it, up to a few pixels."""
    rgb = np.asarray(Image.fromarray(portraits[0]).resize((1200, 1200), Image.Resampling.BICUBIC))
    asked, find = [], detectors.mtcnn.find
    monkeypatch.setattr(detectors.mtcnn, "find", lambda photo, size: asked.append(size) or find(photo, size))
    monkeypatch.setattr(detect, "propose", lambda rgb: pytest.fail("a second search for proposals"))
    found = find_with(Auto(), rgb).faces
    assert asked == [16]
    monkeypatch.undo()
    (own,) = find_faces(rgb)
    assert apart(own, found[0]) < 0.02
    # A large minimum is MTCNN's alone: dlib finds its faces as ever.
    assert find_with(Auto(), rgb, min_face=400).faces[0].box == own.box


def test_mtcnn_cuts_nearly_the_same_crop_as_dlib(portraits):
    for rgb in portraits:
        (own,), found = find_faces(rgb, dense=True), find_with(Mtcnn(), rgb, dense=True).faces
        assert len(found) == 1
        assert apart(own, found[0]) < 0.08
        assert np.abs(own.dense - found[0].dense).mean() < 0.04 * own.scale


def test_a_small_face_beside_a_large_one_is_found_too(portraits):
    photo = Image.fromarray(portraits[0])
    photo.paste(Image.fromarray(portraits[1]).resize((128, 152), Image.Resampling.BOX), (380, 10))
    rgb = np.asarray(photo)
    assert len(find_faces(rgb)) == 1
    found = find_with(Auto(), rgb)
    assert found.faces[0].box == find_faces(rgb)[0].box
    assert len(found.faces) == 2 and found.faces[1].box[0] > 380


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_in_a_turned_photo_is_found_and_cut_upright(portraits, turns):
    upright, turned = portraits[0], np.rot90(portraits[0], turns)
    (face,) = find_with(Auto(), turned, dense=True).faces
    (own,) = find_with(Mtcnn(), upright, dense=True).faces
    assert np.abs(crop_face(turned, face, 64) - crop_face(upright, own, 64)).mean() < 0.02
    left, top, right, bottom = face.box
    assert ((left, top) < face.points).all() and (face.points < (right, bottom)).all()
    # The landmarks of the turned face lie where they lie in the upright one.
    there = face.landmarks_in_crop(100)
    assert there == pytest.approx(own.landmarks_in_crop(100), abs=3)


def test_a_narrow_face_is_counted_as_small(portraits):
    detector = Given([BOX], [0.9], [POINTS])
    found = find_with(detector, portraits[0], min_face=60)
    assert (len(found.faces), found.small, found.uncertain) == (1, 1, 0)
    assert find_with(Given([BOX], [0.9], [POINTS]), portraits[0], min_face=58).small == 0


def test_a_low_score_is_counted_and_not_a_face(portraits):
    found = find_with(Given([BOX, (200, 20, 258, 99)], [0.9, 0.4], [POINTS, POINTS + (180, 0)]), portraits[0])
    assert (len(found.faces), found.uncertain) == (1, 1)


def test_a_low_score_on_a_known_face_is_not_counted(portraits):
    found = find_with(Given([BOX, BOX], [0.4, 0.9], [POINTS, POINTS]), portraits[0])
    assert (len(found.faces), found.uncertain) == (1, 0)


@pytest.mark.parametrize("points", [np.full((5, 2), 50.0), POINTS * (1, -1) + (0, 116), POINTS * 3])
def test_a_face_with_unusable_landmarks_is_placed_by_its_box(portraits, points):
    found = find_with(Given([BOX], [0.9], [points]), portraits[0])
    assert (len(found.faces), found.uncertain) == (1, 1)
    (right,) = find_with(Given([BOX], [0.9], [POINTS]), portraits[0]).faces
    assert apart(right, found.faces[0]) < 0.05


def test_a_neighbour_whose_box_lies_half_in_a_larger_one_is_found(portraits):
    other = (58.0, 50.0, 88.0, 87.0)
    points = FIVE_POINTS * 47 + (50, 48)
    found = find_with(Given([BOX, other], [0.9, 0.9], [POINTS, points]), portraits[0])
    assert len(found.faces) == 2
    inside = (40.0, 50.0, 70.0, 87.0)  # a part of a known face
    assert len(find_with(Given([BOX, inside], [0.9, 0.9], [POINTS, points]), portraits[0]).faces) == 1


def test_dlib_alone_is_not_shown_a_turned_photo(portraits, monkeypatch):
    assert find_with(Dlib(), np.rot90(portraits[0], 2)).faces == []
