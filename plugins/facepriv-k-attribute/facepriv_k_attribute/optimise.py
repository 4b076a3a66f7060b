"""The optimisation of one face's perturbation.

    minimise |d|   so that   z_t(v(x + d)) - max_k z_k(v(x + d)) >= m   for every attribute,   |d| <= budget

z are a classifier's logits, t is the wanted class of a hidden attribute or the predicted one of a kept one, m the
margin, and v small random views (shift, scale, rotation, blur, light), so that the result survives being pasted,
rounded, found and aligned anew. Every demand is a hinge, which is 0 where it is met; a step goes down their sum's
gradient as far as a straight line would have to go to 0 (Polyak's step, with one demand DeepFool's), so that no rate is
to be tuned and the change stays close to the smallest one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facepriv.training.augment import Augmentation
from facepriv_k_attribute.classifiers import Classifier

#: What a pasted photo goes through until a classifier looks at it, and a little more.
VIEWS = Augmentation(
    rotate=3, shift=0.015, scale=0.04, flip=True, light=0.08, colour=0.04, smallest=0.5, noise=0.005, grey=0
)
#: Every face gets the same draws of views, so that nothing depends on what was done before it.
SEED = 0
#: How far beyond that point a step goes, so that the next view, which is another one, is met sooner.
BEYOND = 1.25
#: Longest step, as a share of the budget: where a gradient vanishes, Polyak's step is no guide.
LONGEST = 0.5


@dataclass(frozen=True)
class Demand:
    """What is asked of one attribute: class `wanted`, `margin` logits ahead of every other; `weight` in the sum."""

    wanted: int
    margin: float
    weight: float = 1.0

    def shortfall(self, logits: Tensor) -> Tensor:
        """How far logits (1, classes) fall short, a scalar; 0 where the demand is met."""
        return self.weight * F.relu(self.margin - lead(logits, self.wanted))


Demands = Sequence[Mapping[str, Demand]]


def lead(logits: Tensor, wanted: int) -> Tensor:
    """By how much class `wanted` leads every other, a scalar, of logits (1, classes); negative where it does not."""
    row = logits[0]
    return row[wanted] - torch.cat([row[:wanted], row[wanted + 1 :]]).amax()


@torch.no_grad()
def demands(
    x: Tensor, classifiers: Sequence[Classifier], hidden: Mapping[str, int], margin: float, keep: float
) -> Demands:
    """Return what is asked of each classifier, attribute by attribute.

    Parameters
    ----------
    x : Tensor
        (1, 3, S, S) in [0, 1], one face.
    hidden : mapping
        Attribute -> wanted class. The others keep the class that the classifier sees now, with half of its lead.
    margin : float
        Wanted lead in logits.
    keep : float
        Weight of a kept attribute against a hidden one's 1; 0: it may go where it likes.
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
        (S, S), what is left of a change when it is pasted.
    shortfall : callable
        (1, 3, S, S) in [0, 1] -> scalar, 0 where all demands are met.
    budget : float
        Largest root mean square of the perturbation over pixels and channels, in units of the full range.
    steps : int
        Gradient steps at most.
    views : int
        How many random views in a row must meet all demands before a face is done.

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
