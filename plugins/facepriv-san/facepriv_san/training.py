"""Training of one network: judges learn, the network reconstructs faces, then judges and matcher teach it.

Noise fools fixed judges, but no other classifiers. These judges keep learning on the network's output with the true
labels. The network must therefore make meaningful changes, and these transfer to unseen classifiers.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.contracts import STANDARD, Frame
from facepriv.errors import DataError
from facepriv.schema import ADULT, GENDER
from facepriv.training.augment import luminance, matcher_jitter
from facepriv.training.average import MovingAverage
from facepriv.training.faces import Faces
from facepriv.training.judges import JUDGES, Judge, JudgeShape
from facepriv.training.loop import Loop, load_checkpoint, read_checkpoint, save_checkpoint
from facepriv.training.losses import cross_entropy, faded, roughness
from facepriv.training.ordinal import YEARS
from facepriv.training.steps import descend, frozen_precision, matched, set_rates
from facepriv_san.config import PROBES, Recipe
from facepriv_san.family import Form, grey_if_published, networks, pictures, redrawn
from facepriv_san.network import San
from facepriv_san.prototypes import Prototypes, nearest

#: Labels of the training faces: the row of each, and its set of prototypes, by whether these are diverse.
_ROW, KIND = "row", "kind"
#: Faces and their labels.
Labelled = tuple[Tensor, dict[str, Tensor]]
#: Purposes of a seed; the step follows.
_WARMING, _REBUILDING, _LEARNING, _JUDGING, _RESTARTING = range(5)


def adults(faces: Faces, prototypes: Prototypes) -> Faces:
    """Return faces with the labels for training: rows, sets of prototypes; children are never drawn."""
    labels = faces.labels
    sets = prototypes.sets(diverse=True)
    kinds = [
        nearest(part.permute(0, 2, 3, 1).contiguous().cpu().numpy().astype(np.float32) / 255, own.cpu().numpy(), sets)
        for part, own in zip(faces.crops.split(512), labels[GENDER.name].split(512), strict=True)
    ]
    extra = {
        _ROW: torch.arange(len(faces)).to(faces.weights.device),
        KIND: torch.from_numpy(np.concatenate(kinds)).to(faces.weights.device),
    }
    drawn = ~(labels[YEARS] < ADULT) & (labels[GENDER.name] >= 0)
    return replace(faces, labels={**labels, **extra}, weights=faces.weights * drawn)


def standard(x: Tensor, form: Form) -> Tensor:
    """Cut the standard frame, which judges and matchers expect, out of crops (N, 3, S, S) of the form's frame.

    Other frames come at half the size: drawings have no finer detail.
    """
    if form.frame == STANDARD:
        return x
    size = x.shape[-1]
    left, top = (round(size * part) for part in _corner(form.frame))
    side = round(size * STANDARD.side / form.side)
    part = x[..., max(top, 0) : top + side, max(left, 0) : left + side]
    half = (size // 2, size // 2)
    return F.interpolate(part, half, mode="bilinear", antialias=True, align_corners=False)


def _corner(frame: Frame) -> tuple[float, float]:
    """Return left and top of the standard frame in another, as fractions of that one's side."""
    middle = (frame.side - STANDARD.side) / 2
    return middle / frame.side, (middle + STANDARD.centre - frame.centre) / frame.side


