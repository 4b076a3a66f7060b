"""``facepriv train privacynet``: trains a generator from a pack, resumable, and exports its weights file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facepriv.errors import UsageError

if TYPE_CHECKING:
    from facepriv_privacynet.config import Recipe


@click.command("privacynet")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--matcher", type=click.Path(path_type=Path), required=True, help="MobileFaceNet ONNX file.")
@click.option("--start", type=click.Path(path_type=Path), help="Weights file that the generator begins with.")
@click.option("--preset", type=click.Choice(["ours", "paper"]), default="ours", show_default=True)
@click.option("--steps", type=click.IntRange(1), help="Steps of the generator, instead of the preset's.")
@click.option("--batch", type=click.IntRange(1), help="Faces a step and process, instead of the preset's.")
@click.option("--minutes", type=float, help="Stop, saved, after so many minutes; the same command goes on.")
@click.option("--precision", type=click.Choice(["bf16", "no"]), default="bf16", show_default=True)
@click.option("--set", "changes", multiple=True, metavar="NAME=NUMBER", help="Change one number of the recipe.")
@click.option("--threads", type=int, help="CPU threads; default: torch's choice.")
@click.option("--export", is_flag=True, help="Train nothing; write privacynet.safetensors from the run's checkpoint.")
@click.option(
    "--gain",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="With --export: multiply what the generator changes.",
)
@click.option("--curve", is_flag=True, help="Train nothing; print validation figures at several gains.")
def command(
    pack: Path,
    out: Path,
    matcher: Path,
    start: Path | None,
    preset: str,
    steps: int | None,
    batch: int | None,
    minutes: float | None,
    precision: str,
    changes: tuple[str, ...],
    threads: int | None,
    export: bool,
    gain: float,
    curve: bool,
) -> None:
    """Train PrivacyNet on the training part of PACK (see `facepriv pack`).

    Several processes: accelerate launch -m facepriv train privacynet ...
    """
    from facepriv_privacynet import runs

    if export and curve:
        raise UsageError("--export and --curve exclude each other: look at the curve first, then export at a --gain")
    if gain != 1 and not export:
        raise UsageError("--gain goes with --export: training knows no gain")
    recipe = runs.recipe(preset, steps=steps, batch=batch, changes=changes)
    run = runs.Run(out, pack, matcher, recipe, precision=precision, threads=threads, start=start)
    if curve:
        for line in run.curve():
            click.echo(line)
        return
    if export:
        path, figures = run.export(_shown(preset, recipe, changes, gain), gain)
        click.echo(f"{path}  " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        return
    run.train(minutes, lambda line: click.echo(line, err=True))


def _shown(preset: str, recipe: Recipe, changes: tuple[str, ...], gain: float) -> str:
    extra = "".join(f" --set {change}" for change in changes) + (f" --gain {gain:g}" if gain != 1 else "")
    return (
        f"facepriv train privacynet PACK --matcher MOBILEFACENET --preset {preset}"
        f" --steps {recipe.steps} --batch {recipe.batch}{extra}"
    )
