"""Finds dlib's model files inside the package ``face-recognition-models``, without importing it.

Importing that package needs ``pkg_resources``, which new environments no longer include.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facepriv.errors import PluginError

LANDMARKS_5 = "shape_predictor_5_face_landmarks.dat"
LANDMARKS_68 = "shape_predictor_68_face_landmarks.dat"
DESCRIPTOR = "dlib_face_recognition_resnet_model_v1.dat"


def model_file(name: str) -> Path:
    """Return the path of a dlib model file; raises `PluginError` if the package or the file is missing."""
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise PluginError("the face landmark models are missing: pip install face-recognition-models")
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise PluginError(f"{path}: missing, pip install --force-reinstall face-recognition-models")
    return path


@cache
def detector() -> Any:
    """Return dlib's frontal HOG face detector."""
    import dlib

    return dlib.get_frontal_face_detector()


@cache
def shape_predictor(name: str) -> Any:
    """Return a dlib landmark predictor; loaded once per process."""
    import dlib

    return dlib.shape_predictor(str(model_file(name)))
