"""Predictions of a model on aligned faces, and faces that it cannot process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, Evaluator, FaceMatcher, Images


def judged(model: Evaluator, images: Images) -> NDArray[np.float32]:
    """Return one model's predictions on aligned crops (N, S, S, 3): estimates (N, K) or (N,), or descriptors (N, D).

    If any value of a face is NaN or infinite, all its values become NaN: the model could not process the face.
    """
    if isinstance(model, FaceMatcher):
        said = model.embed(images)
    else:
        assert isinstance(model, AttributeEstimator)
        said = model.predict(images)
    taken = np.isfinite(said).reshape(len(said), -1).all(axis=1)
    if taken.all():
        return said
    said = said.astype(np.float32)
    said[~taken] = np.nan
    return said


def not_taken(predictions: Mapping[str, NDArray[Any]], names: Sequence[str], what: str) -> dict[str, str]:
    """Return judge -> message about the faces that it could not process, for judges with any.

    Parameters
    ----------
    predictions : mapping
        Judge -> predictions on N photos; ``seen`` (N,) is True where a face was found.
    names : sequence of str
        The photos' names.
    what : str
        Word for the photos in the message.
    """
    seen = predictions["seen"]
    found = {}
    for judge in predictions.keys() - {"seen"}:
        lost = np.flatnonzero(seen & np.isnan(predictions[judge]).reshape(len(seen), -1).any(axis=1))
        if len(lost):
            found[judge] = f"gave NaN or infinity for {len(lost)} of {seen.sum()} {what}, first {names[lost[0]]}"
    return dict(sorted(found.items()))
