"""The detectors of the core as components: dlib's, MTCNN, and both together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import Detections, FaceDetector
from facepriv.faces import mtcnn
from facepriv.faces.align import Face
from facepriv.faces.detect import find_faces
from facepriv.faces.finding import find_with

# Width of the smallest faces that dlib's detector finds, in pixels.
_OWN_SMALLEST = 60


class Dlib(FaceDetector):
    """dlib's HOG detector, see `facepriv.faces.find_faces`.

    Parameters
    ----------
    thorough : bool
        Search the whole photo, and not only where a fast network proposes a face.
    proposer : FaceDetector, optional
        Proposes faces in place of that network.
    """

    points = "eye-corners-nose"
    turns = False

    def __init__(self, thorough: bool = False, proposer: FaceDetector | None = None) -> None:
        self.thorough = thorough
        self.proposer = proposer

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        # dlib finds faces that are narrower than a large minimum, too.
        asks = self.proposer is not None and not self.thorough and min_face <= _OWN_SMALLEST
        proposals = self.proposer.detect(photo, min_face).boxes if asks and self.proposer else None
        faces = find_faces(photo, thorough=self.thorough, proposals=proposals)
        return _detections(faces, [1.0] * len(faces))


class Mtcnn(FaceDetector):
    """MTCNN, see `facepriv.faces.mtcnn`."""

    sure = 0.7

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        return Detections(*mtcnn.find(photo, min_face))


class _Once(Mtcnn):
    """MTCNN that remembers its last photo, because two detectors ask for the same one."""

    def __init__(self) -> None:
        self._last: tuple[NDArray[np.uint8], float, Detections] | None = None

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        if self._last is None or self._last[0] is not photo or self._last[1] != min_face:
            self._last = photo, min_face, super()._detect(photo, min_face)
        return self._last[2]


class Auto(FaceDetector):
    """dlib's faces, and MTCNN's faces where dlib finds none; `thorough` as for `Dlib`."""

    points = "eye-corners-nose"

    def __init__(self, thorough: bool = False) -> None:
        self.thorough = thorough

    def parts(self) -> tuple[FaceDetector, ...]:
        """Return dlib, so that its crops stay as they are, then MTCNN, whose boxes dlib takes as proposals."""
        mtcnn = _Once()
        return Dlib(self.thorough, mtcnn), mtcnn

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        found = find_with(self, photo, min_face=min_face)
        return _detections(found.faces, found.scores)


def _detections(faces: list[Face], scores: list[float]) -> Detections:
    boxes = np.array([face.box for face in faces], np.float64).reshape(-1, 4)
    points = np.array([face.points for face in faces], np.float64).reshape(-1, 5, 2)
    return Detections(boxes, np.array(scores, np.float64), points)
