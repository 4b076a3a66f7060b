"""A training run on disk: its recipe, checkpoint, log, sample grids and final weights file."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from facepriv.datasets.pack import open_pack
from facepriv.errors import DataError, UsageError
from facepriv.files import atomic_write, digest
from facepriv.registry import registry
from facepriv.settings import with_numbers
from facepriv.training.faces import OUTLINE, Faces
from facepriv.training.judges import Judge
from facepriv.training.loop import CHECKPOINT, RunLog
from facepriv.training.steps import mixed_precision
from facepriv.weights import Provenance, WeightsMetadata, half, load_weights, save_weights
from facepriv_privacynet.config import FAMILY, MATCHER, Recipe, Variant
from facepriv_privacynet.opponents import fill, judge_shapes, read_opponents, save_opponents
from facepriv_privacynet.players import Execution
from facepriv_privacynet.region import outlines_of
from facepriv_privacynet.training import Trainer
from facepriv_privacynet.validation import Gain, Recognition, figures, sample_grid

#: Gains at which the trade-off curve (attribute hiding against matcher similarity) is measured.
GAINS = (0.55, 0.7, 0.85, 1.0)
_VALIDATION_FACES = 384
_SAMPLE_FACES = 10


def recipe(variant: Variant, preset: str, *, steps: int | None, batch: int | None, changes: Sequence[str]) -> Recipe:
    """Return a preset with some numbers changed (``NAME=NUMBER``); raise `UsageError` for wrong input."""
    chosen = with_numbers(variant.presets[preset], changes)
    given = {name: value for name, value in (("steps", steps), ("batch", batch)) if value}
    return replace(chosen, **given)


def in_words(found: Mapping[str, float]) -> str:
    """Return figures as a line of text."""
    return "  ".join(f"{name} {value:.3f}" for name, value in found.items())


def fill_labels(faces: Faces, estimator: nn.Module, kept: Path) -> None:
    """Fill in missing labels, and cache them in the file `kept`: estimating them takes minutes on a CPU.

    The cache is valid only for faces with the same labels; another pack has others.
    """
    of = digest(str(values.cpu().tolist()) for values in faces.labels.values())
    if kept.is_file():
        with safe_open(kept, "pt", device=str(faces.weights.device)) as file:
            if (file.metadata() or {}).get("of") == of:
                faces.labels.update({name: file.get_tensor(name) for name in faces.labels})
                return
    faces.fill_unknown(estimator)
    labels = {name: values.cpu().contiguous() for name, values in faces.labels.items()}
    atomic_write(kept, save(labels, {"of": of}))


def fill_outlines(faces: Faces, kept: Path) -> None:
    """Trace the faces' outlines (one or two minutes), and cache them in the file `kept`."""
    of = digest([str(len(faces)), *(str(values.cpu().tolist()) for values in faces.labels.values())])
    found = None
    if kept.is_file():
        with safe_open(kept, "pt") as file:
            found = file.get_tensor(OUTLINE) if (file.metadata() or {}).get("of") == of else None
    if found is None:
        found = outlines_of(faces.crops).cpu()
        atomic_write(kept, save({OUTLINE: found}, {"of": of}))
    faces.outlines = found.to(faces.crops.device)


@dataclass
class Material:
    """Data and networks shared by trainings on one pack.

    Parameters
    ----------
    training, validation : Faces
        The pack's parts, without unknown labels.
    sets : str
        Names of the data sets.
    estimator : Module
        Family A, age in ranks. It fills the labels, and measures if it is not a judge.
    grouped : Module
        The same, age in groups.
    matcher : Module or None
        MobileFaceNet: teaches if the recipe is matched, and measures.
    subjects : sequence of str
        Identities of the validation faces, "" where unknown.
    """

    training: Faces
    validation: Faces
    sets: str
    estimator: nn.Module
    grouped: nn.Module
    matcher: nn.Module | None
    subjects: Sequence[str] = ()

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
    device = accelerator.device
    opened = open_pack(pack)
    family = registry().create("estimator", FAMILY[0])
    estimator, grouped = (module.to(device) for module in (family.ranked_module(), family.joint_module()))
    matching = None if matcher is None else registry().create("matcher", MATCHER, path=matcher).torch_module()
    validation, training = (Faces.from_pack(opened, part, size, device) for part in ("validation", "train"))
    with accelerator.main_process_first():  # the others read the labels that the first has filled
        for part, faces in (("validation", validation), ("train", training)):
            fill_labels(faces, estimator, kept / f"labels-{part}.safetensors")
        if outlines:
            fill_outlines(training, kept / "outlines-train.safetensors")
    sets = ", ".join(sorted(set(opened.columns["set"])))
    subjects = opened.columns["subject"][opened.where(part="validation")].tolist()
    return Material(training, validation, sets, estimator, grouped, matching and matching.to(device), subjects)


