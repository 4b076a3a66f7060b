"""The generator for inference on a CPU: one face at a time, channels last, in the fastest number format.

Apart from rounding, the copy computes what the generator computes.
"""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.inference.onednn import Convolution, can_fuse
from facepriv_privacynet.networks import ConditionalNorm, Generator, ResidualBlock, normed

_SPLIT = ((slice(0, 1), slice(1, 3)), (slice(0, 2), slice(2, 3)))


class _OneFace(nn.Module):
    """Instance normalisation of a single image, computed as batch normalisation with a batch of one.

    Batch normalisation reads channels last in one pass and includes scale and shift, in float32 for any image dtype.
    """

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> (1, C, H, W)."""
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class _OneLabelledFace(ConditionalNorm):
    """A `ConditionalNorm` of a single image, by the same means; the results per label are cached."""

    def __init__(self, norm: ConditionalNorm) -> None:
        nn.Module.__init__(self)
        self.affine = norm.affine
        self._of = lru_cache(256)(lambda label: self._computed(torch.tensor(label)))

    def _computed(self, label: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.affine(label).chunk(2)
        return 1 + scale, shift

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """(1, C, H, W) and (1, V) -> (1, C, H, W)."""
        return F.batch_norm(x, None, None, *self._of(tuple(v[0].tolist())), training=True)


class LaidOut(nn.Module):
    """A convolution that arranges its weights for oneDNN once, not for every face."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.convolve = Convolution(plain)

    @property
    def weight(self) -> Tensor:
        """The weights, in oneDNN's layout from the first face on."""
        return self.convolve.weight

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> (1, C', H', W')."""
        return self.convolve(x)


class _Positive(nn.Module):
    """ReLU in place. Negative bfloat16 numbers have the sign bit set, so comparing them as integers is faster."""

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> the same tensor."""
        if x.dtype is not torch.bfloat16:
            return x.relu_()
        x.view(torch.int16).clamp_min_(0)
        return x


class _Block(nn.Module):
    """A residual block."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.first, self.second = block.first, block.second
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.positive = _Positive()

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """(1, C, H, W) and (1, V) -> (1, C, H, W)."""
        y = self.positive(normed(self.norm1, self.first(x), v))
        return normed(self.norm2, self.second(y), v).add_(x)


class _Doubled(nn.Module):
    """Double each direction by repeating pixels, then convolve 3x3, without redundant computation.

    Each output pixel depends on only 2x2 input pixels, through one of four sums of the kernel's weights, chosen by its
    position. The four form one 2x2 convolution with four times the channels; their results are interleaved.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.channels = convolution.out_channels
        # On "meta" no initial values are drawn, which would change the caller's random state. `skip_init` would import
        # sympy to do the same.
        self.four = nn.Conv2d(convolution.in_channels, 4 * self.channels, 2, padding=1, bias=False, device="meta")
        kernel = convolution.weight.data
        # Kernel rows that meet the first and the second input row, for an upper and a lower output row.
        rows = [torch.stack([kernel[:, :, part].sum(2) for part in parts], 2) for parts in _SPLIT]
        kernels = [torch.stack([k[..., part].sum(3) for part in parts], 3) for k in rows for parts in _SPLIT]
        self.four.weight = nn.Parameter(torch.cat(kernels), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> (1, C', 2 H, 2 W)."""
        height, width = x.shape[2:]
        y = self.four(x)
        out = torch.empty((1, self.channels, 2 * height, 2 * width), dtype=x.dtype, memory_format=torch.channels_last)
        for n, part in enumerate(y.split(self.channels, 1)):
            below, right = divmod(n, 2)
            out[:, :, below::2, right::2] = part[:, :, below : below + height, right : right + width]
        return out


class _Packed(nn.Module):
    """A convolution to few channels, computed for blocks of 2x2 output pixels: oneDNN computes 16 channels in any case.

    Stride 1, an odd kernel, and the padding that keeps the size, which is even.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        side = convolution.kernel_size[0] + 1
        outside, inside = convolution.weight.shape[:2]
        kernels = torch.zeros(outside, 2, 2, inside, side, side)
        for below in range(2):
            for right in range(2):
                kernels[:, below, right, :, below : side - 1 + below, right : side - 1 + right] = convolution.weight
        self.four = nn.Conv2d(inside, 4 * outside, side, 2, convolution.padding, device="meta")  # as in `_Doubled`
        self.four.weight = nn.Parameter(kernels.flatten(0, 2), requires_grad=False)
        self.four.bias = nn.Parameter(convolution.bias.repeat_interleave(4), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The weights, whose dtype the generator computes in."""
        return self.four.weight

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> (1, C', H, W)."""
        return F.pixel_shuffle(self.four(x), 2)


def for_one_face(generator: Generator, dtype: torch.dtype) -> Generator:
    """Return a copy of a generator that is fast on a CPU and takes one face at a time.

    Parameters
    ----------
    generator : Generator
        Ready for inference.
    dtype : torch.dtype
        The dtype of the convolutions. Statistics, labels and the sum with the photo stay float32.
    """
    quick = copy.deepcopy(generator)
    for parent in list(quick.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.InstanceNorm2d):
                setattr(parent, name, _OneFace(layer))
            elif isinstance(layer, ConditionalNorm):
                setattr(parent, name, _OneLabelledFace(layer))
            elif isinstance(layer, nn.ReLU):
                setattr(parent, name, _Positive())
    quick.blocks = nn.ModuleList(_Block(block) for block in quick.blocks)
    # Merge an enlargement into the convolution that follows it.
    pairs = list(zip([None, *quick.up], quick.up, strict=False))
    up = [_Doubled(layer) if isinstance(before, nn.Upsample) else layer for before, layer in pairs]
    quick.up = nn.Sequential(*(layer for layer in up if not isinstance(layer, nn.Upsample)))
    quick.leave = _Packed(quick.leave)
    for layer in quick.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(dtype)
    quick.to(memory_format=torch.channels_last)
    for parent in list(quick.modules()) if can_fuse() else ():
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d):
                setattr(parent, name, LaidOut(layer))
    return quick
