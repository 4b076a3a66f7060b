"""``facepriv train privacynet`` and ``facepriv export privacynet``; other methods of the family reuse them.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

import click

from facepriv.errors import UsageError
from facepriv.training.options import TrainingOptions, say, show_results, training_options
from facepriv.training.records import command_line


def train_command(variant: str, name: str, title: str, *, matched: bool = True) -> click.Command:
    """Return the command that trains the method `name`; `matched`: whether training needs a matcher.

    `variant`, ``package.module:NAME``, is imported only when the command runs: its recipes need torch.
    """

    @click.command(
        name,
        help=f"{title} on the training part of PACK (see `facepriv pack`).\n\nSeveral processes: "
        f"accelerate launch -m facepriv train {name} ...",
    )
    @training_options(
        weights=f"{name}.safetensors",
        start="Begin with this weights file, or with the folder of another run, at its step, from which "
        "the learning rate follows.",
        matched=matched,
    )
    @click.option(
        "--opponents",
        type=click.Path(path_type=Path),
        help="Begin with D, judges and copies of this file, which a round leaves beside its weights.",
    )
    @click.option("--preset", type=click.Choice(["ours", "random", "paper"]), default="ours", show_default=True)
    @click.option(
        "--rounds",
        type=click.IntRange(1),
        metavar="N",
        help="Train N rounds of --steps each, each with new opponents. With --export or --curve: of round N.",
    )
    @click.option(
        "--mix",
        type=(click.Path(path_type=Path), click.FloatRange(0, 1, min_open=True, max_open=True)),
        multiple=True,
        metavar="WEIGHTS SHARE",
        help="With --export or --curve: average with these weights, which get this share. Several times if wanted.",
    )
    def command(
        options: TrainingOptions,
        opponents: Path | None,
        preset: str,
        rounds: int | None,
        mix: tuple[tuple[Path, float], ...],
    ) -> None:
        from facepriv_privacynet import runs
        from facepriv_privacynet.rounds import Rounds

        out, start = options.out, options.start
        if start and start.is_dir() and (rounds or opponents):
            raise UsageError(f"--start {start}: --rounds and --opponents need a weights file here; --export makes one")
        if mix and not (options.export or options.curve):
            raise UsageError("--mix goes with --export or --curve: training averages with no other weights")
        method = resolve_name(variant)
        recipe = options.recipe(method.presets[preset])
        material, accelerator = runs.opened(
            options.pack, out, recipe, options.matcher, options.precision, options.threads
        )

        def shown(start: str) -> str:
            given = {
                "matcher": "MOBILEFACENET" if recipe.matched else None,
                "preset": preset,
                "steps": recipe.steps,
                "batch": recipe.batch,
                "rounds": rounds,
                "start": start,
                "opponents": opponents,
                "set": options.changes,
            }
            return command_line(name, given)

        if not rounds:
            run = runs.Run(method, out, recipe, material, accelerator, start, opponents=opponents)
            text = shown(run.trainer.start)
            if mix:
                run.average_with(mix)
            if not show_results(run, options, text):
                run.train(options.minutes, say, shown=text)
            return
        several = Rounds(method, out, recipe, material, accelerator, start, opponents)
        text = shown(start.resolve().name if start else "")
        if options.export or options.curve:
            run = several.run(rounds)
            if mix:
                run.average_with(mix)
            show_results(run, options, text)
            return
        done = several.train(rounds, options.minutes, say, shown=text)
        click.echo(f"{out}: {done} of {rounds} rounds finished")

    return command


def export_command(variant: str, name: str) -> click.Command:
    """Return the command that writes the generator of the method `name` for other programs."""

    @click.command(name, help=f"Write the generator of {name} as an ONNX file, any number of faces at a time.")
    @click.option("--onnx", "out", type=click.Path(path_type=Path), required=True, help="The file to write.")
    @click.option("--weights", type=click.Path(path_type=Path), help="Weights file. [default: the packaged one]")
    @click.option("--overwrite", is_flag=True, help="Replace an existing file.")
    def command(out: Path, weights: Path | None, overwrite: bool) -> None:
        from facepriv_privacynet.onnx_file import export_onnx

        click.echo(export_onnx(resolve_name(variant), out, weights, overwrite=overwrite))

    return command


_PRIVACYNET = "facepriv_privacynet.config:PRIVACYNET"
command = train_command(_PRIVACYNET, "privacynet", "Train PrivacyNet")
export = export_command(_PRIVACYNET, "privacynet")
