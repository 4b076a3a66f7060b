"""The checks of detectors pass one that is right and fail one that is wrong in just that point."""

import random

import numpy as np
import pytest

from facepriv.contracts import Detections, FaceDetector
from facepriv.errors import ContractError
from facepriv.testing import checks, run_checks
from facepriv.testing.detectors import CHECKS

PHOTO = np.zeros((10, 10, 3), np.uint8)
#: The astronaut's box, and the centres of her eyes, the tip of her nose and the corners of her mouth.
BOX = (185.0, 65.0, 265.0, 170.0)
POINTS = ((204, 102), (246, 105), (225, 131), (206, 145), (242, 148))


class Known(FaceDetector):
    """A detector that conforms: it knows where the one photo of 512 pixels has its face."""

    def _detect(self, photo, min_face):
        count = int(photo.shape == (512, 512, 3))
        return Detections(
            np.array([BOX] * count, np.float64).reshape(-1, 4),
            np.full(count, 0.9),
            np.array([POINTS] * count, np.float64).reshape(-1, 5, 2),
        )


class Doubled(Known):
    def _detect(self, photo, min_face):
        one = super()._detect(photo, min_face)
        return Detections(*(np.concatenate((part, part)) for part in (one.boxes, one.scores, one.landmarks)))


class Unsure(Known):
    sure = 0.95


class Wide(Known):
    def _detect(self, photo, min_face):
        one = super()._detect(photo, min_face)
        return Detections(one.boxes + (-60, 0, 60, 0), one.scores, one.landmarks)


class Swapped(Known):
    """Gives x and y of the landmarks in the wrong order."""

    def _detect(self, photo, min_face):
        one = super()._detect(photo, min_face)
        return Detections(one.boxes, one.scores, one.landmarks[:, :, ::-1].copy())


class SeesGhosts(Known):
    def _detect(self, photo, min_face):
        return super()._detect(np.zeros((512, 512, 3)), min_face)


class Painter(Known):
    def _detect(self, photo, min_face):
        photo[0, 0] = 7 - photo[0, 0] // 2
        return super()._detect(photo, min_face)


class Moody(Known):
    def _detect(self, photo, min_face):
        one = super()._detect(photo, min_face)
        return Detections(one.boxes, one.scores - 0.2 * random.random(), one.landmarks)


class Loud(Known):
    points = "all"


def failed(detector):
    return {result.name for result in run_checks(detector, "detector") if not result.passed}


def test_a_right_detector_passes_every_check():
    assert failed(Known) == set()
    assert len(CHECKS) == len(checks(Known, "detector")) >= 11


@pytest.mark.parametrize(
    ("detector", "names"),
    [
        (Doubled, {"finds_a_face"}),
        (Unsure, {"finds_a_face", "landmarks_in_place"}),
        (Wide, {"finds_a_face"}),
        (Swapped, {"landmarks_in_place"}),
        (SeesGhosts, {"no_face_in_a_flat_photo"}),
        (Painter, {"photo_untouched"}),
        (Moody, {"repeatable", "views_accepted", "global_random_state_untouched"}),
        (Loud, {"declarations"}),
    ],
)
def test_a_wrong_one_fails_the_check_of_its_fault(detector, names):
    assert names <= failed(detector) <= names | {"landmarks_in_place"}


@pytest.mark.parametrize("name", ["auto", "dlib", "mtcnn"])
def test_the_detectors_of_the_core_conform(name):
    assert [result for result in run_checks(name, "detector") if not result.passed] == []


@pytest.mark.parametrize(
    ("boxes", "scores", "landmarks", "text"),
    [
        (np.zeros((1, 3)), np.ones(1), np.zeros((1, 5, 2)), r"boxes: expected floats \(1, 4\), got float64 \(1, 3\)"),
        (np.array([BOX]), np.ones(1), np.zeros((1, 2, 5)), r"landmarks: expected floats \(1, 5, 2\)"),
        (np.array([BOX]), np.array([1.2]), np.zeros((1, 5, 2)), "scores: expected 0 to 1, got 1.2"),
        (np.array([BOX])[:, ::-1], np.ones(1), np.zeros((1, 5, 2)), "boxes: expected left < right"),
        (np.array([BOX]) * np.nan, np.ones(1), np.zeros((1, 5, 2)), "boxes: expected finite values"),
        ([BOX], np.ones(1), np.zeros((1, 5, 2)), "boxes: expected floats .*, got list"),
        (np.array([BOX], int), np.ones(1), np.zeros((1, 5, 2)), "boxes: expected floats .*, got int64"),
    ],
)
def test_wrong_detections_are_refused(boxes, scores, landmarks, text):
    with pytest.raises(ContractError, match=text):
        Detections(boxes, scores, landmarks)


@pytest.mark.parametrize(
    ("photo", "min_face", "text"),
    [
        (PHOTO.astype(float), 16, "photo: expected uint8"),
        (PHOTO[:, :, 0], 16, "photo: expected uint8"),
        (PHOTO[:0], 16, "photo: expected pixels"),
        ("photo.jpg", 16, "photo: expected uint8 .*, got str"),
        (PHOTO, 0, "min_face: expected at least 1"),
        (PHOTO, float("nan"), "min_face: expected at least 1"),
    ],
)
def test_a_wrong_call_is_refused(photo, min_face, text):
    with pytest.raises(ContractError, match=text):
        Known().detect(photo, min_face)


def test_a_detector_must_return_detections():
    class Tuples(Known):
        def _detect(self, photo, min_face):
            return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))

    with pytest.raises(ContractError, match="Tuples returned tuple, expected Detections"):
        Tuples().detect(PHOTO)
