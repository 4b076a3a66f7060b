"""The fitted decomposition: a face's vector to coordinates on every axis, and coordinates to an edit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.schema import ATTRIBUTES, Schema
from facepriv.weights import Provenance, Weights, WeightsMetadata, half, load_weights, save_weights
from facepriv_sim_zhang.encoding import Encoding

ARCHITECTURE = "sim-zhang-decomposition"
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A decomposition of face vectors of length D.

    Parameters
    ----------
    encoding : Encoding
    mean : ndarray
        (D,) float32.
    analysis : ndarray
        (D, K) float32: coordinates of a vector x are (x - mean) @ analysis. Columns: the axes of each attribute in the
        schema's order, then those of the identity residual. On the training faces every coordinate has variance 1, and
        the coordinates are uncorrelated.
    synthesis : ndarray
        (D, K) float32: a change of coordinates c changes the vector by synthesis @ c.
    classes : dict
        Attribute -> (C, C - 1) float32, the mean coordinates of each class.
    """

    encoding: Encoding
    mean: Float
    analysis: Float
    synthesis: Float
    classes: dict[str, Float]

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Attribute, and ``identity``, -> its columns."""
        found, start = {}, 0
        for name, means in self.classes.items():
            found[name] = slice(start, start + means.shape[1])
            start += means.shape[1]
        return {**found, "identity": slice(start, self.analysis.shape[1])}

    def coordinates(self, vector: Float) -> Float:
        """Return the coordinates (K,) of a vector (D,), or (N, K) of (N, D)."""
        return (vector - self.mean) @ self.analysis

    def edit(self, change: Float) -> Float:
        """Return the difference of vectors (D,) for a change of coordinates (K,)."""
        return self.synthesis @ change


def save(path: Path, model: Model, provenance: Provenance, figures: dict[str, Any]) -> str:
    """Write a model as a weights file in half precision; return its SHA-256."""
    # Only large tensors use half precision; the shape determines the triangles, so it keeps its precision.
    large = {"mean": model.mean, "analysis": model.analysis, "synthesis": model.synthesis}
    small = {"mean_shape": model.encoding.mean_shape, "region": model.encoding.region}
    classes = {f"classes.{name}": means for name, means in model.classes.items()}
    config = {"shape_weight": model.encoding.shape_weight, "figures": figures}
    schema: Schema = {name: ATTRIBUTES[name] for name in model.classes}
    return save_weights(
        path, {**half(large), **small, **classes}, WeightsMetadata(ARCHITECTURE, provenance, config, schema)
    )


@cache
def load(path: Path) -> tuple[Model, Weights]:
    """Return the model of a weights file, and the file's content; read once per process."""
    weights = load_weights(path, architecture=ARCHITECTURE)
    tensors, config = weights.tensors, weights.metadata.config
    encoding = Encoding(tensors["mean_shape"], tensors["region"], config["shape_weight"])
    classes = {name: tensors[f"classes.{name}"] for name in weights.metadata.schema}
    return Model(encoding, tensors["mean"], tensors["analysis"], tensors["synthesis"], classes), weights
