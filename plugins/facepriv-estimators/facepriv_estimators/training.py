"""Trains one family of estimators on its own half of the training data.

The halves are disjoint (`facepriv.datasets.splits.halves`), the architectures differ, and the families share no
weights. A change that fools one family by chance is therefore unlikely to fool the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.datasets.pack import Pack
from facepriv.schema import ADULT, RACE
from facepriv.training.augment import Augmentation
from facepriv.training.average import MovingAverage
from facepriv.training.ordinal import age_loss
from facepriv.training.records import in_words
from facepriv.training.sampling import balanced_weights
from facepriv_estimators.networks import mirrored


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one family."""

    epochs: float = 8
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.02
    trunk_rate: float = 1.0
    ema: float = 0.995
    seed: int = 0


RECIPES = {
    # The trunk is pretrained on faces: its learning rate is a third of that of the new heads.
    "a": Recipe(epochs=5, rate=1.5e-3, trunk_rate=0.33),
    "b": Recipe(epochs=45, rate=4e-3, decay=0.05),
}


def losses(out: dict[str, Tensor], gender: Tensor, race: Tensor, years: Tensor, race_weight: Tensor) -> Tensor:
    """Sum of the attributes' losses over the faces with known labels.

    Parameters
    ----------
    out : dict
        A network's logits.
    gender, race : Tensor
        (N,) int64, -1 unknown.
    years : Tensor
        (N,) float32, NaN unknown.
    race_weight : Tensor
        (4,) weight of each race class.
    """
    total = _cross_entropy(out["gender"], gender, None, 0.05) + _cross_entropy(out["race"], race, race_weight, 0.05)
    return total + age_loss(out["age"], years)


def _cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    known = labels >= 0
    if not known.any():
        return logits.sum() * 0
    return F.cross_entropy(logits[known], labels[known], weight, label_smoothing=smoothing)


def train(
    net: nn.Module, pack: Pack, half: str, recipe: Recipe, log: Callable[[str], None] = print
) -> tuple[nn.Module, dict[str, float]]:
    """Train `net` on one half of the pack's training part; return its moving average and validation figures."""
    torch.manual_seed(recipe.seed)
    rows = pack.where(part="train", half=half)
    crops = torch.from_numpy(np.ascontiguousarray(pack.crops[rows])).permute(0, 3, 1, 2)
    gender, race = (torch.from_numpy(pack.labels[name][rows]) for name in ("gender", "race"))
    years = torch.from_numpy(pack.years[rows])
    weights = torch.from_numpy(balanced_weights(pack, rows))
    drawn = torch.zeros(len(RACE.classes), dtype=torch.float64)
    drawn.scatter_add_(0, race.clamp(min=0), weights * (race >= 0))
    # A race missing from the pack gets weight zero instead of infinity.
    race_weight = torch.where(drawn > 0, (1 / drawn.clamp(min=1e-9)).sqrt(), 0.0).float()
    race_weight /= race_weight.mean().clamp(min=1e-9)
    net = net.to(memory_format=torch.channels_last)
    average = MovingAverage(net, recipe.ema)
    heads = [p for name, p in net.named_parameters() if name.startswith("heads")]
    trunk = [p for name, p in net.named_parameters() if not name.startswith("heads")]
    groups = [{"params": heads, "lr": recipe.rate}, {"params": trunk, "lr": recipe.rate * recipe.trunk_rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.decay)
    steps = max(1, int(recipe.epochs * len(rows) / recipe.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [g["lr"] for g in groups], total_steps=steps, pct_start=0.15
    )
    augment = Augmentation(smallest=0.5)
    start = time.perf_counter()
    for step in range(steps):
        net.train()
        chosen = torch.multinomial(weights, recipe.batch, replacement=True)
        x = augment(crops[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = net(x)
        loss = losses({k: v.float() for k, v in out.items()}, gender[chosen], race[chosen], years[chosen], race_weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        average.update(net)
        if (step + 1) % max(1, steps // 8) == 0 or step + 1 == steps:
            figures = validate(average.net, pack)
            seconds = time.perf_counter() - start
            log(f"step {step + 1}/{steps}  {seconds:.0f} s  loss {loss.item():.3f}  {in_words(figures)}")
    return average.net, figures


def validate(net: nn.Module, pack: Pack, part: str = "validation") -> dict[str, float]:
    """Figures on one part: gender accuracy on each set (UTKFace at 15 and over), race balanced accuracy, age MAE."""
    figures: dict[str, float] = {}
    for name in np.unique(pack.columns["set"]):
        rows = pack.where(part=part, set=name)
        adult = np.isnan(pack.years[rows]) | (pack.years[rows] >= ADULT)
        rows = rows[adult]
        out = infer(net, pack, rows)
        gender = pack.labels["gender"][rows]
        figures[f"gender_{name}"] = float((out["gender"].argmax(1) == gender)[gender >= 0].mean())
        race, years = pack.labels["race"][rows], pack.years[rows]
        if (race >= 0).any():
            hits = out["race"].argmax(1) == race
            figures[f"race_{name}"] = float(np.mean([hits[race == k].mean() for k in np.unique(race[race >= 0])]))
        if not np.isnan(years).all():
            figures[f"mae_{name}"] = float(np.nanmean(np.abs(out["years"] - years)))
    return figures


@torch.inference_mode()
def infer(net: nn.Module, pack: Pack, rows: NDArray[np.int64], batch: int = 128) -> dict[str, NDArray[np.float32]]:
    """Run `net` over rows of a pack: probabilities of gender and race, and years."""
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(rows), batch):
        x = torch.from_numpy(np.ascontiguousarray(pack.crops[rows[start : start + batch]])).permute(0, 3, 1, 2)
        parts.append(mirrored(net, x.float().div(255).contiguous(memory_format=torch.channels_last)))
    return {key: torch.cat([part[key] for part in parts]).float().numpy() for key in parts[0]}
