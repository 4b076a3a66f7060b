"""``facepriv train san``, ``ensemble-san``, ``flow-san`` and ``san-prototypes``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facepriv.errors import UsageError

_PATH = click.Path(path_type=Path)


def _trainer(method: str, about: str, members: int | None) -> click.Command:
    """Return the command that trains one method; `members` is the default number of networks."""

    def callback(**given: Any) -> None:
        _train(method, given.pop("members", 1), **given)

    name = method.replace("-", "_")
    options = [
        click.Argument(["pack"], type=_PATH),
        click.Option(["--out", "-o"], type=_PATH, required=True, help="Folder of the run."),
        click.Option(["--matcher"], type=_PATH, required=True, help="MobileFaceNet ONNX file."),
        click.Option(["--prototypes"], type=_PATH, help="What 'facepriv train san-prototypes' wrote, if not ours."),
        click.Option(
            ["--start"],
            type=_PATH,
            help="Folder of a run of 'train san' to take judges from, and for "
            "flow-san the first network, instead of making them anew.",
        ),
        click.Option(["--judges"], type=_PATH, help="Folder of a run of 'train privacynet' to take judges from."),
        click.Option(["--steps"], type=click.IntRange(1), help="Steps of each network."),
        click.Option(["--batch"], type=click.IntRange(2), help="Faces a step."),
        click.Option(["--minutes"], type=float, help="Stop, saved, after so many minutes; the same command goes on."),
        click.Option(
            ["--precision"], type=click.Choice(["bf16", "no"]), help="[default: bf16 where the processor has it]"
        ),
        click.Option(
            ["--set", "changes"], multiple=True, metavar="NAME=NUMBER", help="Change one number of the recipe."
        ),
        click.Option(["--threads"], type=click.IntRange(1), help="CPU threads; default: torch's choice."),
        click.Option(["--export"], is_flag=True, help=f"Train nothing; write {name}.safetensors from the checkpoints."),
        click.Option(
            ["--gain"],
            type=click.FloatRange(0, 4, min_open=True),
            default=1.0,
            show_default=True,
            help="With --export: multiply what a network changes.",
        ),
        click.Option(["--curve"], is_flag=True, help="Train nothing; print validation figures at several gains."),
    ]
    if members:
        many = click.Option(["--members"], type=click.IntRange(1), default=members, show_default=True, help="Networks.")
        options.append(many)
    return click.Command(method, params=list(options), callback=callback, help=about, short_help=about)


def _train(
    method: str,
    members: int,
    *,
    pack: Path,
    out: Path,
    matcher: Path,
    prototypes: Path | None,
    start: Path | None,
    judges: Path | None,
    steps: int | None,
    batch: int | None,
    minutes: float | None,
    precision: str | None,
    changes: tuple[str, ...],
    threads: int | None,
    export: bool,
    gain: float,
    curve: bool,
) -> None:
    if export and curve:
        raise UsageError("--export and --curve exclude each other: look at the curve first, then export at a --gain")
    if gain != 1 and not export:
        raise UsageError("--gain goes with --export: training knows no gain")
    import torch
    from accelerate import Accelerator

    from facepriv.settings import with_numbers
    from facepriv.training.steps import mixed_precision
    from facepriv.weights import packaged_weights
    from facepriv_san.config import Recipe
    from facepriv_san.method import PACKAGE
    from facepriv_san.runs import Run, read_material, with_steps

    if threads:
        torch.set_num_threads(threads)
    recipe = with_steps(with_numbers(Recipe(), changes), steps, batch)
    averages = prototypes or packaged_weights(PACKAGE, "prototypes")
    accelerator = Accelerator(mixed_precision=mixed_precision(precision))
    material = read_material(pack, matcher, averages, recipe.size, accelerator)
    run = Run(method, out, recipe, material, accelerator, members=members, start=start, judges=judges)
    if curve:
        for line in run.curve():
            click.echo(line)
        return
    if not export:
        run.train(minutes, lambda line: click.echo(line, err=True))
        return
    given = [f"--members {members}"] * (members > 1) + [f"--set {change}" for change in changes]
    given += [f"--{name} {folder.name}" for name, folder in (("start", start), ("judges", judges)) if folder]
    given += [f"--gain {gain:g}"] * (gain != 1)
    options = " ".join([f"--steps {recipe.steps} --batch {recipe.batch}", *given])
    path, figures = run.export(f"facepriv train {method} PACK --matcher MOBILEFACENET {options}", gain)
    click.echo(f"{path}  " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items()))


san = _trainer("san", "Train one semi-adversarial network on the training part of PACK (see `facepriv pack`).", None)
ensemble_san = _trainer("ensemble-san", "Train several networks against different judges on PACK.", 3)
flow_san = _trainer("flow-san", "Train networks in sequence on PACK, each on the output of the ones before.", 3)


@click.command("san-prototypes")
@click.argument("pack", type=_PATH)
@click.option("--out", "-o", type=_PATH, required=True, help="Folder for prototypes.safetensors.")
def prototypes(pack: Path, out: Path) -> None:
    """Average the aligned training faces of PACK by gender, age group and race: the prototypes of the SAN family.

    Groups of fewer than 50 people have no average; a coarser group replaces them.
    """
    import datetime

    from facepriv.cli.console import progress
    from facepriv.datasets.pack import open_pack
    from facepriv.weights import Provenance
    from facepriv_san import prototypes as averages

    opened = open_pack(pack)
    out.mkdir(parents=True, exist_ok=True)
    with progress(len(averages.groups(opened)), "groups") as bar:
        found = averages.average(opened, bar.advance)
    sets = ", ".join(sorted(set(opened.columns["set"])))
    provenance = Provenance(
        trained_on=f"averages of the training part of {sets}, faces of 15 years and over",
        command="facepriv train san-prototypes PACK -o OUT",
        date=datetime.date.today().isoformat(),
    )
    path = out / "prototypes.safetensors"
    averages.save(path, found, provenance)
    click.echo(f"{path}  {len(found.images)} groups, the smallest of {min(found.people.values())} people")
