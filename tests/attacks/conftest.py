"""Made-up faces whose class shows in their texture, and models of it."""

from dataclasses import replace

import numpy as np
import pytest

from facepriv.contracts import AttributeEstimator, FaceMatcher, Perturber, Tools
from facepriv.metrics.logistic import fit_logistic


class Stripes(AttributeEstimator):
    """Distinguishes horizontal from vertical stripes in the red channel; offers its network for further training."""

    attribute = "gender"
    trained_on = "nothing"

    def torch_module(self):
        """Return a small network that predicts what `predict` does, in every channel's own way."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = torch.nn.Sequential(
                torch.nn.AvgPool2d(2),
                torch.nn.InstanceNorm2d(3),
                torch.nn.Conv2d(3, 16, 9, 2),
                torch.nn.ReLU(),
                torch.nn.AdaptiveAvgPool2d(1),
                torch.nn.Flatten(),
                torch.nn.Linear(16, 2),
            )
        return net

    def predict(self, images):
        """Return (N, 2)."""
        red = images[..., 0]
        across, along = (np.abs(np.diff(red, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2))
        p = 1 / (1 + np.exp(-60 * (along - across)))
        return np.stack([1 - p, p], axis=1).astype(np.float32)


class Mean(FaceMatcher):
    """A face is its mean colour."""

    def embed(self, images):
        """Return (N, 3)."""
        return images.mean(axis=(1, 2)).astype(np.float32)


class Texture(FaceMatcher):
    """A face is the strength of its stripes in every channel, so the embedding tells the class."""

    def embed(self, images):
        """Return (N, 6)."""
        steps = [np.abs(np.diff(images, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
        return np.concatenate(steps, axis=1).astype(np.float32)


class Turn(Perturber):
    """Turns stripes to the wanted class; with the present class as target it does nothing."""

    attributes = ("gender",)
    asked = ()

    def _perturb(self, faces, source, target, strength, rngs):
        type(self).asked += ((source["gender"].tolist(), target["gender"].tolist()),)
        own = Stripes().predict(faces.images).argmax(axis=1)
        turn = own != target["gender"]
        return np.where(turn[:, None, None, None], faces.images.transpose(0, 2, 1, 3), faces.images)


@pytest.fixture
def striped():
    """Return ``make(count, seed)``: images (N, 64, 64, 3) float32 in noise, their classes, and two photos a person."""

    def make(count, seed=0):
        rng = np.random.default_rng(seed)
        classes = np.repeat(np.arange(count // 2) % 2, 2).astype(np.int64)
        wave = np.sin(np.arange(64) * 0.7 + 6 * rng.random((count, 1)))
        along = np.repeat(wave[:, None], 64, axis=1)
        grey = np.where(classes[:, None, None] == 1, along, along.transpose(0, 2, 1))
        images = 0.5 + 0.12 * grey[..., None] * np.array([1.0, 0.3, 0.1]) + rng.normal(0, 0.06, (count, 64, 64, 3))
        people = np.repeat([f"p{n}" for n in range(count // 2)], 2)
        return np.clip(images, 0, 1).astype(np.float32), classes, people

    return make


@pytest.fixture
def matched(tools):
    """The same tools with a matcher whose embedding tells the class, and one whose embedding tells less."""
    return replace(tools, matchers={"texture": Texture(), "mean": Mean()})


@pytest.fixture
def tools():
    """A method that turns stripes, one estimator, one matcher."""
    Turn.asked = ()
    return Tools("gender", Turn(), {"stripes": Stripes()}, {"mean": Mean()}, {}, fit_logistic)
