"""The families as estimators: weights from the package, one attribute each, loaded once per process."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facepriv.contracts import AttributeEstimator, Images, resize_images
from facepriv.inference.devices import multiplies_bfloat16
from facepriv.inference.onednn import can_fuse
from facepriv.schema import AGE, ATTRIBUTES, GENDER, RACE, attribute
from facepriv.weights import Weights, load_weights, packaged_weights
from facepriv_estimators.fused import Trunk
from facepriv_estimators.networks import FAMILIES, FamilyA, mirrored
from facepriv_estimators.torch_models import run_each

PACKAGE = "facepriv_estimators.weights"
#: Side of the families' training crops.
TRAINED_SIZE = 112
#: Margins above which the bfloat16 result is final: between the probabilities of the two likeliest classes, and in
#: years from a border between groups.
SURE, SURE_YEARS = 0.1, 1.0


def architecture(family: str) -> str:
    """Return the name in a family's weights file."""
    return f"estimators-family-{family}"


@cache
def load_family(family: str) -> tuple[nn.Module, Weights]:
    """Return a family's network, ready for inference, and its weights file."""
    path = packaged_weights(PACKAGE, f"family_{family}")
    weights = load_weights(path, framework="torch", architecture=architecture(family))
    # Initialising a network draws random weights; the caller's random state must not change.
    with torch.random.fork_rng(devices=[]):
        net = FAMILIES[family]()
    net.load_state_dict(weights.tensors)
    return net.eval().requires_grad_(False), weights


@cache
def _columns(family: str, short: bool) -> Columns:
    """Return a family's network for predictions, its trunk in bfloat16 if `short`."""
    net = load_family(family)[0]
    if isinstance(net, FamilyA) and can_fuse():
        net = copy.deepcopy(net)
        net.trunk = Trunk(net.trunk.to(torch.bfloat16 if short else torch.float32))
    return Columns(net)


class Columns(nn.Module):
    """A family's output as one tensor (N, 7): gender and race probabilities, years."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> (N, 7)."""
        out = mirrored(self.net, x)
        return torch.cat([out["gender"], out["race"], out["years"][:, None]], 1)


class View(nn.Module):
    """A network with its output in another form."""

    def __init__(self, net: nn.Module, form: Callable[[dict[str, Tensor]], Any]) -> None:
        super().__init__()
        self.net, self.form = net, form

    def forward(self, x: Tensor) -> Any:
        """(N, 3, S, S) in [0, 1] -> what `form` makes of the output."""
        return self.form(self.net(x))


def grouped(out: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return class logits (N, classes) by attribute, age in its groups: used to train generators."""
    older = [out["age"].float()[:, int(edge)].sigmoid() for edge in AGE.thresholds]
    bounds = [torch.ones_like(older[0]), *older, torch.zeros_like(older[0])]
    groups = torch.stack([low - high for low, high in pairwise(bounds)], 1)
    return {"gender": out["gender"], "race": out["race"], "age": groups.clamp(min=1e-4).log()}


def ranked(out: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``gender``, ``race`` logits (N, classes) and ``years`` (N, 90) logits of older, as in the own training."""
    return {"gender": out["gender"], "race": out["race"], "years": out["age"]}


_COLUMNS = {GENDER.name: slice(0, 2), RACE.name: slice(2, 6), AGE.name: slice(6, 7)}


class FamilyEstimator(AttributeEstimator):
    """One attribute, estimated by family A or B.

    Parameters
    ----------
    family : {"a", "b"}
        A: MobileFaceNet's trunk, may be used in training. B: a small residual network from random weights, always an
        unseen evaluator.
    attribute : {"gender", "race", "age"}
        The estimated attribute; age in years, by CORAL.
    """

    def __init__(self, family: str, attribute: str) -> None:
        self.family = family
        self.attribute = attribute  # type: ignore[misc]  # one class serves three attributes
        self.output = "years" if ATTRIBUTES[attribute].thresholds else "probabilities"  # type: ignore[misc]

    def info(self) -> dict[str, Any]:
        """Return the weights' hash and their training data."""
        weights = load_family(self.family)[1]
        return {"weights": weights.sha256, "trained_on": weights.metadata.provenance.trained_on}

    @property
    def trained_on(self) -> str:  # type: ignore[override]  # read from the file
        """Data sets and half, from the weights file."""
        return load_family(self.family)[1].metadata.provenance.trained_on

    def torch_module(self) -> nn.Module:
        """Return the differentiable module: crops to this attribute's class logits (N, classes)."""
        return View(self.joint_module(), itemgetter(self.attribute))

    def joint_module(self) -> nn.Module:
        """Return the differentiable module of all attributes in one pass: crops to a dict of class logits."""
        return View(load_family(self.family)[0], grouped)

    def ranked_module(self) -> nn.Module:
        """Return the same with age in ranks: ``years`` (N, 90), see `facepriv.training.ordinal`."""
        return View(load_family(self.family)[0], ranked)

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Return probabilities (N, K) or years (N,); see `AttributeEstimator.predict`."""
        return self._predict(images, short=False)

    def classes(self, images: Images) -> NDArray[np.int64]:
        """Return the classes of `predict`'s result, (N,) int64; see `AttributeEstimator.classes`.

        On processors with bfloat16 multiplication, family A first predicts in bfloat16, which is faster. Only faces
        near a border between classes, where rounding could change the result, are predicted again in float32.
        """
        if not (self.family == "a" and can_fuse() and multiplies_bfloat16("cpu")):
            return super().classes(images)
        rough = self._predict(images, short=True)
        if self.output == "years":
            edges = np.array(ATTRIBUTES[self.attribute].thresholds)
            unsure, found = (np.abs(rough[:, None] - edges) <= SURE_YEARS).any(1), AGE.bin(rough)
        else:
            second, first = np.sort(rough, axis=1)[:, -2:].T
            unsure, found = first - second <= SURE, rough.argmax(1).astype(np.int64)
        if unsure.any():
            found[unsure] = super().classes(images[unsure])
        return found

    def _predict(self, images: Images, *, short: bool) -> NDArray[np.float32]:
        width = sum(len(attribute(name).classes) for name in ("gender", "race")) + 1
        if images.shape[1] != TRAINED_SIZE:
            # The windows interpolate between four pixels: a finer crop would alias, and look sharper than in training.
            images = np.clip(resize_images(images, TRAINED_SIZE), 0, 1)
        columns = _run(self.family, images, width, short)[:, _COLUMNS[self.attribute]]
        return columns[:, 0] if self.output == "years" else columns


def _run(family: str, images: Images, width: int, short: bool) -> NDArray[np.float32]:
    """Run a family once for successive requests of its three attributes on the same crops."""
    key, last = (family, images.shape, images.tobytes()), _last[short]
    if last.get("key") != key:
        last.update(key=key, columns=run_each(_columns(family, short), images, width))
    return last["columns"]


_last: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
