"""The regions that the generator may change: a fixed head outline in the aligned crop, and each face's own.

Alignment places the eyes and nose of every face alike, so one outline serves all faces. Its measures come from the
jaws (dlib's 68 landmarks) of 785 validation faces. At eye height the head's edge lies 0.30 of the crop's side from the
middle (median), and 0.23 on the near side of a turned head (10 % of faces). The chin lies at 0.84 (0.80 to 0.90).
Beside a turned head the fixed outline leaves room for marks. Each face's own outline, from its landmarks, penalises
such marks in training and masks the change at inference.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

# All in shares of the crop's side. The top of a head lies beyond the crop.
_MIDDLE, _HALF_WIDTH = 0.4975, 0.31
_TOP, _WIDEST, _CHIN = -0.02, 0.42, 0.87
# A super-ellipse: 2 is an ellipse, more is fuller at cheeks and jaw.
_POWER = 2.3
#: Share of the way from the middle to the edge over which the mask falls from 1 to 0.
_FADE = 0.3
#: Side of a face's own outline, in pixels; enough for the shape of a head.
OUTLINE_SIDE = 28
# It is drawn larger for a smooth edge.
_DRAWN = 4 * OUTLINE_SIDE
# Height of the head above the ears, as a share of the distance from there to the chin.
_ABOVE = 0.75
# Enlargement of an outline, to allow for landmark errors.
_MARGIN = 1.04


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


def outline(landmarks: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Return the outline (`OUTLINE_SIDE`, `OUTLINE_SIDE`) uint8 of one head, 255 within it.

    Parameters
    ----------
    landmarks : ndarray
        (68, 2) float32 in pixels of the crop. The outline is the jaw from ear to ear and an arc above it.
    size : int
        Side of the crop.
    """
    jaw = (landmarks[:17].astype(np.float64) + 0.5) * (_DRAWN / size)
    middle = (jaw[0] + jaw[16]) / 2
    across, up = (jaw[16] - jaw[0]) / 2, (middle - jaw[8]) * _ABOVE
    angles = np.linspace(0, np.pi, 14)[1:-1, None]
    points = np.concatenate([jaw, middle + np.cos(angles) * across + np.sin(angles) * up])
    centre = points.mean(0)
    points = centre + (points - centre) * _MARGIN
    image = Image.new("L", (_DRAWN, _DRAWN))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return np.asarray(image.reduce(_DRAWN // OUTLINE_SIDE))


def outline_mask(landmarks: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the mask (size, size) float32 of one head, 1 within its own outline; `landmarks` as for `outline`."""
    small = Image.fromarray(outline(landmarks, size))
    return np.asarray(small.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float32) / np.float32(255)


def outlines_of(crops: Tensor) -> Tensor:
    """Return the outlines (N, 1, s, s) uint8 of aligned crops (N, 3, S, S) uint8, from landmarks found in each."""
    from facepriv.faces.detect import landmarks_of_crop

    size = crops.shape[-1]
    found = [outline(landmarks_of_crop(crop.permute(1, 2, 0).contiguous().numpy()), size) for crop in crops.cpu()]
    return torch.from_numpy(np.stack(found))[:, None].to(crops.device)
