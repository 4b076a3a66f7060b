"""Hidden gender against recognition, of several weights files on validation faces, by models outside of the training.

Gender is flipped. Three judges learn here, on real training faces only: no generator learns against them. The matcher
is EdgeFace (George et al., TBIOM 2024), which teaches no generator either. Needs timm, torchvision, and EdgeFace's
weights for timm's ``edgenext_xx_small``. Choose checkpoints and gains by this, never by test sets.

    python plugins/facepriv-privacynet/benchmarks/privacynet_curve.py PACK -o OUT --edgeface FILE --weights WEIGHTS

`--weights` and `--gain` may be given several times. OUT keeps judges, labels and outlines for further calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import torch
from accelerate import Accelerator
from facepriv_estimators.torch_models import ArcFaceWindow
from facepriv_privacynet.config import OURS, PRIVACYNET
from facepriv_privacynet.method import load_generator
from facepriv_privacynet.networks import Generator
from facepriv_privacynet.runs import Material, opened, recognition_of
from facepriv_privacynet.training import Trainer
from facepriv_privacynet.validation import Gain, changed, flipped
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from facepriv.cli.console import progress, table
from facepriv.errors import UsageError
from facepriv.files import digest
from facepriv.metrics.attributes import binary_eer
from facepriv.schema import GENDER
from facepriv.training.judges import Judge, JudgeShape
from facepriv.training.run import cached_tensors
from facepriv.training.validation import batched

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from shared import Benchmark, json_option, write_json

#: The judges: a colour one of the whole crop, a wide one of the face, and a grey one.
SHAPES = (
    JudgeShape(112, base=24, window=1.0, residual=True),
    JudgeShape(80, base=32, window=0.75, residual=True),
    JudgeShape(64, base=32, grey=True, window=0.9),
)


class EdgeFace(nn.Module):
    """EdgeFace-XXS: crops (N, 3, S, S) in [0, 1] to unit descriptors (N, 512)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise UsageError(f"--edgeface: its network is timm's: pip install timm torchvision ({error})") from error
        self.net = timm.create_model("edgenext_xx_small", num_classes=512)
        self.net.load_state_dict(load_file(path))
        self.window = ArcFaceWindow()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 512)."""
        return F.normalize(self.net((self.window(x) - 0.5) / 0.5), dim=1)


@click.command(cls=Benchmark, help=__doc__)
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for what is kept.")
@click.option("--edgeface", type=click.Path(exists=True, path_type=Path), help="EdgeFace's weights. [default: no TMR]")
@click.option("--weights", "files", type=click.Path(path_type=Path), multiple=True, required=True)
@click.option("--gain", "gains", type=click.FloatRange(0), multiple=True, default=(0.8, 1.0), show_default=True)
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Steps of the judges.")
@click.option("--threads", type=click.IntRange(1))
@json_option
def main(
    pack: Path,
    out: Path,
    edgeface: Path | None,
    files: tuple[Path, ...],
    gains: tuple[float, ...],
    steps: int,
    threads: int | None,
    json_path: Path | None,
) -> None:
    generators = {str(path): load_generator(path, "cpu", PRIVACYNET.architecture)[0] for path in files}
    matcher = EdgeFace(edgeface).eval().requires_grad_(False) if edgeface else None
    material, accelerator = opened(pack, out, OURS, None, None, threads)
    judges = learnt_judges(material, accelerator, out / "judges.safetensors", steps)
    rows = list(points(material, judges, matcher, generators, gains))
    columns = [name for name in rows[0] if name not in ("weights", "gain")]
    table(
        ("weights", "gain", *columns),
        [(str(row["weights"]), f"{row['gain']:g}", *(f"{row[name]:.4f}" for name in columns)) for row in rows],
    )
    if json_path:
        write_json(json_path, rows)


def learnt_judges(material: Material, accelerator: Accelerator, path: Path, steps: int) -> list[Judge]:
    """Return judges that learnt on real faces alone, as those of a training do before G starts; kept in `path`."""
    faces = material.training
    # A trainer also has a generator and a critic, which are not needed here: small ones.
    generator = replace(OURS.generator, size=faces.crops.shape[-1], base=8, blocks=1)
    small = replace(OURS.unmatched(), generator=generator, critic_widest=8, scales=False)
    recipe = replace(small, judges=SHAPES, copies=False, fixed_every=0, seed=7)
    trainer = Trainer(recipe, faces, [], accelerator)

    def learnt() -> Mapping[str, Tensor]:
        with progress(steps, "steps") as bar:
            for _ in range(steps):
                trainer.warm_up()
                bar.advance()
        return {f"{n}/{key}": v for n, judge in enumerate(trainer.judges) for key, v in judge.state_dict().items()}

    labels = (str(values.cpu().tolist()) for values in faces.labels.values())
    kept = cached_tensors(path, digest([repr(recipe), str(steps), *labels]), learnt)
    for n, judge in enumerate(trainer.judges):
        own = {key.split("/", 1)[1]: value for key, value in kept.items() if key.startswith(f"{n}/")}
        judge.load_state_dict(own)
    return [judge.eval().requires_grad_(False) for judge in trainer.judges]


def points(
    material: Material,
    judges: Sequence[nn.Module],
    matcher: nn.Module | None,
    generators: dict[str, Generator],
    gains: Sequence[float],
) -> Iterator[dict[str, float | str]]:
    """Yield, per weights file and gain, every judge's gender EER, their mean, EdgeFace's TMR, and the mean change."""
    faces, outlines = material.validation, material.validation.outlines
    rows = torch.arange(len(faces))
    own = {name: values.cpu() for name, values in faces.labels.items()}
    x, female = faces.crops.float().div(255), (own[GENDER.name] == 1).numpy()
    recognition = recognition_of(material, matcher)
    first = next(iter(generators.values()))
    for path, generator, gain in [
        ("originals", first, 0.0),
        *((p, g, n) for p, g in generators.items() for n in gains),
    ]:
        # Weights without an outline may change the whole crop.
        faces.outlines = outlines if generator.shape.region == "outline" else None
        scaled = Gain(generator, gain)
        images = changed(scaled, faces, rows, flipped(own, (GENDER.name,)))
        eers = {}
        for shape, judge in zip(SHAPES, judges, strict=True):
            scores = batched(lambda part, judge=judge: judge(part)[GENDER.name].float(), images).numpy()
            eers[f"eer, {shape.size} px"] = binary_eer(scores[:, 1] - scores[:, 0], female).item()
        found: dict[str, float | str] = {"weights": path, "gain": gain, **eers, "eer": sum(eers.values()) / len(eers)}
        if recognition and (measured := recognition(scaled)):
            found |= {"tmr": measured["tmr"], "tmr at the originals' threshold": measured["tmr_fixed"]}
        yield found | {"change, of 255": float((images - x).abs().mean()) * 255}
    faces.outlines = outlines


if __name__ == "__main__":
    main()
