"""What a device can do. Torch is imported only when it is asked."""

from __future__ import annotations


def multiplies_bfloat16(kind: str) -> bool:
    """Tell whether this kind of device has units that multiply bfloat16: CUDA, and CPUs with tiles for it."""
    if kind != "cpu":
        return kind == "cuda"
    import torch

    return torch.cpu._is_amx_tile_supported()
