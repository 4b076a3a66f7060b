"""What a model says of aligned faces, and which faces it could not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, Evaluator, FaceMatcher, Images


def judged(model: Evaluator, images: Images) -> NDArray[np.float32]:
    """Return what one model says of aligned crops (N, S, S, 3): estimates (N, K) or (N,), or descriptors (N, D).

    Where any value of a face is NaN or infinite, all are NaN: the model could not take that face.
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


def not_taken(looks: Mapping[str, NDArray[Any]], names: Sequence[str], what: str) -> dict[str, str]:
    """Return judge -> how many faces it could not take, of the judges for which there are any.

    Parameters
    ----------
    looks : mapping
        Judge -> what it says of N photos; ``seen`` (N,) tells where a face was found.
    names : sequence of str
        The photos' names.
    what : str
        What the photos are, for the text.
    """
    seen = looks["seen"]
    found = {}
    for judge in looks.keys() - {"seen"}:
        lost = np.flatnonzero(seen & np.isnan(looks[judge]).reshape(len(seen), -1).any(axis=1))
        if len(lost):
            found[judge] = f"gave NaN or infinity for {len(lost)} of {seen.sum()} {what}, first {names[lost[0]]}"
    return dict(sorted(found.items()))
