"""A training run on disk: its recipe, checkpoint, log, sample grids and final weights file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from facepriv.errors import DataError, UsageError
from facepriv.files import digest
from facepriv.registry import registry
from facepriv.training import run
from facepriv.training.faces import OUTLINE, Faces
from facepriv.training.judges import Judge
from facepriv.training.loop import CHECKPOINT, RunLog, deadline_in
from facepriv.training.records import FAMILY, curve_lines, made_today, rounded
from facepriv.training.validation import evenly
from facepriv.weights import Provenance, WeightsMetadata, half, load_weights, save_weights
from facepriv_privacynet.config import Recipe, Variant
from facepriv_privacynet.opponents import fill, judge_shapes, read_opponents, save_opponents
from facepriv_privacynet.players import Execution
from facepriv_privacynet.region import DRAWING, outlines_of
from facepriv_privacynet.training import Trainer
from facepriv_privacynet.validation import Gain, Recognition, figures, sample_grid

#: Gains at which the trade-off curve (attribute hiding against matcher similarity) is measured.
GAINS = (0.55, 0.7, 0.85, 1.0)
_VALIDATION_FACES = 384
_SAMPLE_FACES = 10


@dataclass
class Material(run.Material):
    """Data and networks shared by trainings on one pack, without unknown labels.

    Parameters
    ----------
    grouped : Module
        The estimator with age in groups.
    """

    grouped: nn.Module = field(kw_only=True)

    def classifiers(self, recipe: Recipe) -> list[nn.Module]:
        """Return the trained classifiers used as judges, with age in the recipe's form."""
        return [self.estimator if recipe.ordered else self.grouped]


def read_material(
    pack: Path, matcher: Path | None, kept: Path, accelerator: Accelerator, *, size: int, outlines: bool = False
) -> Material:
    """Read a pack and the networks; cache filled labels and, if wanted, `outlines` in the folder `kept`.

    Raises
    ------
    DataError, WeightsError, PluginError
        If the pack, the matcher's file or family A cannot be read.
    """
    material = run.read_material(pack, matcher, accelerator, size=size, labels=kept)
    if outlines:
        with accelerator.main_process_first():  # the others read what the first has traced
            for part, faces in (("train", material.training), ("validation", material.validation)):
                fill_outlines(faces, kept / f"outlines-{part}.safetensors")
    grouped = registry().create("estimator", FAMILY[0]).joint_module().to(accelerator.device)
    return Material(**vars(material), grouped=grouped)


def fill_outlines(faces: Faces, kept: Path) -> None:
    """Trace the faces' outlines (one or two minutes), and cache them in the file `kept`."""
    of = digest([DRAWING, str(len(faces)), *(str(values.cpu().tolist()) for values in faces.labels.values())])
    found = run.cached_tensors(kept, of, lambda: {OUTLINE: outlines_of(faces.crops)})
    faces.outlines = found[OUTLINE].to(faces.crops.device)


def opened(
    pack: Path, out: Path, recipe: Recipe, matcher: Path | None, precision: str | None, threads: int | None
) -> tuple[Material, Accelerator]:
    """Create the folder `out`, and read the material for a training in it."""
    accelerator = run.begin(out, precision, threads)
    shape = recipe.generator
    outlines = shape.region == "outline"
    return read_material(pack, matcher, out, accelerator, size=shape.size, outlines=outlines), accelerator


def recognition_of(material: Material, matcher: nn.Module | None) -> Recognition | None:
    """Return the recognition measure for the identified validation faces; None if no faces can be matched."""
    named = [(row, subject) for row, subject in enumerate(material.subjects) if subject]
    if not named or matcher is None:
        return None
    rows, subjects = zip(*named, strict=True)
    try:
        return Recognition(material.validation, torch.tensor(rows), subjects, matcher)
    except DataError:
        return None


