"""The contract of face detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts.arrays import check_floats
from facepriv.errors import ContractError


@dataclass(frozen=True)
class Detections:
    """The faces that a detector found in a photo.

    Parameters
    ----------
    boxes : ndarray
        (N, 4) floats: left, top, right, bottom in pixels of the photo; they may extend over its border.
    scores : ndarray
        (N,) floats in [0, 1], higher where a face is more certain.
    landmarks : ndarray
        (N, 5, 2) floats, x and y in pixels of the photo; see `FaceDetector.points`.

    Raises
    ------
    ContractError
        If a shape, dtype or range is not as above, or a box has no area; the text contains the actual value.
    """

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    landmarks: NDArray[np.floating]

    def __post_init__(self) -> None:
        count = len(self.scores) if isinstance(self.scores, np.ndarray) else 0
        for name, shape in (("boxes", (count, 4)), ("scores", (count,)), ("landmarks", (count, 5, 2))):
            check_floats(name, getattr(self, name), shape)
        if count and not (self.boxes[:, 2:] > self.boxes[:, :2]).all():
            raise ContractError("boxes: expected left < right and top < bottom")
        if count and not (self.scores.min() >= 0 and self.scores.max() <= 1):
            raise ContractError(f"scores: expected 0 to 1, got {self.scores.min():.4g} to {self.scores.max():.4g}")

    def __len__(self) -> int:
        return len(self.scores)


class FaceDetector(ABC):
    """Finds the faces in a photo. Constructors only store arguments; weights are read on first use.

    Examples
    --------
    >>> import numpy as np
    >>> class WholePhoto(FaceDetector):
    ...     def _detect(self, photo, min_face):
    ...         height, width = photo.shape[:2]
    ...         places = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    ...         box = np.array([[0.0, 0.0, width, height]])
    ...         return Detections(box, np.ones(1), places[None] * (width, height))
    >>> WholePhoto().detect(np.zeros((100, 80, 3), np.uint8)).boxes
    array([[  0.,   0.,  80., 100.]])
    """

    #: The five landmarks. "eyes-nose-mouth": centre of the eye on the left of the picture, of the other, tip of the
    #: nose, left and right corner of the mouth. "eye-corners-nose": those of dlib, see `facepriv.faces.align`.
    points: ClassVar[Literal["eyes-nose-mouth", "eye-corners-nose"]] = "eyes-nose-mouth"
    #: Least score of a sure face. Faces with lower scores are counted as uncertain, and are not changed.
    sure: ClassVar[float] = 0.5
    #: Whether the core also shows it the photo turned by 90, 180 and 270 degrees if no face is found.
    turns: ClassVar[bool] = True

    def parts(self) -> tuple[FaceDetector, ...]:
        """Return the detectors that this one combines, those whose faces count first; by default itself."""
        return (self,)

    @final
    def detect(self, photo: NDArray[np.uint8], min_face: float = 16.0) -> Detections:
        """Return the faces in a photo.

        Parameters
        ----------
        photo : ndarray
            (H, W, 3) uint8 RGB; never written to.
        min_face : float
            Width in pixels of the smallest faces to search for; smaller ones may be returned.

        Raises
        ------
        ContractError
            If the photo or the result of the detector breaks the contract.
        """
        if not isinstance(photo, np.ndarray) or photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            got = f"{photo.dtype} {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
            raise ContractError(f"photo: expected uint8 (H, W, 3), got {got}")
        if not photo.size:
            raise ContractError(f"photo: expected pixels, got shape {photo.shape}")
        if not min_face >= 1:
            raise ContractError(f"min_face: expected at least 1 pixel, got {min_face}")
        found = self._detect(photo, min_face)
        if not isinstance(found, Detections):
            raise ContractError(f"{type(self).__name__} returned {type(found).__name__}, expected Detections")
        return found

    @abstractmethod
    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        """Search a valid photo; must not write to it."""
