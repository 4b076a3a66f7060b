"""The RGB view of CMYK pixels, and the way back for those that changed.

Not colour management: a face detector and a face method need a plausible RGB view, and the way back must invert it and
stay close to the inks that were there, so that under any printing profile a changed pixel fits its neighbours.
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
    """Return the inks (H, W, 4) with those pixels changed whose RGB view is no longer `rgb` (H, W, 3).

    The black ink stays, unless a pixel must become lighter than it allows.
    """
    changed = (to_rgb(inks) != rgb).any(axis=2)
    wanted = rgb[changed].astype(np.float32)
    light = np.maximum(255 - inks[changed][:, 3], wanted.max(axis=1, initial=0))
    result = inks.copy()
    coloured = 255 - 255 * wanted / np.maximum(light, 1)[:, None]
    result[changed] = np.rint(np.column_stack([coloured, 255 - light])).astype(np.uint8)
    return result
