"""``facepriv train san``, ``ensemble-san``, ``flow-san`` and ``san-prototypes``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from facepriv.training.options import TrainingOptions, say, show_results, training_options
from facepriv.training.records import command_line, made_today, sets_of

_PATH = click.Path(path_type=Path)
#: As in `facepriv_san.family`, which imports torch.
OUTPUTS = ("published", "residual")


def _trainer(method: str, about: str, members: int | None) -> click.Command:
    """Return the command that trains one method; `members` is the default number of networks."""

    def several(function: Callable[..., Any]) -> Callable[..., Any]:
        if not members:
            return function
        kind = click.IntRange(1)
        return click.option("--members", type=kind, default=members, show_default=True, help="Networks.")(function)

    @click.command(method, help=about, short_help=about)
    @training_options(
        weights=f"{method.replace('-', '_')}.safetensors",
        start="Folder of a run of 'train san' to take judges from, and for flow-san the first network, instead of "
        "making new ones.",
        smallest_batch=2,
        largest_gain=4.0,
    )
    @click.option(
        "--output",
        type=click.Choice(OUTPUTS),
        default=OUTPUTS[0],
        show_default=True,
        help="A grey face, as published (needs a pack of that frame, see the plugin's page), or a change of light.",
    )
    @click.option("--network", type=_PATH, help="A weights file whose first network to train further.")
    @click.option("--prototypes", type=_PATH, help="What 'facepriv train san-prototypes' wrote, if not ours.")
    @click.option("--judges", type=_PATH, help="Folder of a run of 'train privacynet' to take judges from.")
    @several
    def command(
        options: TrainingOptions,
        output: str,
        network: Path | None,
        prototypes: Path | None,
        judges: Path | None,
        members: int = 1,
    ) -> None:
        from facepriv.training.run import begin
        from facepriv_san.config import RECIPES
        from facepriv_san.family import prototypes_path
        from facepriv_san.runs import Run, read_material

        recipe = options.recipe(RECIPES[output])
        form = recipe.form()
        accelerator = begin(options.out, options.precision, options.threads)
        averages = prototypes or prototypes_path(form.frame)
        material = read_material(options.pack, options.matcher, averages, form, accelerator)
        begun = {"start": options.start, "judges": judges, "network": network}
        run = Run(method, options.out, recipe, material, accelerator, members=members, **begun)
        given = {
            "matcher": "MOBILEFACENET",
            "steps": recipe.steps,
            "batch": recipe.batch,
            "members": members if members > 1 else None,
            "output": output,
            "set": options.changes,
            **begun,
        }
        if not show_results(run, options, command_line(method, given)):
            run.train(options.minutes, say)

    return command


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
    from facepriv.cli.console import progress
    from facepriv.datasets.pack import open_pack
    from facepriv.files import make_folder
    from facepriv_san import prototypes as averages

    opened = open_pack(pack, frame=None)
    make_folder(out)
    with progress(len(averages.groups(opened)), "groups") as bar:
        found = averages.average(opened, bar.advance)
    provenance = made_today(
        f"averages of the training part of {sets_of(opened)}, faces of 15 years and over",
        "facepriv train san-prototypes PACK -o OUT",
    )
    path = out / "prototypes.safetensors"
    averages.save(path, found, provenance)
    click.echo(f"{path}  {len(found.images)} groups, the smallest of {min(found.people.values())} people")
