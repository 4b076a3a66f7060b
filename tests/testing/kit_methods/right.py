"""Methods that conform; the broken ones differ from them in one point."""

import sys
from pathlib import Path

import numpy as np

from facepriv.contracts import Perturber
from facepriv.weights import load_weights, stored_sha256


class Darken(Perturber):
    """Half as bright."""

    attributes = ("gender", "age")

    def _perturb(self, faces, source, target, strength, rngs):
        return faces.images * np.float32(1 - 0.5 * strength)


class Noise(Darken):
    stochastic = True

    def _perturb(self, faces, source, target, strength, rngs):
        noise = np.stack([rng.random(faces.images.shape[1:], dtype=np.float32) for rng in rngs])
        return np.clip(faces.images + np.float32(0.1 * strength) * noise, 0, 1)


class Landmarked(Darken):
    """Darkens the square around the tip of the nose."""

    needs = frozenset({"landmarks"})
    crop_size = 64

    def _perturb(self, faces, source, target, strength, rngs):
        out = faces.images.copy()
        for image, points in zip(out, faces.landmarks, strict=True):
            x, y = points[30].astype(int)
            image[y - 4 : y + 5, x - 4 : x + 5] *= 0.5
        return out


class Tint(Darken):
    """A method with weights: a colour to multiply with."""

    def __init__(self, weights):
        self.weights = Path(weights)
        self.colour = None

    def weights_path(self):
        return self.weights

    def info(self):
        return {"version": "1", "weights": stored_sha256(self.weights), "seen": ["judge"]}

    def _perturb(self, faces, source, target, strength, rngs):
        if self.colour is None:
            self.colour = load_weights(self.weights).tensors["colour"]
        return faces.images * self.colour


def variant(name, base=Darken, **members):
    """Return a subclass with these members, for a module-level variable of that name in the calling module."""
    # With the caller's module, the class can be pickled.
    return type(name, (base,), {"__module__": sys._getframe(1).f_globals["__name__"], **members})
