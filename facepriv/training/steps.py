"""Parts of one update of a network, shared by all methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from facepriv.inference.devices import multiplies_bfloat16
from facepriv.training.augment import Augmentation
from facepriv.training.losses import alike, identity

if TYPE_CHECKING:
    from accelerate import Accelerator


def descend(
    accelerator: Accelerator, optimiser: torch.optim.Optimizer, total: Tensor, parameters: Iterable[nn.Parameter]
) -> None:
    """Take one step of `optimiser` down the loss `total`; gradients are averaged over processes, and clipped."""
    trained = list(parameters)
    optimiser.zero_grad(set_to_none=True)
    accelerator.backward(total, inputs=trained)
    if accelerator.num_processes > 1:
        # One message instead of a hundred small ones.
        gradients = [p.grad for p in trained if p.grad is not None]
        mean = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
        for g, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
            g.copy_(part.view_as(g))
    nn.utils.clip_grad_norm_(trained, 5.0)
    optimiser.step()


def set_rates(rates: Mapping[torch.optim.Optimizer, float], step: int, steps: int, decay: float) -> None:
    """Set the learning rates of a step.

    A function of the step alone: a resumed run, or one with more `steps`, needs no state of a scheduler.

    Parameters
    ----------
    rates : mapping
        Optimiser -> its full rate.
    step, steps : int
        The current step, from 0, and their number.
    decay : float
        The rates fall linearly over this last share of the steps, to 2 % at the end; 0: they stay.
    """
    left = 1 - step / max(1, steps)
    factor = max(0.02, min(1.0, left / decay) if decay else 1.0)
    for optimiser, rate in rates.items():
        for group in optimiser.param_groups:
            group["lr"] = rate * factor


def agreed(accelerator: Accelerator, stop: bool) -> bool:
    """Return whether any process requests to stop: all must stop together, or the others would wait forever."""
    if accelerator.num_processes == 1:
        return stop
    wishes = torch.tensor(float(stop), device=accelerator.device)
    return bool(accelerator.reduce(wishes, "sum") > 0)


def mixed_precision(chosen: str | None) -> str:
    """Return Accelerate's name of the training precision: the chosen one, else bfloat16 if the hardware supports it."""
    return chosen or ("bf16" if multiplies_bfloat16("cuda" if torch.cuda.is_available() else "cpu") else "no")


def frozen_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which frozen networks run: on a CPU in float32."""
    return torch.autocast("cpu", enabled=False) if device.type == "cpu" else nullcontext()


def matched(x: Tensor, y: Tensor, matchers: Sequence[nn.Module], jitter: Augmentation | None) -> tuple[Tensor, Tensor]:
    """Return `identity` and `alike` of faces x and their changed versions y, means over all matchers.

    Parameters
    ----------
    x, y : Tensor
        (N, 3, S, S) in [0, 1].
    matchers : sequence of Module
        Differentiable networks from crops to descriptors.
    jitter : Augmentation or None
        Augmentation applied identically to both faces of a pair, so that no matcher's alignment is learnt.
    """
    layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    if jitter:
        pairs = jitter.geometric(torch.cat([x, y]).float(), pairs=True)
        pairs = jitter.resolution(jitter.photometric(pairs, pairs=True)).clamp(0, 1)
        x, y = pairs.contiguous(memory_format=layout).chunk(2)
    terms = []
    with frozen_precision(x.device):
        for matcher in matchers:
            with torch.no_grad():
                before = matcher(x).float()
            after = matcher(y).float()
            terms.append(torch.stack([identity(before, after), alike(before, after)]))
    same, others = torch.stack(terms).mean(0)
    return same, others
