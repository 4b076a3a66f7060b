"""``facepriv train estimators``: trains one family from a pack and writes its weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from facepriv.training.options import say, threads_option
from facepriv.training.records import command_line, in_words, made_today, sets_of


@click.command("estimators")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--family", type=click.Choice(["a", "b"]), required=True, help="Which family to train.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for family_X.safetensors.")
@click.option("--start", type=click.Path(path_type=Path), help="MobileFaceNet ONNX file that family A starts from.")
@click.option("--epochs", type=float, help="Passes over the half, instead of the recipe's.")
@threads_option
def command(pack: Path, family: str, out: Path, start: Path | None, epochs: float | None, threads: int | None) -> None:
    """Train one family of attribute estimators (gender, race, age) on its half of PACK."""
    import torch

    from facepriv.datasets.pack import open_pack
    from facepriv.errors import DataError, UsageError
    from facepriv.files import make_folder
    from facepriv.weights import WeightsMetadata, half, save_weights
    from facepriv_estimators.families import architecture
    from facepriv_estimators.mobilefacenet import from_onnx
    from facepriv_estimators.networks import FAMILIES
    from facepriv_estimators.training import RECIPES, train

    if start is not None and family != "a":
        raise UsageError("--start goes with --family a only: family B starts from random weights")
    if threads:
        torch.set_num_threads(threads)
    recipe = replace(RECIPES[family], epochs=epochs) if epochs else RECIPES[family]
    torch.manual_seed(recipe.seed)
    net = FAMILIES[family]()
    if start is not None:
        learnt = {k: v for k, v in from_onnx(start).state_dict().items() if not k.startswith("embed")}
        net.trunk.load_state_dict(learnt)
    opened = open_pack(pack)
    if not len(opened.where(part="train", half=family)):
        raise DataError(f"{pack}: its training part has no faces in half {family}; make a pack with 'facepriv pack'")
    make_folder(out)
    average, figures = train(net, opened, family, recipe, say)
    given = {"family": family, "epochs": f"{recipe.epochs:g}", "start": "MOBILEFACENET" if start else None}
    trunk = "; trunk from MobileFaceNet (MS-Celeb-1M)" if start else ""
    provenance = made_today(
        f"half {family} of the training part of {sets_of(opened)}{trunk}", command_line("estimators", given)
    )
    metadata = WeightsMetadata(architecture(family), provenance, {"validation": figures})
    path = out / f"family_{family}.safetensors"
    save_weights(path, half(average.state_dict()), metadata)
    click.echo(f"{path}  {in_words(figures)}")
