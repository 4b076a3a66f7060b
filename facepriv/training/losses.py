"""Losses that several methods use: of class logits, and limits on the change of a face."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of class logits (N, K) over the faces with known labels (N,); -1 is unknown."""
    known = (labels >= 0).sum().clamp(min=1)
    return F.cross_entropy(logits.float(), labels, ignore_index=-1, reduction="sum") / known


def identity(original: Tensor, changed: Tensor) -> Tensor:
    """L_m (equation 7): squared L2 distance of a matcher's descriptors (N, D)."""
    return ((original - changed) ** 2).sum(1).mean()


def alike(original: Tensor, changed: Tensor) -> Tensor:
    """Ours: mean square of the rise in similarity between different faces of a batch; descriptors (N, D), unit length.

    A generator that draws the same beard on all faces preserves each identity but makes all faces more similar.
    """
    n = len(original)
    different = 1 - torch.eye(n, device=original.device)
    rise = F.relu(changed @ changed.T - original @ original.T) * different
    return (rise**2).sum() / max(1, n * (n - 1))


def roughness(image: Tensor, changed: Tensor) -> Tensor:
    """Ours: total variation of the change, to favour shapes over noise."""
    delta = changed - image
    across = (delta[..., :, 1:] - delta[..., :, :-1]).abs().mean()
    down = (delta[..., 1:, :] - delta[..., :-1, :]).abs().mean()
    return across + down


def faded(image: Tensor, changed: Tensor) -> Tensor:
    """Ours: loss of edge strength in the changed face. A flat or dim face degrades every classifier without hiding one
    attribute in particular.
    """
    return torch.stack(
        [F.relu(a.abs() - b.abs()).mean() for a, b in zip(*map(_edges, (image, changed)), strict=True)]
    ).sum()


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return horizontal and vertical differences between blocks of two by two pixels."""
    small = F.avg_pool2d(image.mean(1, keepdim=True), 2)
    return small[..., :, 1:] - small[..., :, :-1], small[..., 1:, :] - small[..., :-1, :]
