"""Age as an ordered attribute: one logit for each year, "older than r".

Class logits treat "old for middle" and "old for young" as the same error. Ranks take the distance into account.
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

    All ranks share one weight vector and differ in their biases, so the probabilities of "older than r years" are
    consistent: they decrease with r.
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

    The mean over 90 ranks is small because most are easy; the factor 6 scales it to the size of a cross-entropy. The
    first term is CORAL's; the second trains the sum of the ranks, which is the reported age.
    """
    known = ~torch.isnan(years)
    logits, years = logits[known].float(), years[known]
    if not len(years):
        return logits.sum()
    older = (years[:, None] > torch.arange(AGE_RANKS, device=years.device)).float()
    ranked = F.binary_cross_entropy_with_logits(logits, older)
    return 6 * ranked + F.smooth_l1_loss(years_from(logits), years, beta=3.0) / 10
