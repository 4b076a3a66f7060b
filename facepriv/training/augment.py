"""Differentiable augmentation of face crops, applied between a generator and its judges, and to train the judges.

Every transform keeps gradients, so a generator learns changes that survive a shift, a blur or a smaller size. Such
changes transfer to unseen classifiers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Strength of each transform; 0 disables it.

    Parameters
    ----------
    rotate, shift, scale : float
        Largest rotation in degrees; largest shift and change of scale, as shares of the crop.
    flip : bool
        Mirror half of the faces.
    light, colour : float
        Largest change of brightness, contrast and gamma; of saturation and of each channel's gain.
    smallest : float
        Smallest side, as a share of the crop, to which a batch is shrunk and enlarged again.
    noise : float
        Largest standard deviation of the noise added, in units of the full range.
    grey : float
        Share of faces converted to grey.
    """

    rotate: float = 12.0
    shift: float = 0.05
    scale: float = 0.12
    flip: bool = True
    light: float = 0.3
    colour: float = 0.2
    smallest: float = 0.35
    noise: float = 0.04
    grey: float = 0.1

    def __call__(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> the same shape and range, with independent parameters per face."""
        return self.resolution(self.photometric(self.geometric(x))).clamp(0, 1)

    def geometric(self, x: Tensor, *, pairs: bool = False) -> Tensor:
        """Rotate, scale, shift and mirror, with border replication.

        With `pairs` the second half of the batch uses the same parameters as the first.
        """
        n, device = len(x) // 2 if pairs else len(x), x.device
        angle = _uniform(n, device, math.radians(self.rotate))
        size = 1 + _uniform(n, device, self.scale)
        mirror = (
            torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0) if self.flip else torch.ones(n, device=device)
        )
        cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
        shift = [2 * _uniform(n, device, self.shift) for _ in range(2)]
        rows = [torch.stack([cos * mirror, -sin, shift[0]], 1), torch.stack([sin * mirror, cos, shift[1]], 1)]
        moves = torch.stack(rows, 1).repeat(2 if pairs else 1, 1, 1)
        grid = F.affine_grid(moves, list(x.shape), align_corners=False).to(x.dtype)
        return F.grid_sample(x, grid, "bilinear", "border", align_corners=False)

    def photometric(self, x: Tensor, *, pairs: bool = False) -> Tensor:
        """Change brightness, contrast, gamma, saturation and colour balance; turn some faces grey; add noise.

        With `pairs` the second half of the batch uses the same parameters as the first, but independent noise.
        """
        halves = 2 if pairs else 1
        n, device = len(x) // halves, x.device

        def each(limit: float, channels: int = 1) -> Tensor:
            return _uniform(n * channels, device, limit).view(n, channels, 1, 1).repeat(halves, 1, 1, 1).to(x.dtype)

        grey = luminance(x)
        greyed = (torch.rand(n, 1, 1, 1, device=device) < self.grey).repeat(halves, 1, 1, 1)
        saturation = torch.where(greyed, torch.full_like(grey[:, :, :1, :1], -1.0), each(2 * self.colour))
        x = x + (x - grey) * saturation
        x = x * (1 + each(self.colour / 2, 3))
        middle = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - middle) * (1 + each(self.light)) + middle * (1 + each(self.light))
        x = x.clamp(1e-3, 1) ** torch.exp(each(self.light))
        return x + torch.randn_like(x) * each(self.noise).abs() if self.noise else x

    def resolution(self, x: Tensor) -> Tensor:
        """With probability 0.5, shrink the batch to a random size and enlarge it again."""
        if self.smallest >= 1 or float(torch.rand(())) < 0.5:
            return x
        side = x.shape[-1]
        small = int(side * (self.smallest + (1 - self.smallest) * float(torch.rand(()))))
        shrunk = F.interpolate(x, size=(small, small), mode="bilinear", antialias=True, align_corners=False)
        return F.interpolate(shrunk, size=(side, side), mode="bilinear", align_corners=False)


def matcher_jitter(shift: float, smallest: float, light: float) -> Augmentation:
    """Return the augmentation before a matcher: errors of alignment, lower resolution, changes of light and colour.

    `light` is also the share of grey faces; `shift` and `smallest` are those of `Augmentation`.
    """
    return Augmentation(
        rotate=3, shift=shift, scale=0.04, flip=False, light=light, colour=light, smallest=smallest, noise=0, grey=light
    )


def luminance(x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1, H, W), ITU-R BT.601 luma."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device, dtype=x.dtype)
    return (x * weights[None, :, None, None]).sum(1, keepdim=True)


def _uniform(count: int, device: torch.device, limit: float) -> Tensor:
    return (torch.rand(count, device=device) * 2 - 1) * limit
