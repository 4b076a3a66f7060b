"""Parts of the figures that a training measures on validation faces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def evenly(count: int, most: int) -> Tensor:
    """Return at most `most` indices of `count` faces, evenly spread."""
    return torch.linspace(0, count - 1, min(most, count)).long()


def batched(function: Callable[..., Tensor], *tensors: Tensor, batch: int = 32) -> Tensor:
    """Return a function's float32 values for the rows of tensors, computed in batches without gradients."""
    with torch.inference_mode():
        return torch.cat([function(*parts).float() for parts in zip(*(t.split(batch) for t in tensors), strict=True)])


def similarity(before: Tensor, after: Tensor) -> dict[str, float]:
    """Return figures of a matcher on faces and their changed versions.

    Parameters
    ----------
    before, after : Tensor
        (N, D) unit descriptors of the originals and of the changed faces.

    Returns
    -------
    dict
        ``cosine`` of original and changed face; ``alike``, the mean rise of the cosine between different faces.
    """
    others = ~torch.eye(len(before), dtype=torch.bool, device=before.device)
    return {
        "cosine": float((before * after).sum(1).mean()),
        "alike": float((after @ after.T - before @ before.T)[others].mean()),
    }
