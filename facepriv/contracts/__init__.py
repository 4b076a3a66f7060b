"""The interfaces that plugins implement, one module a kind. They exchange NumPy arrays; torch is not needed."""

from facepriv.contracts.attacks import Answer, Attack, Fit, Known, Notes, Tools, flat, taken
from facepriv.contracts.detectors import Detections, FaceDetector
from facepriv.contracts.evaluators import AttributeEstimator, Evaluator, FaceMatcher
from facepriv.contracts.methods import (
    STANDARD,
    UNKNOWN,
    FaceBatch,
    Frame,
    Images,
    Labels,
    Perturber,
    Rngs,
    resize_images,
    resized,
)

#: Version of this contract. A plugin built for another version is listed but not loaded.
CONTRACT_VERSION = 2

__all__ = [
    "CONTRACT_VERSION",
    "STANDARD",
    "UNKNOWN",
    "Answer",
    "Attack",
    "AttributeEstimator",
    "Detections",
    "Evaluator",
    "FaceBatch",
    "FaceDetector",
    "FaceMatcher",
    "Fit",
    "Frame",
    "Images",
    "Known",
    "Labels",
    "Notes",
    "Perturber",
    "Rngs",
    "Tools",
    "flat",
    "resize_images",
    "resized",
    "taken",
]
