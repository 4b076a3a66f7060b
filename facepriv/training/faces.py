"""Training faces on the device, with labels and sampling weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.datasets.pack import Pack
from facepriv.schema import AGE, ATTRIBUTES
from facepriv.training.ordinal import YEARS, years_from
from facepriv.training.sampling import balanced_weights

Labels = dict[str, Tensor]
#: Name of the head outlines among the labels of a batch: (N, 1, s, s) float32, 1 within the head.
OUTLINE = "outline"


@dataclass
class Faces:
    """Crops (N, 3, S, S) uint8 and labels on one device, with sampling weights (N,).

    Labels are attribute -> (N,) int64, -1 unknown, and ``years`` -> (N,) float32, NaN unknown. Outlines, if set, are
    (N, 1, s, s) uint8, 255 within the head; s divides S.
    """

    crops: Tensor
    labels: Labels
    weights: Tensor
    outlines: Tensor | None = None

    @classmethod
    def from_pack(cls, pack: Pack, part: str, size: int, device: torch.device) -> Faces:
        """Load one part of a pack, resized to `size` if needed."""
        rows = pack.where(part=part)
        crops = torch.from_numpy(np.ascontiguousarray(pack.crops[rows])).permute(0, 3, 1, 2)
        if crops.shape[-1] != size:
            crops = torch.cat([_resize(chunk, size) for chunk in crops.split(256)])
        labels = {name: torch.from_numpy(pack.labels[name][rows]).to(device) for name in ATTRIBUTES}
        labels[YEARS] = torch.from_numpy(pack.years[rows]).to(device)
        weights = torch.from_numpy(balanced_weights(pack, rows)).to(device)
        return cls(crops.contiguous(memory_format=torch.channels_last).to(device), labels, weights)

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def layout(self) -> torch.memory_format:
        """Memory format of the crops and of drawn faces."""
        last = self.crops.is_contiguous(memory_format=torch.channels_last)
        return torch.channels_last if last else torch.contiguous_format

    def outlined(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the outlines of the faces `rows`, (N, 1, s, s) float32 in [0, 1], as the only element; () if unset."""
        return () if self.outlines is None else (self.outlines[rows].float().div(255),)

    def take(self, rows: Tensor) -> tuple[Tensor, Labels]:
        """Return the faces `rows` as float32 in [0, 1] with their labels; half of the faces are mirrored."""
        x = self.crops[rows].float().div_(255)
        mirrored = torch.rand(len(rows), 1, 1, 1, device=x.device) < 0.5
        x = torch.where(mirrored, x.flip(3), x).contiguous(memory_format=self.layout)
        labels = {name: values[rows] for name, values in self.labels.items()}
        for outlines in self.outlined(rows):
            labels[OUTLINE] = torch.where(mirrored, outlines.flip(3), outlines)
        return x, labels

    def draw(self, count: int) -> tuple[Tensor, Labels]:
        """Return `count` random faces, balanced by the sampling weights."""
        return self.take(torch.multinomial(self.weights, count, replacement=True))

    @torch.inference_mode()
    def fill_unknown(self, estimator: nn.Module, batch: int = 64) -> dict[str, int]:
        """Label unlabelled faces with the predictions of `estimator`, as the paper did with commercial software.

        `estimator` predicts age in ranks, ``years``; age groups follow from the years. Returns the number of filled
        labels of each attribute.
        """
        unknown = {name: values.isnan() if name == YEARS else values < 0 for name, values in self.labels.items()}
        rows = torch.stack(list(unknown.values())).any(0).nonzero().flatten()
        for chunk in rows.split(batch):
            logits = estimator(self.crops[chunk].float().div(255).contiguous(memory_format=torch.channels_last))
            guesses = {name: scores.float().argmax(1) for name, scores in logits.items() if name != YEARS}
            guesses[YEARS] = years_from(logits[YEARS])
            guesses[AGE.name] = torch.from_numpy(AGE.bin(guesses[YEARS].cpu().numpy())).to(chunk.device)
            for name, guess in guesses.items():
                labels, missing = self.labels[name], unknown[name][chunk]
                labels[chunk] = torch.where(missing, guess.to(labels.dtype), labels[chunk])
        return {name: int(missing.sum()) for name, missing in unknown.items()}


def _resize(crops: Tensor, size: int) -> Tensor:
    scaled = F.interpolate(crops.float(), size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    return scaled.round().clamp(0, 255).to(torch.uint8)
