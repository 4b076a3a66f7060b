"""The opponents of a training in one file of half precision, small enough to publish beside the generator's weights.

Both files together let others continue the training. A checkpoint resumes the same run: it holds optimisers and full
precision, and is eight times as large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from facepriv.errors import DataError
from facepriv.training.judges import Judge, JudgeShape
from facepriv.weights import Provenance, Weights, WeightsMetadata, half, load_weights, save_weights
from facepriv_privacynet.config import Variant
from facepriv_privacynet.training import Trainer

#: Largest size of the networks in a file, in bytes; small enough for a repository.
LIMIT = 11_900_000


def save_opponents(path: Path, variant: Variant, trainer: Trainer, provenance: Provenance) -> None:
    """Write D, copies, probe, and as many judges as `LIMIT` allows; the same networks give the same file."""
    copies = {f"copy{i}": net for i, net in enumerate(trainer.copies)}
    kept: dict[str, nn.Module] = {"d": trainer.d, "probe": trainer.probe, **copies}
    room = LIMIT - sum(map(_bytes, kept.values()))
    judges: list[Judge] = []
    for judge in trainer.judges:
        if _bytes(judge) <= room:
            room -= _bytes(judge)
            kept[f"judge{len(judges)}"] = judge
            judges.append(judge)
    tensors = {f"{name}/{key}": v for name, net in kept.items() for key, v in half(net.state_dict()).items()}
    shapes = [asdict(judge.shape) for judge in judges]
    config = {"judges": shapes, "ordered": trainer.recipe.ordered, "step": trainer.step}
    save_weights(path, tensors, WeightsMetadata(variant.opponents_architecture, provenance, config))


def _bytes(net: nn.Module) -> int:
    """Return the bytes of a network in half precision."""
    return 2 * sum(value.numel() for value in net.state_dict().values())


def read_opponents(path: Path, variant: Variant) -> Weights:
    """Return the content of a file of `save_opponents`; raise `WeightsError` for any other file."""
    return load_weights(path, framework="torch", architecture=variant.opponents_architecture)


def judge_shapes(opponents: Weights) -> tuple[JudgeShape, ...]:
    """Return the shapes of the judges in a file's content."""
    return tuple(JudgeShape(**shape) for shape in opponents.metadata.config["judges"])


def judges_of(opponents: Weights) -> list[Judge]:
    """Return the judges in a file's content."""
    judges = [Judge(shape, ordered=opponents.metadata.config["ordered"]) for shape in judge_shapes(opponents)]
    for number, judge in enumerate(judges):
        judge.load_state_dict(_of(opponents, f"judge{number}"))
    return judges


def fill(trainer: Trainer, opponents: Weights, names: Iterable[str] | None = None) -> None:
    """Load the weights in a file's content into a trainer's opponents: all of them, or those of `names`.

    Networks missing from the file are initialised again.

    Raises
    ------
    DataError
        If the weights belong to a network of another shape.
    """
    for name, net in trainer.nets().items():
        state = _of(opponents, name)
        if state and (names is None or name in names):
            try:
                net.load_state_dict(state)
            except RuntimeError as error:
                raise DataError(f"its network '{name}' has another shape than the recipe's") from error


def _of(opponents: Weights, name: str) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in opponents.tensors.items() if key.startswith(prefix)}
