"""The networks that train against each other, and one update of each.

Invisible noise fools fixed judges, but no other classifiers. Judges that learn on G's output force it to make
meaningful changes, and these transfer to unseen classifiers.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from facepriv.training import losses as common
from facepriv.training.augment import matcher_jitter
from facepriv.training.average import MovingAverage
from facepriv.training.faces import OUTLINE, Faces, Labels
from facepriv.training.judges import Judge, JudgeShape
from facepriv.training.steps import descend, frozen_precision, matched
from facepriv_privacynet import losses
from facepriv_privacynet.config import Recipe
from facepriv_privacynet.data import Work
from facepriv_privacynet.networks import Discriminator, Generator, encode
from facepriv_privacynet.readers import READ, Reader, described, told

PROBE = JudgeShape(72, window=0.85, residual=True)
#: Readers cost little: they learn several times a step, on many of the latest descriptors.
_READERS_UPDATES, _READERS_BATCH = 4, 256


@dataclass(frozen=True)
class Execution:
    """Execution options of a training, independent of what it computes.

    Parameters
    ----------
    channels_last : bool
        Use the channels-last memory format, as convolutions read it.
    fused : bool
        Update all parameters of an optimiser in one kernel.
    backend : str or None
        Compile all networks with torch.compile and this backend; useful on a GPU.
    """

    channels_last: bool = True
    fused: bool = True
    backend: str | None = None

    @property
    def layout(self) -> torch.memory_format:
        """Memory format of images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