class Run:
    """The training of one method in the folder `out`, resumed from a checkpoint if there is one.

    Otherwise it starts from `start`: a weights file for the generator, or the folder of another run of this family,
    with all its networks and at its step.

    Parameters
    ----------
    pool : sequence of Judge
        Judges of earlier rounds, which also teach.
    opponents : Path or None
        A file of initial D, judges, copies and probe, see `facepriv_privacynet.opponents`. Its judges replace those of
        the recipe.
    restart : bool
        Load only the probe from it; initialise the others again.
    """

    def __init__(
        self,
        variant: Variant,
        out: Path,
        recipe: Recipe,
        material: Material,
        accelerator: Accelerator,
        start: Path | None = None,
        *,
        pool: Sequence[Judge] = (),
        opponents: Path | None = None,
        restart: bool = False,
    ) -> None:
        if recipe.matched and material.matcher is None:
            raise UsageError(f"--matcher: {variant.name} learns against a matcher; give MobileFaceNet's ONNX file")
        given = read_opponents(opponents, variant) if opponents else None
        if given and not restart:
            recipe = replace(recipe, judges=judge_shapes(given))
        self.variant, self.out, self.recipe = variant, out, recipe
        self.material, self.accelerator = material, accelerator
        on_gpu = accelerator.device.type == "cuda"
        if on_gpu:
            torch.set_float32_matmul_precision("high")  # TF32 where bf16 is not used
            torch.backends.cudnn.benchmark = True
        self.trainer = Trainer(
            recipe,
            material.training,
            [material.matcher] if material.matcher else [],
            accelerator,
            material.classifiers(recipe),
            pool=pool,
            execution=Execution(backend="inductor" if on_gpu else None),
        )
        #: What is measured and exported: the moving average of G.
        self.released: nn.Module = self.trainer.average.net
        self._averaged: list[tuple[str, Provenance]] = []
        own = f"training part of {material.sets}; missing labels by family A"
        self.trainer.trained_on = own
        if (out / CHECKPOINT).is_file():
            self.trainer.load(out / CHECKPOINT)
            return
        if start:
            before = self._begin_with(start)
            self.trainer.start, self.trainer.began = start.resolve().name, self.trainer.step
            self.trainer.trained_on = own if before in ("", own) else f"{own}; begun with networks of: {before}"
        if given:
            try:
                fill(self.trainer, given, ("probe",) if restart else None)
            except DataError as error:
                raise DataError(f"{opponents}: {error}") from error
            self.trainer.saw(given.metadata.provenance.seen)

    def _begin_with(self, start: Path) -> str:
        """Load the networks of a weights file or of another run; return what they were trained on."""
        trainer = self.trainer
        if not start.is_dir():
            weights = load_weights(start, framework="torch", architecture=self.variant.architecture)
            try:
                trainer.start_from(weights.tensors)
            except DataError as error:
                raise DataError(f"{start}: {error}") from error
            trainer.saw(weights.metadata.provenance.seen)
            return weights.metadata.provenance.trained_on
        trainer.trained_on = ""
        trainer.load(start / CHECKPOINT)
        if trainer.step >= self.recipe.steps:
            raise UsageError(f"--steps: {start} stands at step {trainer.step}; ask for more than that")
        trainer.command = ""
        return trainer.trained_on

    def train(
        self, minutes: float | None, say: Callable[[str], None], sample_every: int = 400, *, shown: str = ""
    ) -> None:
        """Start or resume training for at most `minutes`; log to ``log.jsonl`` and TensorBoard's files.

        `shown` is the command. The weights file lists it after the commands of earlier steps.
        """
        if self.trainer.step < self.recipe.steps:
            self.trainer.commanded(shown)
        deadline = deadline_in(minutes)

        def sample(trainer: Trainer) -> None:
            if trainer.step % sample_every == 0:
                log(trainer.step, self.measure())
                rows = torch.linspace(3, len(self.material.validation) - 4, _SAMPLE_FACES).long()
                path = self.out / "samples" / f"{trainer.step:06d}.png"
                path.parent.mkdir(exist_ok=True)
                sample_grid(trainer.average.net, self.material.validation, rows, path)

        with RunLog(self.out, say, active=self.accelerator.is_main_process) as log:
            self.trainer.run(self.out, deadline=deadline, log=log, sample=sample)

    def average_with(self, mix: Sequence[tuple[Path, float]]) -> None:
        """Release the average of the trained generator's weights and those of files, each with its share.

        Weights of several trainings that began with the same ones can be averaged (Wortsman et al., "Model soups", ICML
        2022). The run's own have the share that the others leave.

        Raises
        ------
        UsageError
            If the shares leave nothing.
        DataError, WeightsError
            If a file belongs to a generator of another shape, or cannot be read.
        """
        rest = 1 - sum(share for _, share in mix)
        if rest <= 0:
            raise UsageError(f"--mix: the shares add up to {1 - rest:g}; leave some for the run's own weights")
        state = {name: rest * value.float() for name, value in self.released.state_dict().items()}
        for path, share in mix:
            weights = load_weights(path, framework="torch", architecture=self.variant.architecture)
            if {name: value.shape for name, value in weights.tensors.items()} != {n: v.shape for n, v in state.items()}:
                raise DataError(f"{path}: these weights belong to a generator of another shape than the run's")
            for name, value in state.items():
                value.add_(weights.tensors[name].to(value), alpha=share)
            self._averaged.append((f"{path.name}, share {share:g}", weights.metadata.provenance))
        self.released = copy.deepcopy(self.released)  # training goes on with the run's own
        self.released.load_state_dict(state)

    def measure(self, gain: float = 1.0, estimator: nn.Module | None = None) -> dict[str, float]:
        """Measure the released generator, its change multiplied by `gain`, on some validation faces.

        The default `estimator` is the probe, which learns on real faces only. Without learning judges the probe is
        untrained; the default is then family A, which in that case did not teach the generator.
        """
        faces = self.material.validation
        rows = evenly(len(faces), _VALIDATION_FACES)
        default = self.trainer.probe.eval() if self.recipe.judges else self.material.estimator
        generator = Gain(self.released, gain)
        return figures(generator, faces, rows, estimator or default, self.material.matcher)

    def curve(self) -> Iterator[str]:
        """Yield a line per gain: the gender EER of family A, one of the judges, and the matcher's figures."""
        return curve_lines(self.points(GAINS, self.material.estimator))

    def points(
        self, gains: Sequence[float], looks: nn.Module | None = None
    ) -> Iterator[tuple[float, dict[str, float]]]:
        """Yield each gain and its figures of `measure`, with recognition figures if identities are known."""
        self._check_trained()
        recognition = recognition_of(self.material, self.material.matcher)
        for gain in gains:
            found = self.measure(gain, looks)
            if recognition:
                found |= recognition(Gain(self.released, gain))
            yield gain, found

    def export(self, shown: str, gain: float = 1.0) -> tuple[Path, dict[str, float]]:
        """Write the released generator as ``NAME.safetensors``; return its path and validation figures.

        `gain` multiplies the limit of its residual; below 1 it changes less. The file names the training command, or
        `shown` if the checkpoint has none.
        """
        self._check_trained()
        shape = self.recipe.generator
        if gain != 1 and shape.output != "residual":
            raise UsageError("--gain: only a generator that gives a residual can be scaled")
        measured = self.measure(gain)
        config = {
            "generator": asdict(replace(shape, limit=round(shape.limit * gain, 6))),
            "step": self.trainer.step,
            "validation": rounded(measured),
        }
        path = self.out / f"{self.variant.name}.safetensors"
        tensors = half(self.released.state_dict())
        save_weights(path, tensors, WeightsMetadata(self.variant.architecture, self._provenance(shown, gain), config))
        return path, measured

    def save_opponents(self, shown: str) -> Path:
        """Write D, judges, copies and probe to ``NAME-opponents.safetensors`` for further training; return its path."""
        self._check_trained()
        path = self.out / f"{self.variant.opponents_architecture}.safetensors"
        save_opponents(path, self.variant, self.trainer, self._provenance(shown))
        return path

    def _provenance(self, shown: str, gain: float = 1.0) -> Provenance:
        trainer = self.trainer
        trained_on, command, seen = trainer.trained_on, trainer.command or shown, list(trainer.seen)
        for named, other in self._averaged:
            command += f"; averaged with {named}"
            seen += [name for name in other.seen if name not in seen]
            if other.trained_on not in trained_on:
                trained_on += f"; averaged with networks of: {other.trained_on}"
        return made_today(trained_on, command, seen=tuple(seen), gain=gain)

    def _check_trained(self) -> None:
        if self.trainer.step == self.trainer.began:
            raise DataError(f"{self.out / CHECKPOINT}: no trained checkpoint; train first")
