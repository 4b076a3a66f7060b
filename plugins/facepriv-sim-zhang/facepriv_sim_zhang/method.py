"""Sim and Zhang's method: replace a face's coordinates of an attribute by those of another class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import UNKNOWN, FaceBatch, Images, Labels, Perturber, Rngs
from facepriv.errors import UsageError
from facepriv.weights import packaged_weights
from facepriv_sim_zhang.model import Model, load

PACKAGE = "facepriv_sim_zhang.weights"
#: Beyond this the linear model no longer produces faces.
MOST_REACH = 4.0


class SimZhang(Perturber):
    """Moves faces along orthogonal axes of gender, race and age in a linear model of appearance and shape.

    Parameters
    ----------
    weights : path-like or None
        A fitted model; None: the packaged one.
    reach : float, above 0, at most 4
        Distance of the target from the mean of all, in units of its class mean's distance; 1 is the source's.
    identity : float, 0 to 1
        Share of the identity residual replaced by a random person's; 0, the default, keeps the identity.
    """

    attributes: ClassVar[tuple[str, ...]] = ("gender", "race", "age")
    crop_size: ClassVar[int] = 224
    needs: ClassVar[frozenset[str]] = frozenset({"landmarks", "labels"})
    blind: ClassVar[bool] = True  # all faces move to the drawn class's place, those of this class too

    def __init__(self, weights: str | Path | None = None, reach: float = 1.0, identity: float = 0.0) -> None:
        self.weights = weights
        self.reach = reach
        self.identity = identity
        self.stochastic = identity > 0  # type: ignore[misc]  # otherwise deterministic

    def to(self, device: str) -> SimZhang:
        """Check the settings; return self. The method always runs on the CPU, whatever `device` is."""
        self._check_settings()
        return self

    def info(self) -> dict[str, Any]:
        """Return the version, the weights' hash, and the evaluators used in the fit."""
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

    def _perturb(self, faces: FaceBatch, source: Labels, target: Labels, strength: float, rngs: Rngs) -> Images:
        self._check_settings()
        model = load(self.weights_path())[0]
        assert faces.landmarks is not None  # the core ensures it
        out = faces.images.copy()
        # One face at a time: the rounding of a product depends on its size, a protected photo must not.
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
        """Return the target coordinates, at full strength, of a face with coordinates `own`.

        Parameters
        ----------
        wanted : dict
            Attribute -> class index, for those to change; all other coordinates stay the face's own.
        """
        goal = own.copy()
        for name, label in wanted.items():
            goal[model.columns[name]] = self.reach * model.classes[name][label]
        if self.identity:
            person = model.columns["identity"]
            drawn = rng.standard_normal(person.stop - person.start).astype(np.float32)
            goal[person] += self.identity * (drawn - own[person])
        return goal
