"""The generator, and the discriminator with its two heads.

Images are (N, 3, S, S) RGB in [0, 1]. Labels are (N, V) one-hot blocks, one for each attribute of the schema in its
order; a block of zeros is an unknown label.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.faces.paste import feather_mask
from facepriv.schema import ATTRIBUTES, Schema
from facepriv.training.augment import luminance


def label_width(schema: Schema = ATTRIBUTES) -> int:
    """Number of label entries, V: the sum of the class counts."""
    return sum(len(spec.classes) for spec in schema.values())


def encode(labels: dict[str, Tensor], schema: Schema = ATTRIBUTES) -> Tensor:
    """Turn class indices, attribute -> (N,) int64 with -1 unknown, into the label vector (N, V) float32."""
    blocks = []
    for name, spec in schema.items():
        one_hot = F.one_hot(labels[name].clamp(min=0), len(spec.classes)).float()
        blocks.append(one_hot * (labels[name] >= 0).float()[:, None])
    return torch.cat(blocks, 1)


# An outline has few pixels, so its edge is wide once it is enlarged. It is made steeper about this value: a wider one
# would leave marks beside the head.
_MIDDLE, _STEEPNESS = 0.7, 3.0

#: Where a generator may change the photo, see `GeneratorShape`.
REGIONS = ("crop", "outline")


@dataclass(frozen=True)
class GeneratorShape:
    """The settings needed to build a generator; stored with the weights.

    Parameters
    ----------
    size : int
        Side of the training crops.
    base, blocks : int
        Channels after the first convolution (doubled twice), and residual blocks.
    conditioning : {"norm", "channels"}
        ``norm``: labels scale and shift the features after every normalisation of a residual block. ``channels``: the
        paper's, labels as constant input channels, which InstanceNorm erases except at the zero-padded border.
    output : {"residual", "image"}
        ``residual``: a bounded change, added under the paste mask. ``image``: the paper's, a new image through tanh.
    limit : float
        Largest change of a value, for ``residual``.
    region : {"crop", "outline"}
        Where a ``residual`` may change the photo: in the whole crop, or within each head's own outline, which the
        caller draws from landmarks. Weights without this entry were trained on the whole crop.
    chroma : float
        Share of the change of colour that a ``residual`` keeps; its change of luminance stays. 1, the value for weights
        without this entry, keeps all.
    """

    size: int = 112
    base: int = 32
    blocks: int = 6
    conditioning: str = "norm"
    output: str = "residual"
    limit: float = 0.8
    region: str = "crop"
    chroma: float = 1.0


class ConditionalNorm(nn.Module):
    """Instance normalisation, then a label-dependent scale and shift. Keeps no running statistics."""

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(labels, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.1)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """(N, C, H, W) and (N, V) -> (N, C, H, W)."""
        scale, shift = self.affine(v)[:, :, None, None].chunk(2, 1)
        return F.instance_norm(x) * (1 + scale) + shift


class ResidualBlock(nn.Module):
    """conv, norm, ReLU, conv, norm around a shortcut; zero padding."""

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm1 = _norm(channels, labels)
        self.norm2 = _norm(channels, labels)

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """(N, C, H, W) and (N, V) -> (N, C, H, W)."""
        y = F.relu(normed(self.norm1, self.first(x), v))
        return x + normed(self.norm2, self.second(y), v)


class Generator(nn.Module):
    """G of the paper (section 3.2, figure 3): two halvings, residual blocks, two doublings."""

    def __init__(self, shape: GeneratorShape, schema: Schema = ATTRIBUTES) -> None:
        super().__init__()
        self.shape = shape
        labels = label_width(schema)
        conditioned = labels if shape.conditioning == "norm" else 0
        inside = 3 + (0 if conditioned else labels)
        c = shape.base
        self.enter = nn.Sequential(nn.Conv2d(inside, c, 7, 1, 3, bias=False), _norm(c, 0), nn.ReLU())
        self.down = nn.Sequential(*(layer for i in range(2) for layer in _halve(c << i)))
        self.blocks = nn.ModuleList(ResidualBlock(c * 4, conditioned) for _ in range(shape.blocks))
        # Transposed convolutions leave checkerboard artefacts; our preset enlarges first.
        double = _enlarge if shape.output == "residual" else _transpose
        self.up = nn.Sequential(*(layer for i in (2, 1) for layer in double(c << i)))
        self.leave = nn.Conv2d(c, 3, 7, 1, 3)
        if shape.output == "residual":
            nn.init.normal_(self.leave.weight, std=0.002)
            nn.init.zeros_(self.leave.bias)
            # Computed here: a compiled forward cannot call NumPy.
            self.register_buffer("mask", torch.tensor(feather_mask(shape.size)), persistent=False)

    def forward(self, x: Tensor, v: Tensor, within: Tensor | None = None) -> Tensor:
        """(N, 3, S, S) in [0, 1] and (N, V) -> the changed images, same shape and range.

        `within`, (N, 1, s, s) in [0, 1], limits a residual: the outlines of the heads.
        """
        inner = (2 * x - 1).to(self.leave.weight.dtype)
        if self.shape.conditioning == "channels":
            planes = v[:, :, None, None].to(inner.dtype).expand(-1, -1, *x.shape[2:])
            inner = torch.cat([inner, planes], 1)
        h = self.down(self.enter(inner))
        for block in self.blocks:
            h = block(h, v)
        out = torch.tanh(self.leave(self.up(h)).float())
        if self.shape.output == "image":
            return (out + 1) / 2
        if self.shape.chroma != 1:
            grey = luminance(out)
            out = grey + self.shape.chroma * (out - grey)
        mask = self.mask
        if within is not None:
            drawn = F.interpolate(within, size=x.shape[-2:], mode="bilinear", align_corners=False)
            mask = mask * ((drawn - _MIDDLE) * _STEEPNESS + 0.5).clamp(0, 1)
        return (x.float() + mask * self.shape.limit * out).clamp(0, 1)


class Discriminator(nn.Module):
    """D of the paper: a shared trunk of strided convolutions, one head for real or changed, one for the attributes.

    With `conditional` the critic also scores how well a face fits its label. It adds a projection of the label on the
    trunk's features (Miyato and Koyama, ICLR 2018, equation 3). Labels are centred on the mean of their batch.

    With `scales` there are two more critics. One scores patches of 22 pixels, for marks and tinted eyes that a score of
    the whole face misses. One scores the face shrunk to a quarter, for shading and blotches of colour. `widest` is the
    largest number of channels in the trunk.
    """

    def __init__(
        self,
        size: int = 112,
        base: int = 32,
        depth: int = 5,
        schema: Schema = ATTRIBUTES,
        *,
        conditional: bool = False,
        scales: bool = False,
        widest: int = 512,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for i in range(depth):
            outside = min(base << i, widest)
            layers += [nn.Conv2d(inside, outside, 4, 2, 1), nn.LeakyReLU(0.01)]
            inside = outside
        self.trunk = nn.Sequential(*layers)
        self.source = nn.Conv2d(inside, 1, 3, 1, 1)
        side = size >> depth
        self.attributes = nn.ModuleDict({n: nn.Conv2d(inside, len(s.classes), side) for n, s in schema.items()})
        self.project = nn.Linear(label_width(schema), inside, bias=False) if conditional else None
        if self.project:
            nn.init.zeros_(self.project.weight)
        self.patches = _patch_critic(base) if scales else None
        self.small = nn.Sequential(nn.AvgPool2d(4), _patch_critic(base)) if scales else None

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, 3, S, S) and (N, V) -> critic values (N, critics), higher = more like a photo; logits by attribute."""
        x = 2 * x - 1
        h = self.trunk(x)
        logits = {name: head(h).mean(dim=(2, 3)) for name, head in self.attributes.items()}
        value = self.source(h).mean(dim=(1, 2, 3))
        if self.project:
            # Centre on the batch's mean. Otherwise label frequencies alone could separate real from changed faces,
            # independently of the image, so no gradient penalty would bound that.
            value = value + (self.project(v - v.mean(0)) * h.mean(dim=(2, 3))).sum(1)
        more = [critic(x).mean(dim=(1, 2, 3)) for critic in (self.patches, self.small) if critic]
        return torch.stack([value, *more], 1), logits


