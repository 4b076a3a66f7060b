"""The semi-adversarial network, in the layout of its authors' published weights.

Mirjalili, Raschka, Namboodiri, Ross: Semi-adversarial networks, ICB 2018, figure 3. Images are (N, 1, S, S) or
(N, 3, S, S) in [0, 1], S a multiple of four.

Most of the work is a 3x3 convolution of an image doubled by repeating its pixels. Each output depends on only 2x2
different pixels, so four 2x2 convolutions on the small image give the same result with 16 instead of 36
multiplications. The 1x1 convolution after the last doubling need not run on repeated pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.01
#: The mapping of a kernel's three taps to two different pixels, for an even and for an odd output.
_TAPS = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])


class San(nn.Module):
    """Grey face and prototypes to grey faces. Its parameters have the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.autoencoder = nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.AvgPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.AvgPool2d(2),
            nn.Conv2d(12, 256, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(256, 128, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Upsample(scale_factor=2, mode="nearest"),
        )
        self.protocombiner = nn.Sequential(nn.Conv2d(131, 1, 1), nn.Sigmoid())

    def forward(self, grey: Tensor, own: Tensor, *shown: Tensor) -> tuple[Tensor, ...]:
        """Change a face towards several prototypes, in one pass.

        Parameters
        ----------
        grey : Tensor
            (N, 1, S, S), the face.
        own : Tensor
            (N, 3, S, S), the prototype of its own class.
        *shown : Tensor
            (N, 3, S, S) each, the target prototypes.

        Returns
        -------
        tuple of Tensor
            (N, 1, S, S) for each of `shown`.
        """
        x = torch.cat([grey, own], 1).contiguous(memory_format=torch.channels_last)
        combine = self.protocombiner[0]
        features, colours = combine.weight.split([128, 3], 1)
        drawn = F.interpolate(self._doubled(self.autoencoder[:8](x), features), scale_factor=2, mode="nearest")
        return tuple((drawn + (p * colours).sum(1, keepdim=True) + combine.bias).sigmoid() for p in shown)

    def plain(self, grey: Tensor, own: Tensor, *shown: Tensor) -> tuple[Tensor, ...]:
        """The same as `forward`, layer by layer as its authors run it: the baseline for speed measurements."""
        drawn = self.autoencoder(torch.cat([grey, own], 1))
        return tuple(self.protocombiner(torch.cat([drawn, p], 1)) for p in shown)

    def _doubled(self, x: Tensor, features: Tensor) -> Tensor:
        """Double (N, 256, h, w), convolve, and combine by `features` (1, 128, 1, 1): (N, 1, 2h, 2w)."""
        convolution = self.autoencoder[9]
        y = F.conv2d(x, folded(convolution.weight), convolution.bias.repeat(4), padding=1)
        # Combine every phase separately: zeros between them cost less than a grouped convolution.
        combined = torch.block_diag(*[features.flatten(1)] * 4)[:, :, None, None]
        y = F.conv2d(F.leaky_relu(y, _SLOPE, inplace=True), combined)
        height, width = x.shape[2:]
        # An odd output's window starts one pixel after an even one's.
        phases = [y[:, 2 * a + b, a : a + height, b : b + width] for a in (0, 1) for b in (0, 1)]
        return F.pixel_shuffle(torch.stack(phases, 1), 2)


def folded(weight: Tensor) -> Tensor:
    """Kernel (O, I, 3, 3) for a doubled image to kernels (4 O, I, 2, 2) of its four phases, for the small image.

    The phases are in the order even-even, even-odd, odd-even, odd-odd (rows, columns).
    """
    taps = _TAPS.to(weight)
    phases = torch.einsum("apk,bql,oikl->aboipq", taps, taps, weight)
    return phases.reshape(-1, weight.shape[1], 2, 2).contiguous(memory_format=torch.channels_last)
