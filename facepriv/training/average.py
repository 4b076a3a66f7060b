"""Exponential moving average of a network; the average is released."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Keeps an averaged copy of a network.

    Parameters
    ----------
    net : Module
        The network in training.
    decay : float
        Share of the old average kept at each update; early updates keep less, to forget the initial weights.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move the average towards `net`."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        state = net.state_dict()
        for name, value in self.net.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(state[name], 1 - decay)
            else:
                value.copy_(state[name])