def _patch_critic(base: int) -> nn.Sequential:
    """Return a critic of three layers with a receptive field of 22 pixels."""
    first, second = nn.Conv2d(3, base, 4, 2, 1), nn.Conv2d(base, 2 * base, 4, 2, 1)
    return nn.Sequential(first, nn.LeakyReLU(0.01), second, nn.LeakyReLU(0.01), nn.Conv2d(2 * base, 1, 4, 1, 1))


def _norm(channels: int, labels: int) -> nn.Module:
    # The paper's InstanceNorm learns scale and shift; running statistics would make one face depend on others.
    return ConditionalNorm(channels, labels) if labels else nn.InstanceNorm2d(channels, affine=True)


def normed(norm: nn.Module, x: Tensor, v: Tensor) -> Tensor:
    """Normalise, with the labels if the layer takes any."""
    return norm(x, v) if isinstance(norm, ConditionalNorm) else norm(x)


def _halve(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels * 2, 4, 2, 1, bias=False), _norm(channels * 2, 0), nn.ReLU()]


def _transpose(channels: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False), _norm(channels // 2, 0), nn.ReLU()]


def _enlarge(channels: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, channels // 2, 3, 1, 1, bias=False)
    return [nn.Upsample(scale_factor=2, mode="nearest"), convolution, _norm(channels // 2, 0), nn.ReLU()]
