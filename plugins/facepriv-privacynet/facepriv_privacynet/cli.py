"""``facepriv train privacynet`` and ``facepriv export privacynet``; other methods of the family reuse them.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facepriv.errors import UsageError

if TYPE_CHECKING:
    from facepriv_privacynet.config import Recipe, Variant

#: Import the variant only when a command runs: its recipes need torch.
Load = Callable[[], "Variant"]


def train_command(load: Load, name: str, title: str, *, matched: bool = True) -> click.Command:
    """Return the command that trains the method `name`; `matched`: whether training needs a matcher."""
    matching = "MobileFaceNet ONNX file" + ("." if matched else "; teaches nothing, only measures.")

    @click.command(
        name,
        help=f"{title} on the training part of PACK (see `facepriv pack`).\n\nSeveral processes: "
        f"accelerate launch -m facepriv train {name} ...",
    )
    @click.argument("pack", type=click.Path(path_type=Path))
    @click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
    @click.option("--matcher", type=click.Path(path_type=Path), required=matched, help=matching)
    @click.option(
        "--start",
        type=click.Path(path_type=Path),
        help="Begin with this weights file, or with the folder of another run, at its step, from which "
        "the learning rate follows.",
    )
    @click.option(
        "--opponents",
        type=click.Path(path_type=Path),
        help="Begin with D, judges and copies of this file, which a round leaves beside its weights.",
    )
    @click.option("--preset", type=click.Choice(["ours", "paper"]), default="ours", show_default=True)
    @click.option("--steps", type=click.IntRange(1), help="Steps of the generator, instead of the preset's.")
    @click.option(
        "--rounds",
        type=click.IntRange(1),
        metavar="N",
        help="Train N rounds of --steps each, each with new opponents. With --export or --curve: of round N.",
    )
    @click.option("--batch", type=click.IntRange(1), help="Faces a step and process, instead of the preset's.")
    @click.option("--minutes", type=float, help="Stop, saved, after so many minutes; the same command goes on.")
    @click.option("--precision", type=click.Choice(["bf16", "no"]), help="[default: bf16 where the processor has it]")
    @click.option("--set", "changes", multiple=True, metavar="NAME=NUMBER", help="Change one number of the recipe.")
    @click.option("--threads", type=int, help="CPU threads; default: torch's choice.")
    @click.option("--export", is_flag=True, help=f"Train nothing; write {name}.safetensors from the run's checkpoint.")
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
        matcher: Path | None,
        start: Path | None,
        opponents: Path | None,
        preset: str,
        steps: int | None,
        rounds: int | None,
        batch: int | None,
        minutes: float | None,
        precision: str | None,
        changes: tuple[str, ...],
        threads: int | None,
        export: bool,
        gain: float,
        curve: bool,
    ) -> None:
        from facepriv_privacynet import runs
        from facepriv_privacynet.rounds import Rounds

        if export and curve:
            raise UsageError("--export and --curve exclude each other: look at the curve, then export at a --gain")
        if gain != 1 and not export:
            raise UsageError("--gain goes with --export: training knows no gain")
        if start and start.is_dir() and (rounds or opponents):
            raise UsageError(f"--start {start}: --rounds and --opponents need a weights file here; --export makes one")
        variant = load()
        recipe = runs.recipe(variant, preset, steps=steps, batch=batch, changes=changes)
        material, accelerator = runs.opened(pack, out, recipe, matcher, precision, threads)
        began = start.resolve().name if start else ""
        if rounds:
            several = Rounds(variant, out, recipe, material, accelerator, start, opponents)
            shown = _shown(variant, preset, recipe, changes, began, rounds, opponents)
            if not (export or curve):
                done = several.train(rounds, minutes, lambda line: click.echo(line, err=True), shown=shown)
                click.echo(f"{out}: {done} of {rounds} rounds finished")
                return
            run = several.run(rounds)
        else:
            run = runs.Run(variant, out, recipe, material, accelerator, start, opponents=opponents)
            shown = _shown(variant, preset, recipe, changes, run.trainer.start, opponents=opponents)
        if curve:
            for line in run.curve():
                click.echo(line)
            return
        if export:
            path, figures = run.export(shown, gain)
            click.echo(f"{path}  " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
            return
        run.train(minutes, lambda line: click.echo(line, err=True), shown=shown)

    return command


def export_command(load: Load, name: str) -> click.Command:
    """Return the command that writes the generator of the method `name` for other programs."""

    @click.command(name, help=f"Write the generator of {name} as an ONNX file, any number of faces at a time.")
    @click.option("--onnx", "out", type=click.Path(path_type=Path), required=True, help="The file to write.")
    @click.option("--weights", type=click.Path(path_type=Path), help="Weights file. [default: the packaged one]")
    @click.option("--overwrite", is_flag=True, help="Replace an existing file.")
    def command(out: Path, weights: Path | None, overwrite: bool) -> None:
        from facepriv_privacynet.onnx_file import export_onnx

        click.echo(export_onnx(load(), out, weights, overwrite=overwrite))

    return command


def _shown(
    variant: Variant,
    preset: str,
    recipe: Recipe,
    changes: tuple[str, ...],
    start: str,
    rounds: int | None = None,
    opponents: Path | None = None,
) -> str:
    matcher = " --matcher MOBILEFACENET" if recipe.matched else ""
    extra = f" --rounds {rounds}" if rounds else ""
    extra += f" --start {start}" if start else ""
    extra += f" --opponents {opponents.name}" if opponents else ""
    extra += "".join(f" --set {change}" for change in changes)
    return (
        f"facepriv train {variant.name} PACK{matcher} --preset {preset}"
        f" --steps {recipe.steps} --batch {recipe.batch}{extra}"
    )


def _privacynet() -> Variant:
    from facepriv_privacynet.config import PRIVACYNET

    return PRIVACYNET


command = train_command(_privacynet, "privacynet", "Train PrivacyNet")
export = export_command(_privacynet, "privacynet")
