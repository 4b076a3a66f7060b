"""The faces and targets of each training step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from facepriv.schema import ATTRIBUTES, Schema
from facepriv.training.faces import Faces, Labels
from facepriv.training.ordinal import YEARS
from facepriv_privacynet.config import Recipe

#: Target ages of "young", "middle" and "old" in years: well inside each group, away from its borders.
TYPICAL_YEARS = (22.0, 38.0, 62.0)


@dataclass(frozen=True)
class Work:
    """One process's share of the data of a training step.

    Parameters
    ----------
    faces : Tensor
        (N, 3, S, S) float32 in [0, 1].
    own, targets : dict
        Their classes, and the targets for G: see `draw_targets`.
    kept : Tensor
        (N,) bool, the faces whose targets are all their own.
    kept_count : Tensor
        Their number, averaged over the processes.
    judges, pool : list of int
        Indices of the judges, and of the judges of earlier rounds, that teach G.
    real : tuple of Tensor and dict, or None
        Other faces and their classes, for the judges; None if there are none.
    """

    faces: Tensor
    own: Labels
    targets: Labels
    kept: Tensor
    kept_count: Tensor
    judges: list[int]
    real: tuple[Tensor, Labels] | None
    pool: list[int] = field(default_factory=list)


def seed_step(*parts: int) -> None:
    """Seed torch from integers >= 0: the recipe's seed, the step, and the kind of draw.

    A resumed run thus makes the same draws, and recipes or numbers of processes can be compared.
    """
    state = np.random.SeedSequence(parts).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]) >> 1)


def draw_faces(faces: Faces, count: int, process: int = 0, processes: int = 1) -> tuple[Tensor, Labels]:
    """Draw `count` faces per process; return those of this one.

    Every process draws all of them with the same seed, so several processes see what a single one would.
    """
    x, own = faces.draw(count * processes)
    mine = slice(process * count, (process + 1) * count)
    return x[mine], _rows(own, mine)


def draw_work(faces: Faces, recipe: Recipe, process: int = 0, processes: int = 1, *, pool: int = 0) -> Work:
    """Draw one step's faces, targets and judges, and some of `pool` earlier judges; see `draw_faces`."""
    r = recipe
    x, own = faces.draw(r.batch * processes)
    targets, kept = draw_targets(own, r.hide, r.own)
    judges = torch.randperm(len(r.judges))[: r.judges_each_step].tolist()
    real = draw_faces(faces, r.judges_batch, process, processes) if r.judges else None
    earlier = torch.randperm(pool)[: r.pool_each_step].tolist()
    mine = slice(process * r.batch, (process + 1) * r.batch)
    mean_kept = kept.sum() / processes
    return Work(x[mine], _rows(own, mine), _rows(targets, mine), kept[mine], mean_kept, judges, real, earlier)


def draw_targets(own: Labels, hide: float, untouched: float, schema: Schema = ATTRIBUTES) -> tuple[Labels, Tensor]:
    """Draw the targets of each face.

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


def _rows(labels: Labels, rows: slice) -> Labels:
    return {name: values[rows] for name, values in labels.items()}
