"""Small networks and faces for tests of trainers. Nothing here is trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.testing.faces import astronaut
from facepriv.training.faces import Faces


class TinyMatcher(nn.Module):
    """A differentiable matcher without parameters: the face at 4x4 pixels, less `grey`, as a unit vector."""

    def __init__(self, grey: float = 0.0) -> None:
        super().__init__()
        self.grey = grey

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 48)."""
        return F.normalize(F.adaptive_avg_pool2d(x, 4).flatten(1) - self.grey, dim=1)


def labelled(crops: Tensor, years: list[float], **classes: list[int]) -> Faces:
    """Return faces of crops (N, 3, S, S) uint8, their classes and years, all drawn equally often."""
    labels = {name: torch.tensor(values) for name, values in classes.items()} | {"years": torch.tensor(years)}
    return Faces(crops, labels, torch.full((len(crops),), 1 / len(crops), dtype=torch.float64))


def four_views(size: int = 32) -> Faces:
    """Return four views of scikit-image's astronaut, two of them labelled as others; the last has no race and age."""
    crop = np.rint(astronaut(size)[0] * 255).astype(np.uint8)
    views = np.stack([crop, crop[:, ::-1], crop // 2, 255 - (255 - crop) // 2])
    return labelled(
        torch.from_numpy(views).permute(0, 3, 1, 2),
        [40.0, 40.0, 60.0, float("nan")],
        gender=[1, 1, 0, 0],
        race=[0, 0, 1, -1],
        age=[1, 1, 2, -1],
    )
