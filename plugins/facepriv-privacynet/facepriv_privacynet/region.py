"""The region that the generator may change: each head's own outline, from its landmarks, and a narrow rim around it.

The rim matters: a change that ends at the head's edge hides much less. Its width keeps the change within 12 pixels of a
head in most photos.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

#: Side of an outline, in pixels; enough for the shape of a head. Enlarging it to the crop makes a smooth edge.
OUTLINE_SIDE = 28
# It is drawn larger for a smooth edge.
_DRAWN = 4 * OUTLINE_SIDE
# Height of the head above the ears, as a share of the distance from there to the chin.
_ABOVE = 0.75
# Width of the rim around the head, as a share of the crop's side.
_RIM = 0.05
#: Identifies how outlines are drawn; kept ones of another way are drawn again.
DRAWING = repr((OUTLINE_SIDE, _ABOVE, _RIM))

# Half of a mean jaw, from the ear to the chin (landmarks 1 to 9), as shares of the crop's side.
_MEAN_JAW = np.column_stack(
    [
        [0.198, 0.201, 0.210, 0.225, 0.254, 0.300, 0.358, 0.424, 0.500],
        [0.361, 0.441, 0.521, 0.599, 0.673, 0.737, 0.792, 0.835, 0.848],
    ]
)


def mean_outline() -> NDArray[np.uint8]:
    """Return the outline of a mean head, for programs without landmarks."""
    return outline(np.concatenate([_MEAN_JAW, [[1, 0]] + _MEAN_JAW[-2::-1] * [-1, 1]]) - 0.5, 1)


def outline(landmarks: NDArray[np.floating], size: int) -> NDArray[np.uint8]:
    """Return the outline (`OUTLINE_SIDE`, `OUTLINE_SIDE`) uint8 of one head, 255 within it.

    Parameters
    ----------
    landmarks : ndarray
        (68, 2) in pixels of the crop; only the first 17 are used, the jaw from ear to ear. An arc above it closes the
        outline, and the rim surrounds it.
    size : int
        Side of the crop.
    """
    jaw = (landmarks[:17].astype(np.float64) + 0.5) * (_DRAWN / size)
    middle = (jaw[0] + jaw[16]) / 2
    across, up = (jaw[16] - jaw[0]) / 2, (middle - jaw[8]) * _ABOVE
    angles = np.linspace(0, np.pi, 14)[1:-1, None]
    points = np.concatenate([jaw, middle + np.cos(angles) * across + np.sin(angles) * up])
    corners = [(float(x), float(y)) for x, y in points]
    image = Image.new("L", (_DRAWN, _DRAWN))
    draw = ImageDraw.Draw(image)
    draw.polygon(corners, fill=255)
    draw.line([*corners, *corners[:2]], fill=255, width=round(2 * _RIM * _DRAWN), joint="curve")
    return np.array(image.reduce(_DRAWN // OUTLINE_SIDE))


def outlines_of(crops: Tensor) -> Tensor:
    """Return the outlines (N, 1, s, s) uint8 of aligned crops (N, 3, S, S) uint8, from landmarks found in each."""
    from facepriv.faces.detect import landmarks_of_crop

    size = crops.shape[-1]
    found = [outline(landmarks_of_crop(crop.permute(1, 2, 0).contiguous().numpy()), size) for crop in crops.cpu()]
    return torch.from_numpy(np.stack(found))[:, None].to(crops.device)
