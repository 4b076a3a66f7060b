"""The optimisation of one face's perturbation.

    minimise |d|   so that   z_t(v(x + d)) - max_k z_k(v(x + d)) >= m   for every attribute,   |d| <= budget

z are a classifier's logits, t is the wanted class of a hidden attribute or the predicted one of a kept one, m the
margin, and v small random views (shift, scale, rotation, blur, light). With views the result survives pasting,
rounding, and repeated detection and alignment. Every demand is a hinge, which is 0 if met. A step follows their sum's
gradient down to where its linearisation is 0 (Polyak's step, with one demand DeepFool's). No rate needs tuning, and the
change stays close to the smallest one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facepriv.training.augment import Augmentation
from facepriv_k_attribute.classifiers import Classifier

#: Slightly more than the variation of a pasted photo at a classifier's input.
VIEWS = Augmentation(
    rotate=3, shift=0.015, scale=0.04, flip=True, light=0.08, colour=0.04, smallest=0.5, noise=0.005, grey=0
)
#: Every face gets the same draws of views, so that results do not depend on earlier faces.
SEED = 0
#: Factor on Polyak's step, so that the next view, which differs, meets the demands sooner.
BEYOND = 1.25
#: Longest step, as a share of the budget: Polyak's step diverges where a gradient vanishes.
LONGEST = 0.5


@dataclass(frozen=True)
class Demand:
    """The demand on one attribute: class `wanted`, `margin` logits ahead of every other; `weight` in the sum."""

    wanted: int
    margin: float
    weight: float = 1.0

    def shortfall(self, logits: Tensor) -> Tensor:
        """Shortfall of logits (1, classes), a scalar; 0 if the demand is met."""
        return self.weight * F.relu(self.margin - lead(logits, self.wanted))


Demands = Sequence[Mapping[str, Demand]]


def lead(logits: Tensor, wanted: int) -> Tensor:
    """Lead of class `wanted` over every other in logits (1, classes), a scalar; negative if it does not lead."""
    row = logits[0]
    return row[wanted] - torch.cat([row[:wanted], row[wanted + 1 :]]).amax()


@torch.no_grad()
def demands(
    x: Tensor, classifiers: Sequence[Classifier], hidden: Mapping[str, int], margin: float, keep: float
) -> Demands:
    """Return the demands on each classifier, attribute by attribute.

    Parameters
    ----------
    x : Tensor
        (1, 3, S, S) in [0, 1], one face.
    hidden : mapping
        Attribute -> wanted class. The others keep the class predicted now, with half of its lead.
    margin : float
        Wanted lead in logits.
    keep : float
        Weight of a kept attribute, relative to 1 for a hidden one; 0: no demand.
    """
    found = []
    for classifier in classifiers:
        logits = classifier.logits(x)
        asked = {name: Demand(hidden[name], margin) for name in classifier.attributes if name in hidden}
        for name in classifier.attributes:
            if name not in hidden and keep:
                own = int(logits[name].argmax())
                asked[name] = Demand(own, min(margin, float(lead(logits[name], own)) / 2), keep)
        found.append(asked)
    return found


def perturb(
    x: Tensor,
    mask: Tensor,
    shortfall: Callable[[Tensor], Tensor],
    *,
    budget: float,
    steps: int,
    views: int,
    augment: Augmentation = VIEWS,
) -> Tensor:
    """Return the perturbation of one face.

    Parameters
    ----------
    x : Tensor
        (1, 3, S, S) in [0, 1].
    mask : Tensor
        (S, S), the share of a change that remains after pasting.
    shortfall : callable
        (1, 3, S, S) in [0, 1] -> scalar, 0 if all demands are met.
    budget : float
        Largest root mean square of the perturbation over pixels and channels, in units of the full range.
    steps : int
        Largest number of gradient steps.
    views : int
        How many successive random views must meet all demands before a face is done.

    Returns
    -------
    Tensor
        (1, 3, S, S).
    """
    change = torch.zeros_like(x)
    longest = budget * change.numel() ** 0.5
    taken = met = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        while taken < steps and met < views:
            moved = change.clone().requires_grad_()
            loss = shortfall(augment((x + mask * moved).clamp(0, 1)))
            size = loss.item()
            if size <= 0:
                met += 1
                continue
            (gradient,) = torch.autograd.grad(loss, moved)
            length = max(gradient.norm().item(), 1e-12)
            change = change - gradient / length * min(BEYOND * size / length, LONGEST * longest)
            change = change * min(1.0, longest / max(change.norm().item(), 1e-12))
            taken, met = taken + 1, 0
    return change