class Trainer:
    """The training of one network.

    Parameters
    ----------
    recipe : Recipe
    faces : Faces
        The result of `adults`.
    prototypes : Prototypes
    matcher, fixed : Module
        Crops to descriptors, and crops to logits by attribute; both stay fixed.
    accelerator : Accelerator
    before : sequence of (San, bool)
        The networks before this one, and whether each uses diverse prototypes. Their output is this one's input.
    """

    def __init__(
        self,
        recipe: Recipe,
        faces: Faces,
        prototypes: Prototypes,
        matcher: nn.Module,
        fixed: nn.Module,
        accelerator: Accelerator,
        before: Sequence[tuple[San, bool]] = (),
    ) -> None:
        self.recipe, self.faces, self.accelerator = recipe, faces, accelerator
        self.form = recipe.form()
        device = accelerator.device
        torch.manual_seed(recipe.seed)

        def built(net: nn.Module) -> nn.Module:
            return net.to(device, memory_format=torch.channels_last)

        def judge(shape: JudgeShape) -> nn.Module:
            return built(Judge(shape, {GENDER.name: GENDER}, ordered=False))

        self.matcher, self.fixed = (built(net).eval().requires_grad_(False) for net in (matcher, fixed))
        self.before = [(net.to(device).eval(), diverse) for net, diverse in before]
        self.net = built(San())
        self.judges = {k: judge(JUDGES[k]) for k in recipe.judges}
        # A copy of the trained classifier that keeps learning: even a strong judge can be fooled if it is fixed.
        self.copy = copy.deepcopy(self.fixed).requires_grad_(True)
        self.probes = [judge(shape) for shape in PROBES]
        self.pictures = {flag: pictures(prototypes.sets(diverse=flag), self.form).to(device) for flag in (True, False)}
        self.known = {k: self._known(k) for k in recipe.judges}
        self.average = MovingAverage(self.net, recipe.ema)
        self.opt = torch.optim.Adam(self.net.parameters(), recipe.rate_rebuild, (0.5, 0.999))
        self.opt_j, self.opt_c = self._judges_optimisers()
        self.jitter = matcher_jitter(recipe.matcher_shift, recipe.matcher_smallest, recipe.matcher_light)
        self.warmed = self.rebuilt = self.step = self.restarts = 0

    def draw(self, count: int) -> Labelled:
        """Return `count` random faces, grey if the network's faces are, and their labels."""
        x, own = self.faces.draw(count)
        return grey_if_published(x, self.form), own

    def warm_up(self) -> dict[str, Tensor]:
        """Train judges and probes on real faces."""
        self._seed(_WARMING, self.warmed)
        x, own = self.draw(self.recipe.warm_batch)
        self.warmed += 1
        x = self.recipe.augment(standard(x, self.form))
        with self.accelerator.autocast():
            values = [self._verdict(judge, x, self._labels(k, own)) for k, judge in self.judges.items()]
            values += [self._verdict(probe, x, own[GENDER.name]) for probe in self.probes]
        descend(self.accelerator, self.opt_j, torch.stack(values).sum(), self._judging())
        return {"judges_real": torch.stack(values).mean().detach()}

    def rebuild(self) -> dict[str, Tensor]:
        """First phase: the network learns to reconstruct a face plus the difference of its prototypes."""
        r = self.recipe
        self._seed(_REBUILDING, self.rebuilt)
        self.rebuilt += 1
        x, own = self.draw(r.batch)
        gender = own[GENDER.name]
        wanted = torch.randint(0, len(GENDER.classes), gender.shape, device=gender.device)
        mine, shown = self._shown(own, wanted)
        aim = (x + r.towards / r.caricature * luminance(shown - mine)).clamp(0, 1)
        with self.accelerator.autocast():
            value = (redrawn(self.net, x, mine, shown, self.form) - aim).abs().mean()
        descend(self.accelerator, self.opt, value, self.net.parameters())
        self.average.update(self.net)
        return {"rebuilt": value.detach()}

    def learn(self) -> dict[str, Tensor]:
        """Second phase: one update of the network, then of its current judges."""
        r = self.recipe
        self._set_rates()
        if r.restart and self.step // r.restart > self.restarts:
            self._start_judges_again()
        self._seed(_LEARNING, self.step)
        x, own = self.draw(r.batch)
        gender = own[GENDER.name]
        same = torch.rand(len(x), device=x.device) < r.same
        wanted = torch.where(same, gender, 1 - gender)
        start = self.given(x, own, wanted)
        drawn = self._drawn()
        with self.accelerator.autocast():
            y = redrawn(self.net, start, *self._shown(own, wanted, diverse=r.diverse), self.form)
            before, after = standard(x, self.form), standard(y, self.form)
            small = [self._verdict(self.judges[k], r.augment(after), wanted) for k in drawn]
            half = slice(0, len(x) // 2)
            with frozen_precision(x.device):
                trained = self.fixed if self.step % 2 == 0 else self.copy
                large = self._verdict(trained, r.augment(after[half].float()), wanted[half])
            part = slice(0, r.matched)
            identity, alike = matched(before[part], after[part], [self.matcher], self.jitter)
            parts = {
                "judges": (torch.stack(small).mean() + large) / 2,
                "identity": identity,
                "alike": alike,
                "same": ((y - x).abs().mean(dim=(1, 2, 3)) * same).sum() / same.sum().clamp(min=1),
                "change": (y - x).abs().mean(),
                "faded": faded(x, y),
                "roughness": roughness(x, y),
            }
        total = torch.stack([getattr(r, f"w_{name}") * value for name, value in parts.items()]).sum()
        descend(self.accelerator, self.opt, total, self.net.parameters())
        self.average.update(self.net)
        self.step += 1
        told = {name: value.detach() for name, value in parts.items()}
        if self.step % r.judges_every:
            return told
        y, (x, real) = after.detach(), self.draw(r.batch)
        x = standard(x, self.form)
        told |= self._judges_learn((x, real), (y, own), drawn)
        return told | self._copy_learns((x[half], real[GENDER.name][half]), (y[half], gender[half]))

    def _start_judges_again(self) -> None:
        """Initialise judges and the copy again; they learn on real faces and on those that the network draws now."""
        r = self.recipe
        self.restarts += 1
        self._seed(_RESTARTING, self.restarts)
        for judge in self.judges.values():
            fresh = Judge(judge.shape, {GENDER.name: GENDER}, ordered=False)
            judge.load_state_dict(fresh.state_dict())
        self.copy.load_state_dict(self.fixed.state_dict())
        self.opt_j, self.opt_c = self._judges_optimisers()
        for _ in range(r.restart_warm):
            (x, real), (faces, own) = self.draw(r.batch), self.draw(r.batch)
            with torch.no_grad(), self.accelerator.autocast():
                wanted = 1 - own[GENDER.name]
                shown = self._shown(own, wanted, diverse=r.diverse)
                y = redrawn(self.net, self.given(faces, own, wanted), *shown, self.form).float()
            x, y = standard(x, self.form), standard(y, self.form)
            self._judges_learn((x, real), (y, own), list(self.judges))
            self._copy_learns((x, real[GENDER.name]), (y, own[GENDER.name]))

    def _judges_learn(self, faces: Labelled, changed: Labelled, drawn: Sequence[int]) -> dict[str, Tensor]:
        """Update some judges on real and changed faces, all with their true labels; and the probes."""
        r = self.recipe
        (x, real), (y, own) = faces, changed
        x = r.augment(x)
        views = torch.cat([x, r.augment(y)])
        known, found = [], []
        with self.accelerator.autocast():
            for k in drawn:
                scores = self.judges[k](views)[GENDER.name]
                known.append(cross_entropy(scores[: len(x)], self._labels(k, real)))
                found.append(cross_entropy(scores[len(x) :], self._labels(k, own)))
            probed = [self._verdict(probe, x, real[GENDER.name]) for probe in self.probes]
        taught = [p for k in drawn for p in self.judges[k].parameters()]
        taught += [p for probe in self.probes for p in probe.parameters()]
        descend(self.accelerator, self.opt_j, torch.stack([*known, *found, *probed]).sum(), taught)
        parts = {"judges_real": known, "judges_changed": found}
        return {name: torch.stack(values).mean().detach() for name, values in parts.items()}

    def _copy_learns(self, faces: tuple[Tensor, Tensor], changed: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Update the trained classifier's copy like the judges, with gender labels alone."""
        views = self.recipe.augment(torch.cat([faces[0], changed[0]]).float())
        with frozen_precision(views.device):
            value = self._verdict(self.copy, views, torch.cat([faces[1], changed[1]]))
        descend(self.accelerator, self.opt_c, value, self.copy.parameters())
        return {"copy": value.detach()}

    @torch.no_grad()
    def given(self, x: Tensor, own: dict[str, Tensor], wanted: Tensor) -> Tensor:
        """Return faces x after the networks before this one."""
        for net, diverse in self.before:
            with self.accelerator.autocast():
                x = redrawn(net, x, *self._shown(own, wanted, diverse=diverse), self.form)
        return x

    def prepare(self, loop: Loop) -> None:
        """Run the steps before the second phase, which are the same for all networks."""
        r = self.recipe
        ahead = r.warm_up + r.rebuild
        loop.run(self.warm_up, lambda: self.warmed, r.warm_up, before=ahead)
        loop.run(self.rebuild, lambda: self.rebuilt, r.rebuild, before=r.rebuild)

    @property
    def prepared(self) -> bool:
        """Whether the second phase may begin."""
        return self.warmed >= self.recipe.warm_up and self.rebuilt >= self.recipe.rebuild

    def save(self, path: Path) -> None:
        """Write all state, atomically, from the main process."""
        if self.accelerator.is_main_process:
            numbers = {"updates": self.average.updates, **{name: getattr(self, name) for name in _COUNTS}}
            save_checkpoint(path, self._nets(), self._optimisers(), numbers)

    def load(self, path: Path) -> None:
        """Resume from a checkpoint; raise `DataError` if its networks differ from the recipe's."""
        numbers = load_checkpoint(path, self._nets(), self._optimisers(), self.accelerator.device)
        self.average.updates = numbers["updates"]
        for name in _COUNTS:
            setattr(self, name, numbers.get(name, 0))

    def start_from(self, path: Path, *, network: bool = True) -> None:
        """Load judges, probes and the network, without optimisers, from another run's checkpoint."""
        nets = self._nets() if network else {n: v for n, v in self._nets().items() if n not in ("net", "average")}
        load_checkpoint(path, nets, {}, self.accelerator.device)
        self.warmed, self.rebuilt = self.recipe.warm_up, self.recipe.rebuild

    def take_network(self, path: Path) -> None:
        """Load the first network of a weights file, in place of the first phase.

        Raises
        ------
        DataError, WeightsError
            If the file cannot be read, or its network was trained in another frame.
        """
        nets, form, _ = networks(path)
        if form.frame != self.form.frame:
            raise DataError(f"{path}: trained in another frame than that of --output {self.form.output}")
        for net in (self.net, self.average.net):
            net.load_state_dict(nets[0].state_dict())
        self.rebuilt = self.recipe.rebuild

    def take_judges(self, path: Path) -> None:
        """Load judges (their gender output) and the copy of family A from the checkpoint of a run of PrivacyNet.

        Raises
        ------
        DataError
            If there is no such checkpoint, or its judges differ.
        """
        state = read_checkpoint(path, self.accelerator.device)
        try:
            nets = state["nets"]
            for k, judge in self.judges.items():
                learnt = nets[f"judge{k}"]
                judge.load_state_dict({name: learnt[name] for name in judge.state_dict()})
            self.copy.load_state_dict(nets["copy0"])
        except (KeyError, RuntimeError) as error:
            raise DataError(
                f"{path}: holds no such judges as 'facepriv train privacynet' makes, whose run --judges takes"
            ) from error

    def _nets(self) -> dict[str, nn.Module]:
        judges = {f"judge{k}": judge for k, judge in self.judges.items()}
        probes = {f"probe{i}": probe for i, probe in enumerate(self.probes)}
        return {"net": self.net, "average": self.average.net, "copy": self.copy, **judges, **probes}

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"net": self.opt, "judges": self.opt_j, "copy": self.opt_c}

    def _judges_optimisers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        judges = torch.optim.AdamW(self._judging(), self.recipe.rate_judges)
        return judges, torch.optim.AdamW(self.copy.parameters(), self.recipe.rate_copy)

    def _judging(self) -> list[nn.Parameter]:
        return [p for judge in (*self.judges.values(), *self.probes) for p in judge.parameters()]

    def _verdict(self, judge: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(judge(x)[GENDER.name], labels)

    def _shown(self, own: dict[str, Tensor], wanted: Tensor, *, diverse: bool = False) -> tuple[Tensor, Tensor]:
        """Return the prototypes of the own and of the wanted class, (N, 3, S, S) each."""
        kind = own[KIND] if diverse else torch.zeros_like(own[KIND])
        shown = self.pictures[diverse]
        return shown[kind, own[GENDER.name]], shown[kind, wanted]

    def _known(self, judge: int) -> Tensor:
        """Return which training faces a judge may learn on, (N,) bool."""
        generator = torch.Generator().manual_seed(1000 * self.recipe.seed + judge)
        return (torch.rand(len(self.faces), generator=generator) < self.recipe.share).to(self.faces.weights.device)

    def _labels(self, judge: int, own: dict[str, Tensor]) -> Tensor:
        """Return gender (N,), -1 for faces that this judge does not learn on."""
        return torch.where(self.known[judge][own[_ROW]], own[GENDER.name], -1)

    def _drawn(self) -> list[int]:
        """Return the judges of this step: the same in every process, so that gradients can be averaged."""
        rng = np.random.default_rng((self.recipe.seed, _JUDGING, self.step))
        return rng.permutation(self.recipe.judges)[: self.recipe.judges_each_step].tolist()

    def _seed(self, *parts: int) -> None:
        """Seed the next draws, so that a resumed run makes the same ones."""
        seed = np.random.SeedSequence((self.recipe.seed, *parts, self.accelerator.process_index)).generate_state(1)
        torch.manual_seed(int(seed[0]))

    def _set_rates(self) -> None:
        r = self.recipe
        rates = {self.opt: r.rate, self.opt_j: r.rate_judges, self.opt_c: r.rate_copy}
        set_rates(rates, self.step, r.steps, r.decay)


_COUNTS = ("warmed", "rebuilt", "step", "restarts")
