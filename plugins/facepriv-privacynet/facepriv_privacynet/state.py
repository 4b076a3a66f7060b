"""All networks of a training in one file of half precision, small enough to publish: others go on from there.

A checkpoint is for going on with the same run: it holds optimisers and full precision, and is ten times as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from facepriv.errors import DataError
from facepriv.training.judges import Judge, JudgeShape
from facepriv.weights import Provenance, Weights, WeightsMetadata, half, save_weights
from facepriv_privacynet.config import Variant
from facepriv_privacynet.training import Trainer


def save_state(path: Path, variant: Variant, trainer: Trainer, provenance: Provenance) -> None:
    """Write G's average, D, judges, copies and probe; the same networks give the same file."""
    tensors = {
        f"{name}/{key}": value
        for name, net in trainer.nets().items()
        if name != "g"  # its average is what goes on
        for key, value in half(net.state_dict()).items()
    }
    recipe = trainer.recipe
    config = {"judges": [asdict(shape) for shape in recipe.judges], "ordered": recipe.ordered, "step": trainer.step}
    save_weights(path, tensors, WeightsMetadata(variant.training_architecture, provenance, config))


def judge_shapes(state: Weights) -> tuple[JudgeShape, ...]:
    """Return the shapes of the judges in a file's content."""
    return tuple(JudgeShape(**shape) for shape in state.metadata.config["judges"])


def load_judges(state: Weights) -> list[Judge]:
    """Return the judges in a file's content."""
    judges = [Judge(shape, ordered=state.metadata.config["ordered"]) for shape in judge_shapes(state)]
    for number, judge in enumerate(judges):
        judge.load_state_dict(_of(state, f"judge{number}"))
    return judges


def fill(trainer: Trainer, state: Weights, names: Sequence[str] | None = None) -> None:
    """Give networks of a trainer (all of them, unless `names` are given) the weights in a file's content.

    Raises
    ------
    DataError
        If they belong to networks of another shape.
    """
    nets: dict[str, nn.Module] = trainer.nets()
    for name in names or nets:
        try:
            nets[name].load_state_dict(_of(state, "average" if name == "g" else name))
        except RuntimeError as error:
            raise DataError(f"its network '{name}' has another shape than the recipe's") from error


def _of(state: Weights, name: str) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in state.tensors.items() if key.startswith(prefix)}
