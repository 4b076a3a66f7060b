"""What each step asks the generator to do with the faces."""

from __future__ import annotations

import torch
from torch import Tensor

from facepriv.schema import ATTRIBUTES, Schema
from facepriv.training.faces import Labels
from facepriv.training.ordinal import YEARS

#: What "young", "middle" and "old" ask for in years: well inside each group, so that the border is left behind.
TYPICAL_YEARS = (22.0, 38.0, 62.0)


def draw_targets(own: Labels, hide: float, untouched: float, schema: Schema = ATTRIBUTES) -> tuple[Labels, Tensor]:
    """Draw what G shall make of each face.

    Parameters
    ----------
    own : dict
        The faces' classes, -1 unknown, and ``years``.
    hide : float
        Probability with which an attribute is hidden: its target is another class (any class where it is unknown).
    untouched : float
        Share of faces whose targets are all their own.

    Returns
    -------
    targets : dict
        Attribute -> (N,) int64, -1 where a kept attribute is unknown; ``years``, the own where age is kept, else
        `TYPICAL_YEARS` of the target's group.
    kept : Tensor
        (N,) bool, the faces whose targets are all their own.
    """
    first = next(iter(own.values()))
    n, device = len(first), first.device
    untouched_rows = torch.rand(n, device=device) < untouched
    targets: Labels = {}
    kept = torch.ones(n, dtype=torch.bool, device=device)
    for name, spec in schema.items():
        labels, classes = own[name], len(spec.classes)
        hidden = (torch.rand(n, device=device) < hide) & ~untouched_rows
        step = torch.randint(1, classes, (n,), device=device)
        anything = torch.randint(0, classes, (n,), device=device)
        other = torch.where(labels >= 0, (labels + step) % classes, anything)
        targets[name] = torch.where(hidden, other, labels)
        kept &= ~hidden
        if spec.thresholds:
            typical = torch.tensor(TYPICAL_YEARS, device=device)[other]
            targets[YEARS] = torch.where(hidden, typical, own[YEARS])
    return targets, kept
