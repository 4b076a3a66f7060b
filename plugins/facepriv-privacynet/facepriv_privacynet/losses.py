"""The paper's losses (section 3.3, equations 1 to 8) and terms that our preset adds.

Each is a mean over the batch; equation 7, L_m, is `facepriv.training.losses.identity`.
G minimises `adversarial` + w_attr `attributes` + w_m `identity` + w_rec `cycle`
(equation 2); D minimises `critic` + w `attributes` on real faces (equation 1). The paper writes log D in equations 3
and 4 but names Wasserstein in its text; this is WGAN with a gradient penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from facepriv.training.augment import luminance
from facepriv.training.losses import cross_entropy
from facepriv.training.ordinal import YEARS, age_loss

Logits = Mapping[str, Tensor]


def critic(real: Tensor, changed: Tensor) -> Tensor:
    """L_D,src (equation 3), Wasserstein form: critic values of changed faces minus those of real ones."""
    return changed.float().mean() - real.float().mean()


def adversarial(changed: Tensor) -> Tensor:
    """L_G,src (equation 4), Wasserstein form: G maximises the critic values."""
    return -changed.float().mean()


def gradient_penalty(score: Callable[[Tensor, Tensor], Tensor], real: Tensor, changed: Tensor) -> Tensor:
    """WGAN-GP: (|d score / d x| - 1)^2 on random mixtures of real and changed faces (N, 3, S, S).

    `score` receives the mixtures and the share of the real face in each, (N, 1).
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    mixed = (share * real + (1 - share) * changed).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(mixed, share[:, :, 0, 0]).float().sum(), mixed, create_graph=True)
    return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()


def attributes(logits: Logits, labels: Mapping[str, Tensor], weights: Mapping[str, float] | None = None) -> Tensor:
    """L_attr (equations 5 and 6): cross-entropy per attribute, summed; unknown labels (-1) are ignored.

    For D, `labels` are the faces' own; for G, the targets. ``years`` is age as ranks instead of groups, if a model
    returns it. `weights` multiply single attributes (default 1).
    """
    total = torch.zeros((), device=next(iter(logits.values())).device)
    for name, scores in logits.items():
        value = age_loss(scores, labels[name]) if name == YEARS else cross_entropy(scores, labels[name])
        total = total + value * (weights or {}).get(name, 1.0)
    return total


def cycle(image: Tensor, restored: Tensor) -> Tensor:
    """L_rec (equation 8): L1 distance of x and G(G(x, v_t), v_0)."""
    return (image - restored).abs().mean()


def mirror(changed: Tensor, of_mirrored: Tensor) -> Tensor:
    """Ours: L1 distance of the mirror image of G(x) and G of the mirror image of x, for left-right symmetry.

    Gradients flow through both: neither is the reference.
    """
    return (changed.flip(3) - of_mirrored).abs().mean()


def kept(image: Tensor, changed: Tensor, own: Tensor, count: Tensor | None = None) -> Tensor:
    """Ours: L1 change of the faces whose targets are all their own classes; `own` is (N,) bool.

    The mean is over `count` such faces, by default those of this batch. One process of several holds a share of all.
    """
    count = own.sum() if count is None else count
    each = (image - changed).abs().mean(dim=(1, 2, 3))
    return (each * own).sum() / torch.where(count > 0, count, 1)


def colour(image: Tensor, changed: Tensor) -> Tensor:
    """Ours: mean square of the change of chroma (colour minus luminance), to avoid red and blue blotches."""
    delta = changed - image
    return ((delta - luminance(delta)) ** 2).mean()
