"""MobileFaceNet (Chen et al., CCBR 2018) as a torch module, with the weights of a published ONNX file.

The file has its batch norms folded into the convolutions, so this network has convolutions with biases only.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.contracts import FaceMatcher, Images
from facepriv.errors import WeightsError
from facepriv_estimators.torch_models import ArcFaceWindow, Normalise, run_each

# (expansion, channels, repeats, first stride) of each stage of inverted residuals.
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


def _conv(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, pad: int | None = None
) -> nn.Conv2d:
    pad = kernel // 2 if pad is None else pad
    return nn.Conv2d(inside, outside, kernel, stride, pad, groups=groups)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; with a shortcut if the shapes allow it."""

    def __init__(self, inside: int, outside: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.shortcut = inside == outside and stride == 1
        self.expand = _conv(inside, wide, 1)
        self.depthwise = _conv(wide, wide, 3, stride, groups=wide)
        self.project = _conv(wide, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        y = self.project(F.relu6(self.depthwise(F.relu6(self.expand(x)))))
        return x + y if self.shortcut else y


class MobileFaceNet(nn.Module):
    """(N, 3, 112, 112) normalised faces -> (N, 128) embeddings, not normalised. About one million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 64, 3, 2)
        self.stem_depthwise = _conv(64, 64, 3, groups=64)
        self.stem_pointwise = _conv(64, 64, 1)
        blocks: list[nn.Module] = []
        channels = 64
        for expansion, outside, repeats, stride in _STAGES:
            for i in range(repeats):
                blocks.append(InvertedResidual(channels, outside, expansion, stride if i == 0 else 1))
                channels = outside
        self.blocks = nn.Sequential(*blocks)
        self.head = _conv(128, 512, 1)
        self.pool = _conv(512, 512, 7, groups=512, pad=0)
        self.embed = _conv(512, 128, 1)

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, 512), the features before the embedding."""
        x = F.relu6(self.stem(x))
        x = F.relu(self.stem_pointwise(F.relu(self.stem_depthwise(x))))
        x = F.relu6(self.head(self.blocks(x)))
        return self.pool(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, 128)."""
        return self.embed(self.features(x)[:, :, None, None]).flatten(1)


def from_onnx(path: Path) -> MobileFaceNet:
    """Read the published ONNX file (3x112x112 to 128-d, batch norm folded) into a `MobileFaceNet`.

    Raises
    ------
    WeightsError
        If the file is missing or its tensors do not fit the architecture.
    """
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the MobileFaceNet ONNX file")
    graph = onnx.load(str(path)).graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    net = MobileFaceNet()
    modules = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    if len(modules) != len(convolutions):
        raise WeightsError(f"{path}: holds {len(convolutions)} convolutions, MobileFaceNet has {len(modules)}")
    with torch.no_grad():
        for module, node in zip(modules, convolutions, strict=True):
            weight, bias = tensors[node.input[1]], tensors[node.input[2]]
            if tuple(module.weight.shape) != weight.shape or module.bias is None:
                raise WeightsError(f"{path}: {node.name} is {weight.shape}, expected {tuple(module.weight.shape)}")
            module.weight.copy_(torch.from_numpy(weight.copy()))
            module.bias.copy_(torch.from_numpy(bias.copy()))
    return net.eval()


class MatcherModule(nn.Module):
    """Aligned crops (N, 3, S, S) in [0, 1] -> unit embeddings (N, 128)."""

    def __init__(self, net: MobileFaceNet) -> None:
        super().__init__()
        self.window = ArcFaceWindow()
        self.normalise = Normalise()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Embed crops, with gradients."""
        return F.normalize(self.net(self.normalise(self.window(x))), dim=1)


class MobileFaceNetMatcher(FaceMatcher):
    """MobileFaceNet as a matcher; cosine similarity, higher = same person.

    Parameters
    ----------
    path : path-like
        The ONNX file. It is not shipped: it is the matcher used to train generators.
    """

    trained_on: ClassVar[str] = "MS-Celeb-1M (published weights, Apache-2.0)"

    def __init__(self, path: str | Path) -> None:
        self.path = path

    @cached_property
    def _module(self) -> MatcherModule:
        return MatcherModule(from_onnx(Path(self.path))).eval().requires_grad_(False)

    def torch_module(self) -> nn.Module:
        """Return the differentiable module."""
        return self._module

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Return (N, 128) unit descriptors."""
        return run_each(self._module, images, 128)