def opened(
    pack: Path, out: Path, recipe: Recipe, matcher: Path | None, precision: str | None, threads: int | None
) -> tuple[Material, Accelerator]:
    """Create the folder `out`, and read the material for a training in it."""
    if threads:
        torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=mixed_precision(precision))
    size, outlines = recipe.generator.size, recipe.w_outside > 0
    return read_material(pack, matcher, out, accelerator, size=size, outlines=outlines), accelerator


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
        deadline = time.monotonic() + 60 * minutes if minutes else float("inf")

        def sample(trainer: Trainer) -> None:
            if trainer.step % sample_every == 0:
                log(trainer.step, self.measure())
                rows, path = self._sample_rows(), self._sample_path(trainer.step)
                sample_grid(trainer.average.net, self.material.validation, rows, path)

        with RunLog(self.out, say, active=self.accelerator.is_main_process) as log:
            self.trainer.run(self.out, deadline=deadline, log=log, sample=sample)

    def measure(self, gain: float = 1.0, estimator: nn.Module | None = None) -> dict[str, float]:
        """Measure the averaged generator, its change multiplied by `gain`, on some validation faces.

        The default `estimator` is the probe, which learns on real faces only. Without learning judges the probe is
        untrained; the default is then family A, which in that case did not teach the generator.
        """
        faces = self.material.validation
        rows = torch.linspace(0, len(faces) - 1, min(_VALIDATION_FACES, len(faces))).long()
        default = self.trainer.probe.eval() if self.recipe.judges else self.material.estimator
        generator = Gain(self.trainer.average.net, gain)
        return figures(generator, faces, rows, estimator or default, self.material.matcher)

    def curve(self) -> Iterator[str]:
        """Yield a line per gain: the gender EER of family A, one of the judges, and the matcher's figures."""
        for gain, found in self.points(GAINS, self.material.estimator):
            yield f"gain {gain:.2f}  {in_words(found)}"

    def points(
        self, gains: Sequence[float], looks: nn.Module | None = None
    ) -> Iterator[tuple[float, dict[str, float]]]:
        """Yield each gain and its figures of `measure`, with recognition figures if identities are known."""
        self._check_trained()
        recognition = self._recognition()
        for gain in gains:
            found = self.measure(gain, looks)
            if recognition:
                found |= recognition(Gain(self.trainer.average.net, gain))
            yield gain, found

    def export(self, shown: str, gain: float = 1.0) -> tuple[Path, dict[str, float]]:
        """Write the averaged generator as ``NAME.safetensors``; return its path and validation figures.

        `gain` multiplies the limit of its residual; below 1 it changes less. The file names the training command, or
        `shown` if the checkpoint has none.
        """
        self._check_trained()
        shape = self.recipe.generator
        if gain != 1 and shape.output != "residual":
            raise UsageError("--gain: only a generator that gives a residual can be scaled")
        measured = self.measure(gain)
        provenance = self._provenance((self.trainer.command or shown) + (f" --gain {gain:g}" if gain != 1 else ""))
        config = {
            "generator": asdict(replace(shape, limit=shape.limit * gain)),
            "step": self.trainer.step,
            "validation": {name: round(value, 4) for name, value in measured.items()},
        }
        path = self.out / f"{self.variant.name}.safetensors"
        tensors = half(self.trainer.average.net.state_dict())
        save_weights(path, tensors, WeightsMetadata(self.variant.architecture, provenance, config))
        return path, measured

    def save_opponents(self, shown: str) -> Path:
        """Write D, judges, copies and probe to ``NAME-opponents.safetensors`` for further training; return its path."""
        self._check_trained()
        path = self.out / f"{self.variant.opponents_architecture}.safetensors"
        save_opponents(path, self.variant, self.trainer, self._provenance(self.trainer.command or shown))
        return path

    def _provenance(self, command: str) -> Provenance:
        today = datetime.date.today().isoformat()
        return Provenance(self.trainer.trained_on, command, today, seen=self.trainer.seen)

    def _recognition(self) -> Recognition | None:
        """Return the recognition measure for identified validation faces; None if no faces can be matched."""
        named = [(row, subject) for row, subject in enumerate(self.material.subjects) if subject]
        if not named or self.material.matcher is None:
            return None
        rows, subjects = zip(*named, strict=True)
        try:
            return Recognition(self.material.validation, torch.tensor(rows), subjects, self.material.matcher)
        except DataError:
            return None

    def _check_trained(self) -> None:
        if self.trainer.step == self.trainer.began:
            raise DataError(f"{self.out / CHECKPOINT}: no trained checkpoint; train first")

    def _sample_rows(self) -> torch.Tensor:
        return torch.linspace(3, len(self.material.validation) - 4, _SAMPLE_FACES).long()

    def _sample_path(self, step: int) -> Path:
        folder = self.out / "samples"
        folder.mkdir(exist_ok=True)
        return folder / f"{step:06d}.png"
