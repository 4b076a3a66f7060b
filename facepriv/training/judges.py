"""Judges: small attribute classifiers that stand in for unseen classifiers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.schema import ATTRIBUTES, Schema
from facepriv.training.augment import luminance
from facepriv.training.ordinal import YEARS, Coral


@dataclass(frozen=True)
class JudgeShape:
    """Shape of a judge: input side in pixels, channels, grey or colour, and visible share of the crop."""

    size: int
    base: int = 24
    grey: bool = False
    window: float = 1.0
    residual: bool = False


#: Default judges: low and high resolutions, colour and grey, whole crop and face alone, plain and residual.
JUDGES = (
    JudgeShape(32, window=0.7),
    JudgeShape(32, grey=True, window=0.85),
    JudgeShape(40, window=1.0, residual=True),
    JudgeShape(48, grey=True, window=1.0),
    JudgeShape(56, window=0.75, residual=True),
    JudgeShape(64, window=0.95),
    JudgeShape(96, base=16, window=0.9, residual=True),
)


class Judge(nn.Module):
    """A small attribute classifier that stands in for unseen classifiers, and continues to train.

    With `ordered` it predicts age in ranks (``years``, see `facepriv.training.ordinal`), else in groups (``age``).
    """

    def __init__(self, shape: JudgeShape, schema: Schema = ATTRIBUTES, *, ordered: bool = True) -> None:
        super().__init__()
        self.shape = shape
        c = shape.base
        stages = 3 if shape.size >= 48 else 2
        layers: list[nn.Module] = [nn.Conv2d(1 if shape.grey else 3, c, 5, 2 if shape.size >= 64 else 1, 2), nn.ReLU()]
        for i in range(stages):
            layers.append(_JudgeStage(c << i, c << (i + 1), shape.residual))
        self.trunk = nn.Sequential(*layers)
        width = c << stages
        heads = {n: nn.Linear(width, len(s.classes)) for n, s in schema.items() if not (ordered and s.thresholds)}
        self.heads = nn.ModuleDict({**heads, YEARS: Coral(width)} if ordered else heads)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, S, S) in [0, 1] -> logits by attribute."""
        side = x.shape[-1]
        inset = round(side * (1 - self.shape.window) / 2)
        x = x[:, :, inset : side - inset, inset : side - inset]
        x = F.interpolate(x, size=(self.shape.size,) * 2, mode="bilinear", antialias=True, align_corners=False)
        if self.shape.grey:
            x = luminance(x)
        h = self.trunk((4 * x - 2).contiguous(memory_format=torch.channels_last))
        pooled = h.float().mean(dim=(2, 3))
        return {name: head(pooled) for name, head in self.heads.items()}


class _JudgeStage(nn.Module):
    def __init__(self, inside: int, outside: int, residual: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, 2, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, outside)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.first(x)))
        y = self.norm2(self.second(x))
        return F.relu(x + y if self.residual else y)
