"""The two families of attribute networks: different architectures, one output form.

A network takes aligned crops (N, 3, S, S) in [0, 1] and returns a dict: ``gender`` (N, 2) and ``race`` (N, 4) logits,
``age`` (N, `facepriv.training.ordinal.AGE_RANKS`) logits of "older than r years".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.schema import GENDER, RACE
from facepriv.training.ordinal import Coral, years_from
from facepriv_estimators.mobilefacenet import MobileFaceNet
from facepriv_estimators.torch_models import Normalise, Window


def mirrored(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Average a network's predictions on faces (N, 3, S, S) and their mirror images.

    Returns ``gender`` (N, 2) and ``race`` (N, 4) probabilities, and ``years`` (N,).
    """
    views = net(torch.cat([x, x.flip(3)]))
    said = {name: views[name].float().softmax(1) for name in ("gender", "race")} | {"years": years_from(views["age"])}
    return {name: sum(values.chunk(2)) / 2 for name, values in said.items()}


class Heads(nn.Module):
    """One linear head for each attribute."""

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gender = nn.Linear(features, len(GENDER.classes))
        self.race = nn.Linear(features, len(RACE.classes))
        self.age = Coral(features)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, features) -> logits by attribute."""
        x = self.dropout(x.float())
        return {"gender": self.gender(x), "race": self.race(x), "age": self.age(x)}


class FamilyA(nn.Module):
    """MobileFaceNet's trunk on the whole crop at 112 pixels; may start from a matcher's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(0.06, 0.04, 0.88, 112)
        self.normalise = Normalise()
        self.trunk = MobileFaceNet()
        del self.trunk.embed
        self.heads = Heads(512, 0.2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, S, S) in [0, 1] -> logits by attribute."""
        return self.heads(self.trunk.features(self.normalise(self.window(x))))


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut (He et al., CVPR 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outside), nn.BatchNorm2d(outside)
        plain = inside == outside and stride == 1
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        y = self.norm2(self.second(F.relu(self.norm1(self.first(x)))))
        return F.relu(y + self.shortcut(x))


class FamilyB(nn.Module):
    """A small residual network at 96 pixels that starts from random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(0.02, 0.02, 0.96, 96)
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 5, 2, 2, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        widths = ((32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 192, 2))
        self.blocks = nn.Sequential(*(Residual(*w) for w in widths))
        self.heads = Heads(192, 0.3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, S, S) in [0, 1] -> logits by attribute."""
        x = self.blocks(self.stem((self.window(x) - 0.45) * 4))
        return self.heads(x.mean(dim=(2, 3)))


FAMILIES: dict[str, type[nn.Module]] = {"a": FamilyA, "b": FamilyB}
