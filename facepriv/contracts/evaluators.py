"""The contracts of judges: attribute estimators and face matchers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts.methods import UNKNOWN, Images
from facepriv.schema import attribute


class Evaluator(ABC):
    """Base class of estimators and matchers: models of aligned faces with a statement of their training data."""

    #: A text about its training data and training, for reports.
    trained_on: ClassVar[str] = ""

    def torch_module(self) -> Any:
        """Return a differentiable module that takes aligned crops, NCHW RGB in [0, 1], or None if there is none."""
        return None


class AttributeEstimator(Evaluator):
    """Estimates one attribute of aligned faces.

    Examples
    --------
    >>> import numpy as np
    >>> class Brightness(AttributeEstimator):
    ...     attribute, output = "age", "years"
    ...
    ...     def predict(self, images):
    ...         return 80 * (1 - images.mean(axis=(1, 2, 3)))
    >>> Brightness().classes(np.full((1, 112, 112, 3), 0.75, np.float32))
    array([0])
    """

    #: The attribute that it estimates.
    attribute: ClassVar[str] = ""
    #: "probabilities" (N, K) in the schema's class order, or "years" (N,).
    output: ClassVar[Literal["probabilities", "years"]] = "probabilities"

    @abstractmethod
    def predict(self, images: Images) -> NDArray[np.float32]:
        """Return probabilities (N, K) summing to 1, or years (N,), for aligned crops (N, S, S, 3) in [0, 1]."""

    def classes(self, images: Images) -> NDArray[np.int64]:
        """Return class indices (N,) int64: the likeliest class, or the age group of the years.

        If any value of a face is NaN or infinite, its class is unknown, -1.
        """
        predicted = self.predict(images)
        known = np.isfinite(predicted).reshape(len(predicted), -1).all(axis=1)
        years = self.output == "years"
        found = attribute(self.attribute).bin(predicted) if years else predicted.argmax(axis=1)
        return np.where(known, found, UNKNOWN).astype(np.int64)


class FaceMatcher(Evaluator):
    """Embeds aligned faces; two embeddings are compared by `score`.

    Examples
    --------
    >>> import numpy as np
    >>> class Colour(FaceMatcher):
    ...     def embed(self, images):
    ...         return images.mean(axis=(1, 2))
    >>> red = Colour().embed(np.full((1, 112, 112, 3), [0.8, 0.0, 0.0], np.float32))
    >>> dark = Colour().embed(np.full((1, 112, 112, 3), [0.4, 0.0, 0.0], np.float32))
    >>> Colour().score(red, dark).round(3)
    array([1.], dtype=float32)
    """

    #: Optional: the published threshold of `score`, at or above which two faces count as one person; None if there is
    #: none. With it an evaluation can report matches without labels of people.
    threshold: ClassVar[float | None] = None

    @abstractmethod
    def embed(self, images: Images) -> NDArray[np.float32]:
        """Return (N, D) descriptors for aligned crops (N, S, S, 3) in [0, 1]; an all-NaN row: failure to acquire."""

    def score(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return similarities (N,) of rows of `a` and `b`, cosine by default: higher = more likely the same person."""
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return ((a * b).sum(axis=1) / np.maximum(norms, 1e-12)).astype(np.float32)

    def score_all(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return similarities (N, M) of every row of `a` with every row of `b`, equal to `score` up to rounding.

        A matcher that overrides `score` may override this for speed; by default `score` is called row by row.
        """
        if type(self).score is not FaceMatcher.score:
            rows = [self.score(np.broadcast_to(row, b.shape), b) for row in a]
            return np.stack(rows) if rows else np.empty((0, len(b)), dtype=np.float32)
        units = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6) for side in (a, b)]
        return (units[0] @ units[1].T).astype(np.float32)
