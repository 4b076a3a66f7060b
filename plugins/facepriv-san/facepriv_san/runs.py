"""A training on disk: the common initial state, one checkpoint for each network, the log, the weights file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from facepriv.errors import DataError
from facepriv.metrics.attributes import binary_eer
from facepriv.schema import GENDER
from facepriv.training import run
from facepriv.training.loop import CHECKPOINT, Loop, RunLog, deadline_in, read_checkpoint
from facepriv.training.records import FAMILY, MATCHER, curve_lines, made_today, rounded
from facepriv.training.steps import agreed
from facepriv.training.validation import batched, evenly, similarity
from facepriv_san import family
from facepriv_san.config import Recipe, member
from facepriv_san.family import Form, averaged, grey_if_published, in_sequence
from facepriv_san.network import San
from facepriv_san.prototypes import Prototypes
from facepriv_san.prototypes import load as load_prototypes
from facepriv_san.training import KIND, Trainer, adults, standard

#: How a method combines its networks.
COMPOSED = {"san": in_sequence, "ensemble-san": averaged, "flow-san": in_sequence}
#: Gains at which the trade-off curve (gender hiding against matcher similarity) is measured.
GAINS = (0.6, 0.8, 1.0, 1.2)
_BASE = "base.pt"
_VALIDATION_FACES = 320


@dataclass
class Material(run.Material):
    """Data and networks shared by trainings on one pack; its faces are those of `facepriv_san.training.adults`.

    Parameters
    ----------
    prototypes : Prototypes
    """

    prototypes: Prototypes = field(kw_only=True)


def read_material(pack: Path, matcher: Path, prototypes: Path, form: Form, accelerator: Accelerator) -> Material:
    """Read a pack of the form's frame and the networks.

    Raises
    ------
    DataError, WeightsError, PluginError
        If the pack, a file or family A cannot be read.
    """
    averages = load_prototypes(prototypes)
    material = run.read_material(pack, matcher, accelerator, size=form.size, frame=form.frame)
    parts = {name: adults(getattr(material, name), averages) for name in ("training", "validation")}
    return Material(**{**vars(material), **parts}, prototypes=averages)


class Run:
    """The training of one method's networks in the folder `out`.

    Parameters
    ----------
    method : str
        ``san``, ``ensemble-san`` or ``flow-san``.
    out : Path
    recipe : Recipe
    material : Material
    accelerator : Accelerator
    members : int
        Number of networks.
    start : Path or None
        Folder of a run of ``san``: its initial state is reused, and for ``flow-san`` its network is the first.
    judges : Path or None
        Folder of a run of PrivacyNet, whose long-trained judges are the initial ones.
    network : Path or None
        A weights file, whose first network is the initial one, in place of the first phase.
    """

    def __init__(
        self,
        method: str,
        out: Path,
        recipe: Recipe,
        material: Material,
        accelerator: Accelerator,
        *,
        members: int = 1,
        start: Path | None = None,
        judges: Path | None = None,
        network: Path | None = None,
    ) -> None:
        self.method, self.out, self.recipe, self.members = method, out, recipe, members
        self.judges, self.network = judges, network
        self.material, self.accelerator = material, accelerator
        out.mkdir(parents=True, exist_ok=True)
        if start:
            self._take_over(start)

    def train(self, minutes: float | None, say: Callable[[str], None]) -> None:
        """Start or resume training of all networks for at most `minutes`."""
        deadline = deadline_in(minutes)
        with RunLog(self.out, say, active=self.accelerator.is_main_process) as log:

            def loop(trainer: Trainer, place: Path) -> Loop:
                return Loop(log, lambda: trainer.save(place), deadline, agreed=partial(agreed, self.accelerator))

            base, place = self._trainer(self.recipe), self.out / _BASE
            if place.is_file():
                base.load(place)
            else:
                if self.judges:
                    base.take_judges(self.judges / CHECKPOINT)
                if self.network:
                    base.take_network(self.network)
            if not base.prepared:
                base.prepare(loop(base, place))
                self._saved(base, place)
            for number in range(self.members):
                if not base.prepared or agreed(self.accelerator, time.monotonic() >= deadline):
                    return
                trainer, place = self._begun(number), self._checkpoint(number)
                before = -number * self.recipe.steps
                loop(trainer, place).run(trainer.learn, lambda t=trainer: t.step, self.recipe.steps, before=before)  # type: ignore[misc]
                self._saved(trainer, place)
                log(trainer.step - before, self.measure(self.nets(number + 1), probes=trainer.probes))

    def nets(self, count: int | None = None) -> list[San]:
        """Return the averages of the first `count` networks, or of all; raise `DataError` if one is missing."""
        found = []
        for number in range(self.members if count is None else count):
            place = self._checkpoint(number)
            if not place.is_file():
                raise DataError(f"{place}: no trained checkpoint; train first")
            net = San()
            state = read_checkpoint(place, self.accelerator.device)
            net.load_state_dict(state["nets"]["average"])
            found.append(net.to(self.accelerator.device).eval().requires_grad_(False))
        return found

    def curve(self) -> Iterator[str]:
        """Return a line per gain: the gender EER of family A, one of the judges, and the matcher's figures."""
        nets = self.nets()
        return curve_lines((gain, self.measure(nets, gain=gain)) for gain in GAINS)

    def export(self, shown: str, gain: float = 1.0) -> tuple[Path, dict[str, float]]:
        """Write the networks as the method's weights file; return its path and validation figures."""
        nets = self.nets()
        figures = self.measure(nets, gain=gain)
        trained_on = f"training part of {self.material.sets}, faces of 15 years and over"
        provenance = made_today(trained_on, shown, seen=(MATCHER, *FAMILY), gain=gain)
        extra = {"prototypes": self.material.prototypes.sha256, "validation": rounded(figures)}
        path = self.out / f"{self.method.replace('-', '_')}.safetensors"
        tensors = family.small(nn.ModuleList(nets).state_dict())
        family.save(path, tensors, self._diverse(len(nets)), self.recipe.form(gain), provenance, extra)
        return path, figures

    @torch.inference_mode()
    def measure(self, nets: list[San], *, gain: float = 1.0, probes: list[nn.Module] | None = None) -> dict[str, float]:
        """Measure networks together on some validation faces, with the other gender's prototype shown.

        Returns
        -------
        dict
            ``eer_a`` family A's gender EER; ``eer_probes`` that of the probes, if given; ``cosine`` of a matcher's
            descriptors of face and changed face; ``alike``, the mean rise of the cosine between different faces;
            ``change``, mean absolute; ``cosine_same``, of faces shown their own prototype.
        """
        rows = self.material.validation.weights.nonzero().flatten()
        rows = rows[evenly(len(rows), _VALIDATION_FACES).to(rows.device)]
        own = {name: values[rows] for name, values in self.material.validation.labels.items()}
        gender = own[GENDER.name]
        form = self.recipe.form()
        x = grey_if_published(self.material.validation.crops[rows].float().div(255), form)
        y, z = (self._composed(nets, x, own, wanted, gain) for wanted in (1 - gender, gender))
        female = gender.cpu().numpy() == GENDER.index("female")

        def eer(judge: nn.Module) -> float:
            scores = batched(lambda part: judge(standard(part, form))[GENDER.name].float().softmax(1)[:, 1], y)
            return binary_eer(scores.cpu().numpy(), female).item()

        matcher = self.material.matcher
        before, after, kept = (batched(lambda part: matcher(standard(part, form)), each) for each in (x, y, z))
        probed = {"eer_probes": float(np.mean([eer(probe) for probe in probes]))} if probes else {}
        return {
            "eer_a": eer(self.material.estimator),
            **probed,
            **similarity(before, after),
            "change": float((y - x).abs().mean()),
            "cosine_same": similarity(before, kept)["cosine"],
        }

    def _composed(self, nets: list[San], x: Tensor, own: dict[str, Tensor], wanted: Tensor, gain: float) -> Tensor:
        form = self.recipe.form(gain)
        pairs = []
        for diverse in self._diverse(len(nets)):
            shown = family.pictures(self.material.prototypes.sets(diverse=diverse), form).to(x.device)
            kind = own[KIND] if diverse else torch.zeros_like(own[KIND])
            pairs.append((shown[kind, own[GENDER.name]], shown[kind, wanted]))
        flat = [image for pair in pairs for image in pair]

        def some(part: Tensor, *shown: Tensor) -> Tensor:
            return COMPOSED[self.method](nets, part, list(zip(shown[::2], shown[1::2], strict=True)), form)

        return batched(some, x, *flat)

    def _diverse(self, count: int) -> list[bool]:
        return [member(self.recipe, self.method, number, self.members).diverse for number in range(count)]

    def _checkpoint(self, number: int) -> Path:
        return self.out / f"{number + 1}.pt"

    def _trainer(self, recipe: Recipe, before: list[tuple[San, bool]] | None = None) -> Trainer:
        m = self.material
        return Trainer(recipe, m.training, m.prototypes, m.matcher, m.estimator, self.accelerator, before or [])

    def _begun(self, number: int) -> Trainer:
        """Return the trainer of one network, resumed from its checkpoint if there is one."""
        recipe = member(self.recipe, self.method, number, self.members)
        flows = self.method == "flow-san" and number > 0
        before = list(zip(self.nets(number), self._diverse(number), strict=True)) if flows else []
        trainer = self._trainer(recipe, before)
        if self._checkpoint(number).is_file():
            trainer.load(self._checkpoint(number))
            return trainer
        trainer.start_from(self.out / _BASE)
        if flows:
            # These judges have learnt on the networks before; fooling them takes other changes.
            trainer.start_from(self._checkpoint(number - 1), network=False)
        return trainer

    def _saved(self, trainer: Trainer, place: Path) -> None:
        """Save, and wait until every process can read it."""
        trainer.save(place)
        self.accelerator.wait_for_everyone()

    def _take_over(self, start: Path) -> None:
        taken = [_BASE, "1.pt"] if self.method == "flow-san" else [_BASE]
        for name in taken:
            if not (start / name).is_file():
                raise DataError(f"{start / name}: missing; --start takes the folder of a finished 'facepriv train san'")
            if self.accelerator.is_main_process and not (self.out / name).is_file():
                shutil.copyfile(start / name, self.out / name)
        self.accelerator.wait_for_everyone()
