"""The components of `tiny_plugin`; importing this module is what its descriptors put off."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Literal

import click
import numpy as np

from facepriv.contracts import AttributeEstimator, Perturber
from facepriv.errors import UsageError, WeightsError
from facepriv.schema import ATTRIBUTES

_ALL = ("gender", "race", "age")
#: Red, green and blue of a painted face tell the wanted gender, race and age: this much a class.
STEP = 0.2


class Darken(Perturber):
    attributes = ("gender",)
    crop_size = 64

    def _perturb(self, faces, source, target, strength, rngs):
        return faces.images * np.float32(1 - 0.5 * strength)


class Tuned(Darken):
    """As dark as it is set to be."""

    def __init__(self, amount: float = 0.5, how: Literal["evenly", "below"] = "evenly", fixed: int = 1):
        if not 0 <= amount <= 1:
            raise UsageError(f"tuned.amount: expected 0 to 1, got {amount:g}")
        self.amount, self.how, self.fixed = amount, how, fixed

    def _perturb(self, faces, source, target, strength, rngs):
        return faces.images * np.float32(1 - self.amount * strength)


class Noise(Perturber):
    attributes = ("gender",)
    crop_size = 64
    stochastic = True

    def _perturb(self, faces, source, target, strength, rngs):
        noise = [rng.normal(0, 0.1 * strength, faces.images.shape[1:]) for rng in rngs]
        return np.clip(faces.images + np.stack(noise), 0, 1).astype(np.float32)


class Paint(Perturber):
    """Fills the face with the colour of its wanted classes; unknown is black.

    The environment variable ``TINY_INFO`` holds what it says of itself instead, as JSON.
    """

    attributes = _ALL
    crop_size = 64
    needs = frozenset({"labels"})
    paste = "replacement"

    def info(self):
        own = {"version": "7", "weights": "f" * 64, "seen": ["bright-gender"], "dtype": "bfloat16"}
        return own | json.loads(os.environ.get("TINY_INFO") or "{}")

    def _perturb(self, faces, source, target, strength, rngs):
        colour = np.stack([STEP * (target[name] + 1) for name in _ALL], axis=1).astype(np.float32)
        return np.broadcast_to(colour[:, None, None], faces.images.shape)


class PaintGender(Paint):
    attributes = ("gender",)


class PaintAge(Paint):
    """Keeps red as it finds it, so that what stood before it in a chain shows."""

    attributes = ("age",)

    def _perturb(self, faces, source, target, strength, rngs):
        painted = super()._perturb(faces, source, target, strength, rngs).copy()
        painted[..., 0] = faces.images[..., 0]
        return painted


class Grey(Perturber):
    attributes = ("race",)

    def _perturb(self, faces, source, target, strength, rngs):
        return np.repeat(faces.images.mean(axis=3, keepdims=True), 3, axis=3)


class Dots(Perturber):
    """White dots on the 68 landmarks."""

    attributes = ("gender",)
    needs = frozenset({"landmarks"})
    crop_size = 96

    def _perturb(self, faces, source, target, strength, rngs):
        out = faces.images.copy()
        for image, points in zip(out, faces.landmarks, strict=True):
            x, y = np.clip(np.rint(points), 0, image.shape[0] - 1).astype(int).T
            image[y, x] = 1
        return out


class Misshapen(Perturber):
    attributes = ("gender",)

    def _perturb(self, faces, source, target, strength, rngs):
        return faces.images[:, 1:]


def is_dark(images):
    """Tell dark faces (N,): the test photos come in two kinds."""
    return images.mean(axis=(1, 2, 3)) < 0.2


class Choosy(Darken):
    """Raises if any face of its batch is dark."""

    def _perturb(self, faces, source, target, strength, rngs):
        if is_dark(faces.images).any():
            raise ValueError("too dark\nfor me")
        return super()._perturb(faces, source, target, strength, rngs)


class Deadly(Darken):
    """Its process ends at a dark face."""

    def _perturb(self, faces, source, target, strength, rngs):
        if is_dark(faces.images).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._perturb(faces, source, target, strength, rngs)


class Odd(Noise):
    """Does to a dark face what no method may do; the others it treats well.

    Where it hangs, a file named by its process says so in the folder `marks`.
    """

    def __init__(
        self,
        how: Literal["nan", "shape", "integers", "nothing", "exit", "die", "hang"] = "nan",
        marks: Path | None = None,
    ):
        self.how, self.marks = how, marks

    def _perturb(self, faces, source, target, strength, rngs):
        done = super()._perturb(faces, source, target, strength, rngs)
        dark = is_dark(faces.images)
        if not dark.any():
            return done
        match self.how:
            case "nan":
                done[dark, 0, 0, 0] = np.nan
            case "shape":
                return done[~dark]
            case "integers":
                return (done * 255).astype(np.uint8)
            case "nothing":
                return None
            case "exit":
                raise SystemExit(0)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                Path(self.marks, str(os.getpid())).touch()
                time.sleep(10_000)
        return done


class Slow(Noise):
    def _perturb(self, faces, source, target, strength, rngs):
        time.sleep(0.15 * len(faces))
        return super()._perturb(faces, source, target, strength, rngs)


class Still(Darken):
    """Returns what it is given."""

    def _perturb(self, faces, source, target, strength, rngs):
        return faces.images.copy()


class FirstOnly(Darken):
    """Darkens the first face that it is given, and no other."""

    def _perturb(self, faces, source, target, strength, rngs):
        changed = super()._perturb(faces, source, target, strength, rngs)
        changed[1:] = faces.images[1:]
        return changed


class Weightless(Darken):
    """Finds out at its first face that its weights are damaged."""

    def _perturb(self, faces, source, target, strength, rngs):
        raise WeightsError("tiny.safetensors: SHA-256 is wrong: the file is damaged")


#: What numerical libraries find when they are imported.
_THREADS = " ".join(os.environ.get(f"{name}_NUM_THREADS", "") for name in ("OMP", "MKL", "OPENBLAS"))


class Threads(Darken):
    def info(self):
        return {"version": _THREADS, "weights": "", "seen": []}


class _Bright(AttributeEstimator):
    """The class follows the brightness of the crop's middle: bright faces are of the first class."""

    trained_on = "nothing, it measures brightness"

    def predict(self, images):
        side = images.shape[1]
        middle = images[:, side // 4 : -side // 4, side // 4 : -side // 4].mean(axis=(1, 2, 3))
        count = len(ATTRIBUTES[self.attribute].classes)
        index = np.minimum(((1 - middle) * count).astype(int), count - 1)
        return np.eye(count, dtype=np.float32)[index]


class BrightGender(_Bright):
    attribute = "gender"


class BrightRace(_Bright):
    attribute = "race"


class BrightAge(_Bright):
    attribute = "age"


class AlwaysFemale(AttributeEstimator):
    attribute = "gender"

    def predict(self, images):
        return np.tile(np.array([0, 1], np.float32), (len(images), 1))


class FromAFile(AlwaysFemale):
    def __init__(self, path):
        self.path = path


@click.command("nothing")
@click.option("--steps", default=1)
def train(steps):
    """Train nothing."""
    click.echo(f"trained {steps} steps")


@click.command("nothing")
def export():
    """Export nothing."""
    click.echo("exported nothing")


@click.command("nothing")
def convert():
    """Convert nothing."""
    click.echo("converted nothing")