class Players:
    """Generator, discriminator, judges, copies of trained classifiers, and their optimisers.

    Parameters
    ----------
    recipe : Recipe
    faces : Faces
        Training faces on the accelerator's device.
    matchers : sequence of Module
        Differentiable matchers, crops in [0, 1] to descriptors; their weights stay fixed. None are needed if the recipe
        is not `matched`.
    fixed : sequence of Module
        Trained classifiers, crops to class logits by attribute, that alternate with the learning judges.
    accelerator : Accelerator
        Device, precision, and other processes, if any. All processes draw the same faces and targets as a single one
        would, each takes its share, and gradients are averaged.
    pool : sequence of Judge
        Judges of earlier rounds: they teach, but no longer learn.
    execution : Execution
    """

    def __init__(
        self,
        recipe: Recipe,
        faces: Faces,
        matchers: Sequence[nn.Module],
        accelerator: Accelerator,
        fixed: Sequence[nn.Module] = (),
        *,
        pool: Sequence[Judge] = (),
        execution: Execution = Execution(),
    ) -> None:
        self.recipe, self.faces, self.accelerator = recipe, faces, accelerator
        #: Names of the evaluators used to train these networks, in this run or before.
        self.seen = recipe.teachers
        self.layout = execution.layout
        device, backend = accelerator.device, execution.backend
        torch.manual_seed(recipe.seed)

        def built(net: nn.Module) -> Any:
            return net.to(device, memory_format=self.layout)

        frozen = matchers if recipe.matched else (), fixed if recipe.judges and recipe.fixed_every else (), pool
        self.matchers, self.fixed, self.pool = (
            [built(net).eval().requires_grad_(False) for net in nets] for nets in frozen
        )

        self.g: Generator = built(Generator(recipe.generator))
        self.d: Discriminator = built(
            Discriminator(
                recipe.generator.size, conditional=recipe.conditional, scales=recipe.scales, widest=recipe.critic_widest
            )
        )
        # Copies of the same classifiers that keep learning: noise fools even a strong judge if it is fixed.
        self.copies = [copy.deepcopy(net).requires_grad_(True) for net in self.fixed] if recipe.copies else []
        self.judges: list[Judge] = [built(Judge(shape, ordered=recipe.ordered)) for shape in recipe.judges]
        # Learns on real faces only and teaches no network: its figures on G's faces are those of an unseen classifier.
        self.probe: Judge = built(Judge(PROBE))
        self.readers = [Reader(width).to(device) for width in self._widths()] if recipe.w_told else []
        if backend:
            # In place: parameters keep their names. D's gradient penalty needs a second derivative, which compiled
            # code cannot compute, so it calls `forward` directly.
            learning = (self.g, self.d, *self.judges, *self.copies, self.probe)
            for net in (*learning, *self.matchers, *self.fixed, *self.pool):
                net.compile(backend=backend)
        self.average = MovingAverage(self.g, recipe.ema)
        fused = execution.fused and device.type in ("cuda", "cpu")
        self.opt_g = torch.optim.Adam(self.g.parameters(), recipe.rate_g, (0.5, 0.999), fused=fused)
        self.opt_d = torch.optim.Adam(self.d.parameters(), recipe.rate_d, (0.5, 0.999), fused=fused)
        self.opt_j = torch.optim.AdamW(self._judging(), recipe.rate_judges, fused=fused)
        copied = [p for net in self.copies for p in net.parameters()]
        reading = [p for reader in self.readers for p in reader.parameters()]
        self.opt_r = torch.optim.AdamW(reading, recipe.rate_readers, fused=fused) if reading else None
        self.opt_c = torch.optim.AdamW(copied, recipe.rate_copies, fused=fused) if copied else None
        jitter = matcher_jitter(recipe.matcher_shift, recipe.matcher_smallest, recipe.matcher_light)
        self.jitter = jitter if recipe.matcher_shift else None
        self.weights = {"gender": recipe.w_gender, "race": recipe.w_race, losses.YEARS: recipe.w_years}
        self.step = 0

    def generator_step(self, work: Work) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Update G once; return the changed faces, detached, the labels given to G, and the parts of its loss."""
        r, x, targets = self.recipe, work.faces, work.targets
        wanted, within = encode(targets), work.own.get(OUTLINE)
        with self.accelerator.autocast():
            y = self.g(x, wanted, within)
            realness, logits = self.d(y, wanted)
            parts = {
                "source": losses.adversarial(realness),
                "attribute": losses.attributes(logits, targets, self.weights),
            }
            if self.judges:
                views = [self._judged(judge, self._augmented(y), targets) for judge in self.teachers(work)]
                parts["judges"] = torch.stack(views).mean()
            if r.matched:
                parts["identity"], parts["alike"] = matched(x, y, self.matchers, self.jitter)
            descriptors = described(self.matchers, y) if self.readers else []
            if self.readers:
                parts["told"] = told(self.readers, descriptors)
            parts["kept"] = losses.kept(x, y, work.kept, work.kept_count)
            parts["roughness"] = common.roughness(x, y)
            parts["colour"] = losses.colour(x, y)
            if r.w_cycle and self.step % r.cycle_every == 0:
                parts["cycle"] = losses.cycle(x, self.g(y, encode(work.own), within))
            if r.w_mirror and self.step % r.mirror_every == r.mirror_every - 1:
                turned = None if within is None else within.flip(3)
                parts["mirror"] = losses.mirror(y, self.g(x.flip(3), wanted, turned))
        total = sum((getattr(r, f"w_{name}") * value for name, value in parts.items()), torch.zeros(()).to(x.device))
        descend(self.accelerator, self.opt_g, total, self.g.parameters())
        self.average.update(self.g)
        for reader, latest in zip(self.readers, descriptors, strict=True):
            reader.remember(latest.detach(), work.own[READ])
        return y.detach(), wanted, {name: value.detach() for name, value in parts.items()}

    def teachers(self, work: Work) -> list[nn.Module]:
        """Return the teachers of G at this step: judges of all rounds; trained classifiers and copies in turn."""
        every = self.recipe.fixed_every
        judges = [*(self.judges[i] for i in work.judges), *(self.pool[i] for i in work.pool)]
        return judges + (self.fixed if every and self.step % every == 0 else self.copies)

    def discriminator_step(self, x: Tensor, own: Labels, y: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """Update D once: critic, gradient penalty (not at every step), attributes on real faces.

        `y` are changed faces, `wanted` (N, V) the labels given to G for them.
        """
        r = self.recipe
        given = encode(own)
        with self.accelerator.autocast():
            real, logits = self.d(x, given)
            changed, _ = self.d(y, wanted)
        parts = {"critic": losses.critic(real, changed), "d_attribute": losses.attributes(logits, own)}
        total = parts["critic"] + parts["d_attribute"]
        if (self.step // r.critic_every) % r.penalty_every == 0:
            # The double backward runs in float32 and outside any compiled graph.
            def score(mixed: Tensor, share: Tensor) -> Tensor:
                return self.d.forward(mixed, share * given + (1 - share) * wanted)[0].mean(1)

            parts["penalty"] = losses.gradient_penalty(score, x, y)
            total = total + 10 * r.penalty_every * parts["penalty"]
        descend(self.accelerator, self.opt_d, total, self.d.parameters())
        return {name: value.detach() for name, value in parts.items()}

    def judges_step(self, real: tuple[Tensor, Labels], changed: tuple[Tensor, Labels] | None) -> dict[str, Tensor]:
        """Update every judge on real and changed faces, all with their true labels; the probe on real ones alone."""
        # All judges share one augmented batch, which saves augmentation and calls.
        x, own = self._augmented(real[0]), real[1]
        views = x if changed is None else torch.cat([x, self._augmented(changed[0])])
        parts: dict[str, list[Tensor]] = {"judges_real": [], "judges_changed": []}
        with self.accelerator.autocast():
            for judge in self.judges:
                logits = judge(views)
                parts["judges_real"].append(losses.attributes({k: v[: len(x)] for k, v in logits.items()}, own))
                if changed is not None:
                    rest = {k: v[len(x) :] for k, v in logits.items()}
                    parts["judges_changed"].append(losses.attributes(rest, changed[1]))
            parts["judges_real"].append(losses.attributes(self.probe(x), own))
        total = torch.stack([value for values in parts.values() for value in values]).sum()
        descend(self.accelerator, self.opt_j, total, self._judging())
        return {name: torch.stack(values).mean().detach() for name, values in parts.items() if values}

    def copies_step(self, real: tuple[Tensor, Labels], changed: tuple[Tensor, Labels]) -> dict[str, Tensor]:
        """Update the copies of the trained classifiers on real and changed faces, all with their true labels."""
        if self.opt_c is None:
            return {}
        views = self._augmented(torch.cat([real[0], changed[0]]).float())
        own = {name: torch.cat([real[1][name], changed[1][name]]) for name in real[1]}
        with frozen_precision(self.accelerator.device):
            value = torch.stack([losses.attributes(net(views), own) for net in self.copies]).mean()
        descend(self.accelerator, self.opt_c, value, [p for net in self.copies for p in net.parameters()])
        return {"copies": value.detach()}

    def readers_step(self) -> dict[str, Tensor]:
        """Update the readers on the descriptors of the latest changed faces, with their true classes."""
        if self.opt_r is None or any(reader.classes[0] < 0 for reader in self.readers):
            return {}
        for _ in range(_READERS_UPDATES):
            value = torch.stack([reader.train().loss(_READERS_BATCH) for reader in self.readers]).mean()
            descend(self.accelerator, self.opt_r, value, [p for r in self.readers for p in r.parameters()])
        return {"readers": value.detach()}

    def nets(self) -> dict[str, nn.Module]:
        """Return all learning networks by their names in a checkpoint."""
        judges = {f"judge{i}": judge for i, judge in enumerate(self.judges)}
        copies = {f"copy{i}": net for i, net in enumerate(self.copies)}
        readers = {f"reader{i}": net for i, net in enumerate(self.readers)}
        always = {"g": self.g, "average": self.average.net, "d": self.d, "probe": self.probe}
        return {**always, **judges, **copies, **readers}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers by their names in a checkpoint."""
        some = {"copies": self.opt_c, "readers": self.opt_r}
        always = {"g": self.opt_g, "d": self.opt_d, "judges": self.opt_j}
        return {**always, **{name: optimiser for name, optimiser in some.items() if optimiser}}

    def _widths(self) -> list[int]:
        """Numbers in a descriptor of each matcher."""
        side = self.recipe.generator.size
        face = torch.zeros(1, 3, side, side, device=self.accelerator.device)
        with torch.no_grad():
            return [d.shape[1] for d in described(self.matchers, face)]

    def _judging(self) -> list[nn.Parameter]:
        return [p for judge in (*self.judges, self.probe) for p in judge.parameters()]

    def _augmented(self, x: Tensor) -> Tensor:
        return self.recipe.augment(x) if self.recipe.augment else x

    def _judged(self, judge: nn.Module, y: Tensor, targets: Labels) -> Tensor:
        if judge not in self.fixed and judge not in self.copies:
            return losses.attributes(judge(y), targets, self.weights)
        with frozen_precision(self.accelerator.device):
            return losses.attributes(judge(y.float()), targets, self.weights)
