"""Readers: judges that tell gender from a matcher's descriptors of protected faces.

A matcher that works describes what a person looks like. Its descriptors tell gender even where classifiers of pictures
are misled. Readers learn on the descriptors of G's latest faces with their true classes; G leaves them nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.training.steps import frozen_precision

#: The attribute that they read.
READ = "gender"
_CLASSES = 2


class Reader(nn.Module):
    """A linear model and a small network on one matcher's descriptors, and the latest descriptors that they learn on.

    Parameters
    ----------
    width : int
        Numbers in a descriptor.
    remembered : int
        Latest descriptors kept.
    """

    latest: Tensor
    classes: Tensor

    def __init__(self, width: int, remembered: int = 3072) -> None:
        super().__init__()
        self.linear = nn.Linear(width, _CLASSES)
        self.network = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, _CLASSES))
        # Of fixed size, so that a checkpoint holds them: a resumed run goes on with the same.
        self.register_buffer("latest", torch.zeros(remembered, width))
        self.register_buffer("classes", torch.full((remembered,), -1))

    def forward(self, descriptors: Tensor) -> Tensor:
        """(N, D) unit descriptors -> (2, N, 2) logarithms of probabilities, of the linear model and the network."""
        x = descriptors * descriptors.shape[1] ** 0.5
        return torch.stack([self.linear(x), self.network(x)]).log_softmax(2)

    def remember(self, descriptors: Tensor, own: Tensor) -> None:
        """Add descriptors (N, D) of known class `own`, -1 unknown, in front of the earlier ones."""
        known, count = own >= 0, len(self.classes)
        self.latest = torch.cat([descriptors[known], self.latest])[:count]
        self.classes = torch.cat([own[known], self.classes])[:count]

    def loss(self, count: int) -> Tensor:
        """Cross-entropy on `count` remembered descriptors, drawn with replacement; classes weigh alike."""
        known = int((self.classes >= 0).sum())  # they stand in front
        rows = torch.randint(known, (count,), device=self.latest.device)
        sizes = torch.bincount(self.classes[:known], minlength=_CLASSES).clamp(min=1).float()
        weights = sizes.sum() / (_CLASSES * sizes)
        return torch.stack([F.nll_loss(each, self.classes[rows], weights) for each in self(self.latest[rows])]).sum()


def described(matchers: Sequence[nn.Module], y: Tensor) -> list[Tensor]:
    """Return every matcher's descriptors of faces (N, 3, S, S), each (N, D) float32."""
    with frozen_precision(y.device):
        return [matcher(y.float()).float() for matcher in matchers]


def told(readers: Sequence[Reader], descriptors: Sequence[Tensor]) -> Tensor:
    """Ours: cross-entropy of an even guess and the readers' answers, less its minimum; 0: descriptors tell nothing.

    An even guess, not the target's class, is what leaves an adversary nothing who learns on protected faces.
    """
    with frozen_precision(descriptors[0].device):
        each = [-reader.eval()(d).mean() - log(_CLASSES) for reader, d in zip(readers, descriptors, strict=True)]
    return torch.stack(each).mean()
