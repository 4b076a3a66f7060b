"""``facepriv train sim-zhang``: fits the decomposition to a pack and writes its weights file."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import click

from facepriv_sim_zhang.recipe import Recipe

_HELP = {
    "size": "Side of the appearance in the mean shape, in pixels.",
    "axes": "Principal axes that the whitening keeps.",
    "identity_axes": "Axes of the identity residual that are kept for its alteration.",
    "balance": "0: classes weigh as often as they come; 1: all classes of an attribute alike.",
    "limit": "No face weighs more than this many times the average.",
    "calibration": "Faces on which a change of gender is calibrated; 0: it is not.",
    "min_age": "Faces below this age in years are left out.",
}
_DEFAULT = Recipe()


def _options(function):  # type: ignore[no-untyped-def]
    """Give a command one option for each number of the recipe."""
    for field in reversed(fields(Recipe)):
        default = getattr(_DEFAULT, field.name)
        flag = "--" + field.name.replace("_", "-")
        # Without calibration faces, effects on the other attributes are not compensated.
        least = 0 if field.name == "calibration" else 1
        kind = click.IntRange(least) if isinstance(default, int) else click.FloatRange(0)
        function = click.option(flag, type=kind, default=default, show_default=True, help=_HELP[field.name])(function)
    return function


@click.command("sim-zhang")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for sim_zhang.safetensors.")
@_options
def command(pack: Path, out: Path, **numbers: float) -> None:
    """Fit Sim and Zhang's decomposition to the training part of PACK (see `facepriv pack`).

    Only faces with known gender, race and age are used.
    """
    from facepriv.cli.console import progress
    from facepriv.datasets.pack import open_pack
    from facepriv.files import make_folder
    from facepriv.training.records import in_words, made_today
    from facepriv_sim_zhang import fit, model

    recipe = Recipe(**numbers)  # type: ignore[arg-type]  # click has read them as the fields' types
    opened = open_pack(pack)
    rows = fit.usable(opened, "train", recipe)
    make_folder(out)
    with progress(fit.steps(len(rows), recipe), "steps") as bar:
        fitted = fit.fit(opened, recipe, out, bar.advance)
    figures = fit.held_out_accuracy(fitted, opened, recipe)
    sets = ", ".join(sorted(set(opened.columns["set"][rows])))
    given = [f"--{k.replace('_', '-')} {v:g}" for k, v in asdict(recipe).items() if v != getattr(_DEFAULT, k)]
    provenance = made_today(
        f"training part of {sets}: {len(rows)} faces with all labels, of {recipe.min_age:g} years and over",
        " ".join(["facepriv train sim-zhang PACK -o OUT", *given]),
    )
    path = out / "sim_zhang.safetensors"
    model.save(path, fitted, provenance, {"recipe": asdict(recipe), "validation_accuracy": figures})
    click.echo(f"{path}  {in_words(figures)}")
