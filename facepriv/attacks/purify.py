"""Purification: a network learns to undo the method on pairs of other people's faces, then the classifiers look.

The adversary protects photos of its own with the public method. A small denoising network learns to return the
originals from the protected faces. A logistic regression then weighs the classifiers' predictions on the face and on
its purified copy; it learns from people whose faces the network has not seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.evidence import evidence
from facepriv.attacks.pixels import as_tensor, small_pixels
from facepriv.contracts import Answer, Attack, Images, Known, Notes, Tools
from facepriv.metrics.folds import people_folds

# Number of folds of the training people; one is held out to weigh the predictions.
_FOLDS = 4
_BATCH = 8


class Purify(Attack):
    """Restores faces by a network trained on pairs of protected and original faces, before the classifiers look.

    Parameters
    ----------
    steps : int
        Training steps of the network, eight faces each.
    rate : float
        Learning rate (Adam, with cosine decay to 0).
    seed : int
    """

    needs_originals = True

    def __init__(self, steps: int = 300, rate: float = 2e-3, seed: int = 0) -> None:
        self.steps, self.rate, self.seed = steps, rate, seed

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return small copies of the faces, see `small_pixels`, and the classifiers' evidence on the crops."""
        return {"pixels": small_pixels(images), "evidence": evidence(images, tools.estimators)}

    def learn(self, known: Known, tools: Tools) -> Answer:
        """Train the network on three quarters of the people, and the weights of the predictions on the rest."""
        left_out = people_folds(known.subjects, known.classes, _FOLDS) == 0
        study, rest = known.take(~left_out), known.take(left_out)
        if any(len(np.unique(part.classes)) < len(np.unique(known.classes)) for part in (study, rest)):
            study = rest = known  # too few people for two parts
        net = self._trained(study.after["pixels"], study.before["pixels"])

        def seen(notes: Notes) -> NDArray[np.float64]:
            return np.concatenate(
                [notes["evidence"], evidence(_purified(net, notes["pixels"]), tools.estimators)], axis=1
            )

        weigh = tools.fit(seen(rest.after), rest.classes, rest.subjects, tools.classes)
        return lambda notes: weigh(seen(notes))

    def _trained(self, protected: NDArray[np.uint8], original: NDArray[np.uint8]) -> Any:
        """Train on pairs (N, S, S, 3) of protected and original faces; returns the network."""
        import torch

        rng = np.random.default_rng(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = _network()
        optimiser = torch.optim.Adam(net.parameters(), lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, self.steps))
        for _ in range(self.steps):
            rows = rng.choice(len(protected), min(_BATCH, len(protected)), replace=False)
            step = -1 if rng.random() < 0.5 else 1  # half of the batches are mirrored
            x, y = (as_tensor(side[rows][:, :, ::step]) for side in (protected, original))
            loss = (net(x) - y).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        return net.requires_grad_(False)


def _purified(net: Any, pixels: NDArray[np.uint8]) -> Images:
    """Return restored faces (N, S, S, 3), each by itself: a convolution's rounding depends on the batch."""
    import torch

    with torch.inference_mode():
        faces = [net(as_tensor(pixels[n : n + 1])).clamp(0, 1) for n in range(len(pixels))]
    return torch.cat(faces).permute(0, 2, 3, 1).numpy()


def _network() -> Any:
    """Return a residual network on two scales, (N, 3, S, S) -> the same; it starts as the identity."""
    import torch
    from torch import nn

    class Denoiser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 32, 3, 1, 1), nn.ReLU())
            self.down = nn.Sequential(nn.Conv2d(32, 48, 3, 2, 1), nn.ReLU())
            self.body = nn.Sequential(*(part for _ in range(4) for part in (nn.Conv2d(48, 48, 3, 1, 1), nn.ReLU())))
            self.up = nn.Sequential(nn.Conv2d(48, 128, 1), nn.PixelShuffle(2))
            self.leave = nn.Sequential(
                nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 12, 3, 1, 1), nn.PixelShuffle(2)
            )
            nn.init.zeros_(self.leave[2].weight)
            nn.init.zeros_(self.leave[2].bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            fine = self.enter(x)
            coarse = self.down(fine)
            coarse = coarse + self.body(coarse)
            return x + self.leave(fine + self.up(coarse))

    return Denoiser()
