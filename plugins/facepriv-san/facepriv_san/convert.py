"""``facepriv convert san``: the published weights of the SAN authors as a weights file of ours."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from facepriv.errors import WeightsError

#: Names and shapes in the authors' state dict.
_SHAPES = {
    "autoencoder.0": (8, 4, 3, 3),
    "autoencoder.3": (12, 8, 3, 3),
    "autoencoder.6": (256, 12, 3, 3),
    "autoencoder.9": (128, 256, 3, 3),
    "protocombiner.0": (1, 131, 1, 1),
}
#: Side of the authors' training images.
_SIZE = 224


@click.command("san")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The weights file, .safetensors.")
def command(file: Path, out: Path) -> None:
    """Turn FILE, the SAN authors' conv-autoencoder (a pickled state dict), into a weights file for --method san.

    Only tensors are read: a pickle with anything else is rejected, and none of its code runs.
    """
    from facepriv.weights import Provenance
    from facepriv_san import family

    tensors = read(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    provenance = Provenance(
        trained_on="CelebA, by the authors of SAN (github.com/iPRoBe-lab/semi-adversarial-networks)",
        command=f"facepriv convert san FILE, of SHA-256 {digest}",
        date="2018",
        licence="MIT",
    )
    frame = family.PUBLISHED
    form = family.Form(_SIZE, "published", 1.0, family.CARICATURE, frame.side, frame.centre)
    # Unrounded: these weights are a reference.
    named = {f"0.{name}": tensor for name, tensor in tensors.items()}
    sha256 = family.save(out, named, [False], form, provenance, {})
    click.echo(f"{out}  {sha256}")


def read(file: Path) -> dict[str, Any]:
    """Return the tensors of the authors' state dict.

    Raises
    ------
    WeightsError
        If the file is missing, is not a pickle of tensors alone, or holds another network.
    """
    import pickle
    import warnings

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an unusual pickle: the loader accepts or rejects it
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{file}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(f"{file}: not a pickle of tensors alone, so it was not opened") from error
    expected = {f"{layer}.weight": shape for layer, shape in _SHAPES.items()}
    expected |= {f"{layer}.bias": shape[:1] for layer, shape in _SHAPES.items()}
    shapes = {name: tuple(getattr(t, "shape", ())) for name, t in content.items()} if isinstance(content, dict) else {}
    if shapes != expected:
        wrong = sorted(str(n) for n in shapes.keys() | expected.keys() if shapes.get(n) != expected.get(n))
        raise WeightsError(f"{file}: no SAN autoencoder, it differs in {', '.join(wrong[:3]) or 'everything'}")
    return {name: tensor.contiguous() for name, tensor in content.items()}
