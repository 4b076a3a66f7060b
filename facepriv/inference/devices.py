"""What a device can do. Torch is imported only when it is asked."""

from __future__ import annotations

import platform


def multiplies_bfloat16(kind: str) -> bool:
    """Tell whether this kind of device (``cpu``, ``cuda``, ...) has units that multiply bfloat16."""
    return bool(bfloat16_units(kind))


def bfloat16_units(kind: str) -> str:
    """Return the name of the units of this kind of device that multiply bfloat16; "" where it has none.

    The features of the processor decide, and no measurement: its result would vary with the load of the machine, and
    with it the bytes of a protected photo.
    """
    if kind == "cuda":
        import torch

        # CUDA cards before compute capability 8.0 take bfloat16 as well, but emulate it.
        has = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return "CUDA" if has else ""
    return _of_this_cpu() if kind == "cpu" else ""


def _of_this_cpu() -> str:
    import torch

    # oneDNN prefers AMX where there are both.
    if torch.cpu._is_amx_tile_supported():
        return "AMX"
    if torch.cpu._is_avx512_bf16_supported():
        return "AVX512_BF16"
    # On x86 the same question is answered with yes by every AVX-512 processor, which converts to float32.
    if platform.machine().lower() in ("aarch64", "arm64") and torch.backends.mkldnn.is_available():
        return "Arm BF16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ""
    return ""
