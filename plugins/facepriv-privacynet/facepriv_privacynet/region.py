"""Where the generator may paint: a fixed outline of the head in the aligned crop.

Alignment puts eyes and nose of every face at the same place, so that one outline serves all of them. Its measures come
from the jaws (dlib's 68 landmarks) of 785 validation faces. At the height of the eyes the head's edge lies 0.30 of the
crop's side from the middle (median), and 0.23 on the near side of a head that is turned (10 % of faces). The chin
lies at 0.84 (0.80 to 0.90).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# All in shares of the crop's side. The top of a head lies beyond the crop.
_MIDDLE, _HALF_WIDTH = 0.4975, 0.31
_TOP, _WIDEST, _CHIN = -0.02, 0.42, 0.87
# A super-ellipse: 2 is an ellipse, more is fuller at cheeks and jaw.
_POWER = 2.3
#: Share of the way from the middle to the edge over which the mask falls from 1 to 0.
_FADE = 0.3


@cache
def head_mask(size: int) -> NDArray[np.float32]:
    """Return the mask (size, size) float32: 1 on the face, falling smoothly to 0 at the median head's edge."""
    axis = (np.arange(size) + 0.5) / size
    across = np.abs(axis - _MIDDLE) / _HALF_WIDTH
    along = np.where(axis < _WIDEST, (_WIDEST - axis) / (_WIDEST - _TOP), (axis - _WIDEST) / (_CHIN - _WIDEST))
    radius = (across[None, :] ** _POWER + along[:, None] ** _POWER) ** (1 / _POWER)
    ramp = np.clip((1 - radius) / _FADE, 0, 1)
    mask = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    mask.setflags(write=False)
    return mask
