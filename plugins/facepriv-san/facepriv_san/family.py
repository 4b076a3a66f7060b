"""The content of this family's weights files: one or more networks, and how their output becomes a photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from facepriv.contracts import STANDARD, Frame
from facepriv.errors import WeightsError
from facepriv.faces.paste import feather_mask
from facepriv.training.augment import luminance
from facepriv.weights import Provenance, Weights, WeightsMetadata, half, load_weights, packaged_weights, save_weights
from facepriv_san.network import San
from facepriv_san.prototypes import load as load_prototypes

ARCHITECTURE = "san"
PACKAGE = "facepriv_san.weights"
#: What the output of a network may become, see `Form`.
OUTPUTS = ("published", "residual")
#: The frame of the publications: head and chin. About 1.65 times the box of a face detector.
PUBLISHED = Frame(2.2, 0.6)
#: How strongly prototypes are exaggerated there.
CARICATURE = 2.0
#: Kernels of at least this many values are stored in 8 bits.
_LARGE = 10_000
_SCALE = ".scale"


@dataclass(frozen=True)
class Form:
    """How a network's output is used.

    Parameters
    ----------
    size : int
        Side of the input crops, a multiple of four.
    output : {"residual", "published"}
        ``residual``: the difference of output and face, at half of the input's size, is smoothly enlarged and added to
        the luminance under the paste mask. The face keeps its colours and its fine detail. The difference has zero
        mean, so that no face is hidden merely by darkening it.
        ``published``: the output replaces the face, which becomes grey.
    gain : float
        Multiplies the difference of output and grey face.
    caricature : float
        Factor on a prototype's difference from the neutral one; 1 leaves the prototype unchanged.
    side, centre : float
        The frame of the crops, see `facepriv.contracts.Frame`.
    """

    size: int = 112
    output: str = "residual"
    gain: float = 1.0
    caricature: float = 1.0
    side: float = STANDARD.side
    centre: float = STANDARD.centre

    @property
    def frame(self) -> Frame:
        """The square that the networks see of a face."""
        return Frame(self.side, self.centre)


def read_form(config: Mapping[str, Any]) -> Form:
    """Return the form in a weights file's metadata; the name of the residual output was once ``detail``."""
    output = config["output"]
    return Form(**{**config, "output": "residual" if output == "detail" else output})


def grey_if_published(x: Tensor, form: Form) -> Tensor:
    """Return faces (N, 3, S, S) as the networks change them: grey in the published form, else as they are."""
    return luminance(x).expand(-1, 3, -1, -1) if form.output == "published" else x


def redrawn(net: San, x: Tensor, own: Tensor, shown: Tensor, form: Form) -> Tensor:
    """Draw faces with a network. The face becomes grey or keeps its colours, see `Form`.

    Parameters
    ----------
    x : Tensor
        (N, 3, S, S) RGB in [0, 1].
    own, shown : Tensor
        (N, 3, S, S), the prototypes of the own class and of the wanted one.

    Returns
    -------
    Tensor
        (N, 3, S, S) in [0, 1].
    """
    grey = luminance(x)
    (drawing,) = net(grey, own, shown)
    change = drawing.float() - grey
    if form.output == "published":
        return (grey + form.gain * change).clamp(0, 1).expand(-1, 3, -1, -1)
    mask = torch.tensor(feather_mask(x.shape[-1]), device=x.device)
    change = F.interpolate(F.avg_pool2d(change, 2), scale_factor=2, mode="bilinear", align_corners=False)
    change = (change - (change * mask).sum(dim=(2, 3), keepdim=True) / mask.sum()) * mask
    return (x + form.gain * change).clamp(0, 1)


#: For each network, the prototypes of the own class and of the wanted one.
Pairs = Sequence[tuple[Tensor, Tensor]]


def in_sequence(nets: Sequence[San], x: Tensor, pairs: Pairs, form: Form) -> Tensor:
    """Return faces after all networks in sequence, each applied to the output of the one before; see `redrawn`."""
    for net, pair in zip(nets, pairs, strict=True):
        x = redrawn(net, x, *pair, form)
    return x


def averaged(nets: Sequence[San], x: Tensor, pairs: Pairs, form: Form) -> Tensor:
    """Return the mean output of the networks for the same faces; see `redrawn`."""
    return torch.stack([redrawn(net, x, *pair, form) for net, pair in zip(nets, pairs, strict=True)]).mean(0)


@dataclass(frozen=True)
class Family:
    """Networks ready for inference, and their prototypes.

    Parameters
    ----------
    nets : sequence of San
    sets : sequence of ndarray
        For each net the prototypes to choose from, (K, 3, SIZE, SIZE, 3).
    pictures : sequence of Tensor
        The same as network input, (K, 3, 3, S, S).
    form : Form
    weights : Weights
        The file of the networks.
    """

    nets: Sequence[San]
    sets: Sequence[NDArray[np.float32]]
    pictures: Sequence[Tensor]
    form: Form
    weights: Weights


def pictures(sets: NDArray[np.float32], form: Form) -> Tensor:
    """Turn prototypes (K, 3, SIZE, SIZE, 3), the last of three neutral, into network input, (K, 3, 3, S, S)."""
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
    """Undo `small`, except for rounding; other tensors stay unchanged."""
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


def prototypes_path(frame: Frame) -> Path:
    """Return the packaged prototypes of a frame."""
    return packaged_weights(PACKAGE, "prototypes" if frame == STANDARD else "prototypes_published")


def networks(path: Path) -> tuple[torch.nn.ModuleList, Form, Weights]:
    """Read the networks of a family on the CPU, how their output is used, and their file; for errors see `load`."""
    weights = load_weights(path, framework="torch", architecture=ARCHITECTURE)
    config = weights.metadata.config
    with torch.random.fork_rng(devices=[]):  # initialising a network must not change the caller's random state
        nets = torch.nn.ModuleList(San() for _ in config["diverse"])
    try:
        nets.load_state_dict(large(weights.tensors))
    except RuntimeError as error:
        raise WeightsError(f"{path}: its tensors are no {len(nets)} semi-adversarial networks") from error
    return nets, read_form(config["form"]), weights


@cache
def load(path: Path, prototypes: Path | None, device: str, output: str | None = None) -> Family:
    """Read a family.

    Parameters
    ----------
    path : Path
    prototypes : Path or None
        None: the packaged ones of the networks' frame.
    device : str
    output : {"published", "residual"} or None
        None: as the file says.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or of another kind, or the networks were trained with other prototypes.
    """
    nets, form, weights = networks(path)
    config = weights.metadata.config
    form = replace(form, output=output or form.output)
    prototypes = prototypes or prototypes_path(form.frame)
    averages = load_prototypes(prototypes)
    if averages.frame != form.frame:
        raise WeightsError(
            f"{prototypes}: averages of another frame than that of {path}; name its own (prototypes=FILE)"
        )
    if config.get("prototypes", averages.sha256) != averages.sha256:
        raise WeightsError(
            f"{path}: was trained with other prototypes than {prototypes}; name its own (prototypes=FILE)"
        )
    sets = [averages.sets(diverse=flag) for flag in config["diverse"]]
    shown = [pictures(each, form).to(device) for each in sets]
    return Family(list(nets.eval().requires_grad_(False).to(device)), sets, shown, form, weights)
