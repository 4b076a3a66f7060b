"""The RGB view of CMYK pixels, and the conversion of changed pixels back to CMYK.

This is not colour management: face detectors and methods only need a plausible RGB view. The conversion back must
invert it and stay close to the original inks, so that changed pixels match their neighbours under any printing profile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_rgb(inks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB for (H, W, 4) uint8 CMYK (255 = full ink): light = (1 - ink) (1 - black)."""
    light = (255 - inks[:, :, 3:]).astype(np.uint16)
    rgb = (255 - inks[:, :, :3]) * light
    return ((rgb + 127) // 255).astype(np.uint8)


def with_rgb(inks: NDArray[np.uint8], rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the inks (H, W, 4), converted again where their RGB view differs from `rgb` (H, W, 3).

    The black ink is kept, unless a pixel must become lighter than it allows.
    """
    changed = (to_rgb(inks) != rgb).any(axis=2)
    wanted = rgb[changed].astype(np.float32)
    light = np.maximum(255 - inks[changed][:, 3], wanted.max(axis=1, initial=0))
    result = inks.copy()
    coloured = 255 - 255 * wanted / np.maximum(light, 1)[:, None]
    result[changed] = np.rint(np.column_stack([coloured, 255 - light])).astype(np.uint8)
    return result
