"""The detectors of the core as components: dlib's, MTCNN, and both together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import Detections, FaceDetector
from facepriv.faces import mtcnn
from facepriv.faces.align import Face
from facepriv.faces.detect import find_faces
from facepriv.faces.finding import find_with


class Dlib(FaceDetector):
    """dlib's HOG detector, see `facepriv.faces.find_faces`.

    Parameters
    ----------
    thorough : bool
        Search the whole photo, and not only where a fast network proposes a face.
    """

    points = "eye-corners-nose"
    turns = False

    def __init__(self, thorough: bool = False) -> None:
        self.thorough = thorough

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        faces = find_faces(photo, thorough=self.thorough)
        return _detections(faces, [1.0] * len(faces))


class Mtcnn(FaceDetector):
    """MTCNN, see `facepriv.faces.mtcnn`."""

    sure = 0.7

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        return Detections(*mtcnn.find(photo, min_face))


class Auto(FaceDetector):
    """dlib's faces, and MTCNN's faces where dlib finds none; `thorough` as for `Dlib`."""

    points = "eye-corners-nose"

    def __init__(self, thorough: bool = False) -> None:
        self.thorough = thorough

    def parts(self) -> tuple[FaceDetector, ...]:
        """Return dlib, so that its crops stay as they are, then MTCNN."""
        return Dlib(self.thorough), Mtcnn()

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        found = find_with(self, photo, min_face=min_face)
        return _detections(found.faces, found.scores)


def _detections(faces: list[Face], scores: list[float]) -> Detections:
    boxes = np.array([face.box for face in faces], np.float64).reshape(-1, 4)
    points = np.array([face.points for face in faces], np.float64).reshape(-1, 5, 2)
    return Detections(boxes, np.array(scores, np.float64), points)
