"""Predictions of estimators and descriptors of matchers as features of an attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import AttributeEstimator, FaceMatcher, Images
from facepriv.evaluation.predictions import predict


def evidence(images: Images, estimators: Mapping[str, AttributeEstimator]) -> NDArray[np.float32]:
    """Return estimators' predictions on crops (N, S, S, 3) as evidence (N, D): log-odds of classes, or decades of age.

    A face that an estimator cannot process is 0.
    """
    columns = []
    for model in estimators.values():
        predictions = predict(model, images)
        columns.append(predictions[:, None] / 10 if predictions.ndim == 1 else log_odds(predictions))
    return np.nan_to_num(np.concatenate(columns, axis=1)).astype(np.float32)


def descriptors(images: Images, matchers: Mapping[str, FaceMatcher]) -> dict[str, NDArray[np.float32]]:
    """Return matcher -> descriptors (N, D) of crops (N, S, S, 3); a face that a matcher cannot process is 0."""
    return {name: np.nan_to_num(predict(matcher, images)) for name, matcher in matchers.items()}


def log_odds(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return log p/(1 - p) of probabilities (N, K); (N, 1) for two classes, as the second column is redundant."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-6, 1 - 1e-6)
    odds = np.log(p) - np.log1p(-p)
    return odds[:, 1:] if odds.shape[1] == 2 else odds
