"""Losses that say how far a face may change; what a method adds of its own stands with the method."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def identity(original: Tensor, changed: Tensor) -> Tensor:
    """L_m (equation 7): squared L2 distance of a matcher's descriptors (N, D)."""
    return ((original - changed) ** 2).sum(1).mean()


def alike(original: Tensor, changed: Tensor) -> Tensor:
    """Ours: mean square of the rise in similarity between different faces of a batch; descriptors (N, D), unit length.

    A generator that draws the same beard on everybody keeps every face close to itself and brings all close together.
    """
    n = len(original)
    different = 1 - torch.eye(n, device=original.device)
    rise = F.relu(changed @ changed.T - original @ original.T) * different
    return (rise**2).sum() / max(1, n * (n - 1))


def roughness(image: Tensor, changed: Tensor) -> Tensor:
    """Ours: total variation of the change, so that it is drawn in shapes and not in noise."""
    delta = changed - image
    across = (delta[..., :, 1:] - delta[..., :, :-1]).abs().mean()
    down = (delta[..., 1:, :] - delta[..., :-1, :]).abs().mean()
    return across + down


def faded(image: Tensor, changed: Tensor) -> Tensor:
    """Ours: how much weaker the edges of the changed face are: one that is flat or dim tells a classifier less of
    anything, which hides nothing in particular.
    """
    return torch.stack(
        [F.relu(a.abs() - b.abs()).mean() for a, b in zip(*map(_edges, (image, changed)), strict=True)]
    ).sum()


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the steps across and down between blocks of two by two pixels."""
    small = F.avg_pool2d(image.mean(1, keepdim=True), 2)
    return small[..., :, 1:] - small[..., :, :-1], small[..., 1:, :] - small[..., :-1, :]
