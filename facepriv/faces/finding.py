"""Finds all faces of a photo with a detector, and aligns each by its landmarks.

A detector may combine others (`FaceDetector.parts`): each part adds the faces that those before it did not find.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceDetector
from facepriv.faces.align import TEMPLATE, Face, crop_face, similarity
from facepriv.faces.boxes import overlap, shared_of_smaller
from facepriv.faces.detect import dense_landmarks, landmarks_of_crop

#: Default width in pixels of the smallest faces.
MIN_FACE = 16.0
#: Centres of the eyes, tip of the nose and corners of the mouth in a crop of side 1: medians of MTCNN's landmarks in
#: dlib's crops of 369 training faces of CelebA and UTKFace.
FIVE_POINTS = np.array([(0.3611, 0.3509), (0.6329, 0.3509), (0.4945, 0.5178), (0.3755, 0.6317), (0.6171, 0.6328)])

# Likewise, the box in the crop: x and y of its centre, and its height.
_BOX_IN_CROP = (0.485, 0.42, 0.79)
# Landmarks are unusable if the crop that they give is so many times larger or smaller than the box suggests, or if
# they lie so far from their places in the crop (root mean square, as a fraction of its side).
_MOST_SCALE, _MOST_ERROR = 1.6, 0.12
# Intersection over union of two boxes above which both show the same face, and share of the smaller one that lies in
# the other. Boxes of neighbours overlap too.
_SAME, _NESTED = 0.3, 0.75
# Side of the crop in which the 68 landmarks are searched.
_DENSE_SIDE = 224


@dataclass
class Found:
    """The faces of a photo.

    Parameters
    ----------
    faces : list of Face
        Those of the detector's first part come first; each part's largest first.
    scores : list of float
        One for each face.
    small : int
        Number of these faces that are narrower than the minimum.
    uncertain : int
        Number of these faces with unusable landmarks, which are placed by their boxes, and of further boxes with too
        low a score.
    """

    faces: list[Face] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    small: int = 0
    uncertain: int = 0

    def knows(self, box: NDArray[np.floating]) -> bool:
        """Return whether a box shows one of the faces."""
        boxes = np.array([face.box for face in self.faces]).reshape(-1, 4)
        return bool(((overlap(box, boxes) > _SAME) | (shared_of_smaller(box, boxes) > _NESTED)).any())


def find_with(
    detector: FaceDetector, rgb: NDArray[np.uint8], *, min_face: float = MIN_FACE, dense: bool = False
) -> Found:
    """Find the faces of a photo; if there is none, also in the photo turned by 90, 180 and 270 degrees.

    Parameters
    ----------
    detector : FaceDetector
    rgb : ndarray
        (H, W, 3) uint8.
    min_face : float
        Width in pixels of the smallest faces to search for. Smaller ones that are found are counted as small.
    dense : bool
        Also find the 68 landmarks that some methods need.
    """
    rgb = np.ascontiguousarray(rgb)
    parts = detector.parts()
    found = _find(parts, rgb, min_face, dense)
    turning = tuple(part for part in parts if part.turns)
    if found.faces or not turning:
        return found
    turned = [_turned_back(_find(turning, np.rot90(rgb, k).copy(), min_face, dense), rgb, k) for k in (1, 2, 3)]
    best = max(turned, key=lambda each: sum(each.scores))
    return best if best.faces else found


def _find(parts: tuple[FaceDetector, ...], rgb: NDArray[np.uint8], min_face: float, dense: bool) -> Found:
    found, unsure = Found(), []
    for part in parts:
        detected = part.detect(rgb, min_face)
        sides = detected.boxes[:, 2:] - detected.boxes[:, :2]
        for n in np.argsort(-sides.prod(1), kind="stable"):
            box = detected.boxes[n]
            if found.knows(box):
                continue
            if detected.scores[n] < part.sure:
                unsure.append(box)
                continue
            face, usable = _face(part, rgb, box, detected.landmarks[n], dense)
            found.faces.append(face)
            found.scores.append(float(detected.scores[n]))
            found.small += bool(sides[n, 0] < min_face)
            found.uncertain += not usable
    found.uncertain += sum(not found.knows(box) for box in unsure)
    return found


def _face(
    part: FaceDetector, rgb: NDArray[np.uint8], box: NDArray[np.floating], points: NDArray[np.floating], dense: bool
) -> tuple[Face, bool]:
    """Return a face aligned by its landmarks, or by its box if they are unusable, and whether they are usable."""
    left, top, right, bottom = box.tolist()
    place = (left, top, right, bottom)
    if part.points == "eye-corners-nose":
        return Face(place, points.astype(np.float64), dense_landmarks(rgb, place) if dense else None), True
    to_photo, usable = _aligned(box, points)
    face = Face(place, TEMPLATE @ to_photo[:, :2].T + to_photo[:, 2])
    if not dense:
        return face, usable
    crop = np.rint(255 * crop_face(rgb, face, _DENSE_SIDE)).astype(np.uint8)
    inside = (landmarks_of_crop(crop) + 0.5) / _DENSE_SIDE
    return Face(face.box, face.points, inside @ to_photo[:, :2].T + to_photo[:, 2]), usable


def _aligned(box: NDArray[np.floating], points: NDArray[np.floating]) -> tuple[NDArray[np.float64], bool]:
    """Return the (2, 3) transform from a crop of side 1 to the photo, and whether it is from the landmarks."""
    x, y, height = _BOX_IN_CROP
    side = (box[3] - box[1]) / height
    to_photo = similarity(FIVE_POINTS, points.astype(np.float64))
    scale = float(np.hypot(to_photo[0, 0], to_photo[1, 0]))
    if side / _MOST_SCALE < scale < side * _MOST_SCALE:
        errors = FIVE_POINTS @ to_photo[:, :2].T + to_photo[:, 2] - points
        if np.sqrt((errors**2).sum(1).mean()) < _MOST_ERROR * scale:
            return to_photo, True
    middle = (box[:2] + box[2:]) / 2
    return np.array([(side, 0, middle[0] - x * side), (0, side, middle[1] - y * side)], np.float64), False


def _turned_back(found: Found, rgb: NDArray[np.uint8], turns: int) -> Found:
    """Return faces found in ``np.rot90(rgb, turns)`` in coordinates of the photo."""
    height, width = rgb.shape[:2]
    # Columns of the turned photo are rows of the photo after an odd number of turns.
    turn, shift = {
        1: (((0.0, -1.0), (1.0, 0.0)), (width, 0)),
        2: (((-1.0, 0.0), (0.0, -1.0)), (width, height)),
        3: (((0.0, 1.0), (-1.0, 0.0)), (0, height)),
    }[turns]

    def back(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points @ np.array(turn).T + shift

    faces = []
    for face in found.faces:
        corners = back(np.array(face.box).reshape(2, 2))
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        dense = None if face.dense is None else back(face.dense)
        faces.append(Face((left, top, right, bottom), back(face.points), dense))
    return Found(faces, found.scores, found.small, found.uncertain)
