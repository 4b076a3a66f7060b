"""Sim and Zhang's method: an attribute's coordinates of a face are replaced by those of another class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import UNKNOWN, FaceBatch, Labels, Perturber
from facepriv.errors import UsageError
from facepriv.weights import packaged_weights
from facepriv_sim_zhang.model import Model, load

PACKAGE = "facepriv_sim_zhang.weights"
#: Beyond this the linear model paints no faces any more.
MOST_REACH = 4.0


class SimZhang(Perturber):
    """Moves faces along orthogonal axes of gender, race and age in a linear model of appearance and shape.

    Parameters
    ----------
    weights : path-like or None
        A fitted model; None: the one that the package ships.
    reach : float
        How far the target lies, in units of its class's mean from the mean of all; 1 is the source's.
    identity : float
        0 to 1: how much of what is left of the person is exchanged for that of somebody drawn at random; 0, the
        default, leaves the identity alone.
    """

    attributes: ClassVar[tuple[str, ...]] = ("gender", "race", "age")
    crop_size: ClassVar[int] = 224
    needs: ClassVar[frozenset[str]] = frozenset({"landmarks", "labels"})

    def __init__(self, weights: str | Path | None = None, reach: float = 1.0, identity: float = 0.0) -> None:
        self.weights = weights
        self.reach = reach
        self.identity = identity
        self.stochastic = identity > 0  # type: ignore[misc]  # without it nothing is drawn

    def to(self, device: str) -> SimZhang:
        """Runs on the CPU whatever `device` is; says early what is wrong with its settings. Returns self."""
        self._check_settings()
        return self

    def info(self) -> dict[str, Any]:
        """Return version, the weights' hash, and the evaluators that had part in the fit."""
        from facepriv_sim_zhang import __version__

        weights = load(self.weights_path())[1]
        return {"version": __version__, "weights": weights.sha256, "seen": list(weights.metadata.provenance.seen)}

    def weights_path(self) -> Path:
        """Return the path of the weights file in use."""
        return Path(self.weights) if self.weights else packaged_weights(PACKAGE, "sim_zhang")

    def _check_settings(self) -> None:
        if not 0 <= self.identity <= 1:
            raise UsageError(f"sim-zhang.identity: expected 0 to 1, got {self.identity:g}")
        if not 0 < self.reach <= MOST_REACH:
            raise UsageError(f"sim-zhang.reach: expected more than 0, at most {MOST_REACH:g}, got {self.reach:g}")

    def _perturb(
        self,
        faces: FaceBatch,
        source: Labels,
        target: Labels,
        strength: float,
        rngs: Sequence[np.random.Generator],
    ) -> NDArray[np.float32]:
        self._check_settings()
        model = load(self.weights_path())[0]
        assert faces.landmarks is not None  # the core has seen to it
        out = faces.images.copy()
        # Face by face: the rounding of a product depends on its size, a protected photo must not.
        for n, (image, points) in enumerate(zip(faces.images, faces.landmarks, strict=True)):
            wanted = {
                name: int(values[n])
                for name, values in target.items()
                if name in model.classes and values[n] not in (UNKNOWN, source[name][n])
            }
            if not wanted and not self.identity:
                continue
            own = model.coordinates(model.encoding.encode(image, points))
            change = strength * (self.goal(model, own, wanted, rngs[n]) - own)
            out[n] = np.clip(model.encoding.add(image, points, model.edit(change.astype(np.float32))), 0, 1)
        return out

    def goal(
        self, model: Model, own: NDArray[np.float32], wanted: dict[str, int], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the coordinates that a face of coordinates `own` shall have at full strength.

        Parameters
        ----------
        wanted : dict
            Attribute -> class index, of those that change; all other coordinates stay the face's own.
        """
        goal = own.copy()
        for name, label in wanted.items():
            goal[model.columns[name]] = self.reach * model.classes[name][label]
        if self.identity:
            person = model.columns["identity"]
            drawn = rng.standard_normal(person.stop - person.start).astype(np.float32)
            goal[person] += self.identity * (drawn - own[person])
        return goal
