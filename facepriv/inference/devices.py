"""Features of a device. Torch is imported only on use."""

from __future__ import annotations

import platform


def multiplies_bfloat16(kind: str) -> bool:
    """Return whether this kind of device (``cpu``, ``cuda``, ...) has units for bfloat16 multiplication."""
    return bool(bfloat16_units(kind))


def bfloat16_units(kind: str) -> str:
    """Return the name of this kind of device's units for bfloat16 multiplication; "" if it has none.

    This depends on the processor's features only. A measurement would vary with the machine's load, and so would the
    bytes of a protected photo.
    """
    if kind == "cuda":
        import torch

        # CUDA cards before compute capability 8.0 also accept bfloat16, but emulate it.
        has = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return "CUDA" if has else ""
    return _of_this_cpu() if kind == "cpu" else ""


def _of_this_cpu() -> str:
    import torch

    # oneDNN prefers AMX if both are available.
    if torch.cpu._is_amx_tile_supported():
        return "AMX"
    if torch.cpu._is_avx512_bf16_supported():
        return "AVX512_BF16"
    # On x86 the same check is true for every AVX-512 processor, which converts to float32.
    if platform.machine().lower() in ("aarch64", "arm64") and torch.backends.mkldnn.is_available():
        return "Arm BF16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ""
    return ""
