"""Age as an ordered attribute: one logit for each year, "older than r".

Class logits treat "old for middle" and "old for young" as the same error. Ranks know the distance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Name of age in years among labels (NaN unknown) and among logits (its ranks), beside the attributes.
YEARS = "years"
#: Number of yearly thresholds, 0 to 89.
AGE_RANKS = 90


class Coral(nn.Module):
    """Consistent rank logits (Cao, Mirjalili, Raschka, Pattern Recognition Letters 2020, section 3.3).

    All ranks share one weight vector and differ in their biases, which makes the probabilities of "older than r years"
    consistent: they fall as r grows.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Linear(features, 1, bias=False)
        self.bias = nn.Parameter(torch.linspace(3, -5, AGE_RANKS))

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) -> (N, AGE_RANKS) logits."""
        return self.weight(x) + self.bias


def years_from(logits: Tensor) -> Tensor:
    """Expected age in years (N,) from rank logits (N, AGE_RANKS): the sum of the rank probabilities."""
    return logits.float().sigmoid().sum(1)


def age_loss(logits: Tensor, years: Tensor) -> Tensor:
    """Loss of rank logits (N, AGE_RANKS) against ages (N,) in years; NaN is unknown and does not count.

    The mean over 90 ranks is small because most are easy; 6 puts age on a par with a cross-entropy. CORAL ranks; the
    second term pulls their sum, the years that are reported.
    """
    known = ~torch.isnan(years)
    logits, years = logits[known].float(), years[known]
    if not len(years):
        return logits.sum()
    older = (years[:, None] > torch.arange(AGE_RANKS, device=years.device)).float()
    ranked = F.binary_cross_entropy_with_logits(logits, older)
    return 6 * ranked + F.smooth_l1_loss(years_from(logits), years, beta=3.0) / 10
