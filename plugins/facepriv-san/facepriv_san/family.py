"""What a weights file of this family holds: one or more networks, and how their drawings become photos again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from facepriv.errors import WeightsError
from facepriv.faces.paste import feather_mask
from facepriv.training.augment import luminance
from facepriv.weights import Provenance, Weights, WeightsMetadata, half, load_weights, save_weights
from facepriv_san.network import San
from facepriv_san.prototypes import Prototypes
from facepriv_san.prototypes import load as load_prototypes

ARCHITECTURE = "san"
#: Kernels of so many values and more are kept in 8 bits.
_LARGE = 10_000
_SCALE = ".scale"


@dataclass(frozen=True)
class Form:
    """How a network's drawing is used.

    Parameters
    ----------
    size : int
        Side of the crops that it works on, a multiple of four.
    output : {"detail", "face"}
        ``detail``: the network draws at half of its input's size, so its drawing and the face are compared at that
        size, and the difference is added, smoothly enlarged, under the paste mask: the face keeps its fine detail. The
        difference has no mean, so that nobody is hidden by being in the dark.
        ``face``: as published, the drawing takes the place of the grey face.
    gain : float
        Multiplies the difference.
    caricature : float
        How many times a network is shown what a prototype differs in from the neutral one; 1 shows it as it is.
    """

    size: int = 112
    output: str = "detail"
    gain: float = 1.0
    caricature: float = 1.0


def redrawn(net: San, x: Tensor, own: Tensor, shown: Tensor, form: Form) -> Tensor:
    """Change the light of faces as a network draws them, colours (less luminance) kept.

    Parameters
    ----------
    x : Tensor
        (N, 3, S, S) RGB in [0, 1].
    own, shown : Tensor
        (N, 3, S, S), the prototypes of the own class and of the one that shall show.

    Returns
    -------
    Tensor
        (N, 3, S, S) in [0, 1].
    """
    grey = luminance(x)
    (drawing,) = net(grey, own, shown)
    change = drawing.float() - grey
    if form.output == "detail":
        mask = torch.tensor(feather_mask(x.shape[-1]), device=x.device)
        change = F.interpolate(F.avg_pool2d(change, 2), scale_factor=2, mode="bilinear", align_corners=False)
        change = (change - (change * mask).sum(dim=(2, 3), keepdim=True) / mask.sum()) * mask
    return (x + form.gain * change).clamp(0, 1)


#: For each network, the prototypes of the own class and of the one that shall show.
Pairs = Sequence[tuple[Tensor, Tensor]]


def in_sequence(nets: Sequence[San], x: Tensor, pairs: Pairs, form: Form) -> Tensor:
    """Return faces as the networks leave them, each given what the one before has made; see `redrawn`."""
    for net, pair in zip(nets, pairs, strict=True):
        x = redrawn(net, x, *pair, form)
    return x


def averaged(nets: Sequence[San], x: Tensor, pairs: Pairs, form: Form) -> Tensor:
    """Return the mean of what the networks make of the same faces; see `redrawn`."""
    return torch.stack([redrawn(net, x, *pair, form) for net, pair in zip(nets, pairs, strict=True)]).mean(0)


class Family:
    """Networks ready to draw, and the prototypes that they are shown.

    Parameters
    ----------
    nets : sequence of San
    diverse : sequence of bool
        Whether each net is shown prototypes by age group and race, else by gender alone.
    form : Form
    prototypes : Prototypes
    weights : Weights or None
        The file that they come from.
    """

    def __init__(
        self,
        nets: Sequence[San],
        diverse: Sequence[bool],
        form: Form,
        prototypes: Prototypes,
        weights: Weights | None = None,
    ) -> None:
        self.nets, self.form, self.weights = list(nets), form, weights
        sets = [prototypes.sets(diverse=flag) for flag in diverse]
        #: For each net (K, 3, SIZE, SIZE, 3), to choose from; and the same as (K, 3, 3, S, S) to be shown.
        self.sets = sets
        self.pictures = [pictures(each, form) for each in sets]

    def to(self, device: str) -> Family:
        """Move to `device`; returns self."""
        self.nets = [net.to(device) for net in self.nets]
        self.pictures = [shown.to(device) for shown in self.pictures]
        return self


def pictures(sets: NDArray[np.float32], form: Form) -> Tensor:
    """Turn prototypes (K, 3, SIZE, SIZE, 3), the last of three neutral, into what is shown, (K, 3, 3, S, S)."""
    drawn = sets[:, -1:] + form.caricature * (sets - sets[:, -1:])
    flat = torch.from_numpy(drawn).float().flatten(0, 1).permute(0, 3, 1, 2)
    size = (form.size, form.size)
    shown = F.interpolate(flat, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    return shown.unflatten(0, sets.shape[:2]).contiguous()


def small(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return tensors in half precision, large kernels in 8 bits with a scale for each output channel.

    Raises
    ------
    WeightsError
        If a value does not fit.
    """
    found: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if tensor.numel() < _LARGE:
            found |= half({name: tensor})
            continue
        scale = tensor.detach().abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12) / 127
        found[name] = (tensor.detach() / scale).round().to(torch.int8)
        found[name + _SCALE] = scale
    return found


def large(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `small`, but for what rounding took; other tensors stay as they are."""
    scales = {name: tensor for name, tensor in tensors.items() if name.endswith(_SCALE)}
    return {
        name: tensor.float() * scales[name + _SCALE] if name + _SCALE in scales else tensor
        for name, tensor in tensors.items()
        if name not in scales
    }


def save(
    path: Path,
    tensors: Mapping[str, Any],
    diverse: Sequence[bool],
    form: Form,
    provenance: Provenance,
    extra: Mapping[str, Any],
) -> str:
    """Write a family's file; `tensors` is named ``NUMBER.NAME``, as a `ModuleList` of `San` names them."""
    config = {**extra, "form": asdict(form), "diverse": list(diverse)}
    return save_weights(path, tensors, WeightsMetadata(ARCHITECTURE, provenance, config))


@cache
def load(path: Path, prototypes: Path, device: str) -> Family:
    """Read a family.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or for something else, or the networks were trained with other prototypes.
    """
    weights = load_weights(path, framework="torch", architecture=ARCHITECTURE)
    config = weights.metadata.config
    averages = load_prototypes(prototypes)
    if config.get("prototypes", averages.sha256) != averages.sha256:
        raise WeightsError(
            f"{path}: was trained with other prototypes than {prototypes}; name its own (prototypes=FILE)"
        )
    with torch.random.fork_rng(devices=[]):  # a new network draws initial values, which are the caller's to draw
        nets = torch.nn.ModuleList(San() for _ in config["diverse"])
    try:
        nets.load_state_dict(large(weights.tensors))
    except RuntimeError as error:
        raise WeightsError(f"{path}: its tensors are no {len(nets)} semi-adversarial networks") from error
    nets = nets.eval().requires_grad_(False)
    return Family(list(nets), config["diverse"], Form(**config["form"]), averages, weights).to(device)
