"""What every training of a network starts from: a folder, the faces of a pack, a matcher and estimators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from facepriv.contracts import STANDARD, Frame
from facepriv.datasets.pack import open_pack
from facepriv.files import atomic_write, digest, make_folder
from facepriv.registry import registry
from facepriv.training.faces import Faces
from facepriv.training.records import FAMILY, MATCHER, sets_of
from facepriv.training.steps import mixed_precision


@dataclass
class Material:
    """Data and networks shared by trainings on one pack.

    Parameters
    ----------
    training, validation : Faces
        The pack's parts.
    sets : str
        Names of the data sets.
    estimator : Module
        Crops to logits by attribute: family A, age in ranks.
    matcher : Module or None
        Crops to unit descriptors: MobileFaceNet.
    subjects : sequence of str
        Identities of the validation faces, "" where unknown.
    """

    training: Faces
    validation: Faces
    sets: str
    estimator: nn.Module
    matcher: nn.Module | None
    subjects: Sequence[str] = ()


def begin(out: Path, precision: str | None, threads: int | None) -> Accelerator:
    """Create the folder of a run, and return the device and precision of its training.

    Raises
    ------
    DataError
        If the folder cannot be created.
    """
    if threads:
        torch.set_num_threads(threads)
    make_folder(out)
    return Accelerator(mixed_precision=mixed_precision(precision))


def read_material(
    pack: Path,
    matcher: Path | None,
    accelerator: Accelerator,
    *,
    size: int,
    frame: Frame = STANDARD,
    labels: Path | None = None,
) -> Material:
    """Read a pack's parts, resized to `size`, and the networks.

    Parameters
    ----------
    frame : Frame
        That of the pack.
    labels : Path or None
        A folder: unknown labels are then estimated, and cached there.

    Raises
    ------
    DataError, WeightsError, PluginError
        If the pack, the matcher's file or family A cannot be read.
    """
    device, opened = accelerator.device, open_pack(pack, frame)
    estimator = registry().create("estimator", FAMILY[0]).ranked_module().to(device)
    matching = None if matcher is None else registry().create("matcher", MATCHER, path=matcher).torch_module()
    validation, training = (Faces.from_pack(opened, part, size, device) for part in ("validation", "train"))
    if labels:
        with accelerator.main_process_first():  # the others read the labels that the first has filled
            for part, faces in (("validation", validation), ("train", training)):
                fill_labels(faces, estimator, labels / f"labels-{part}.safetensors")
    subjects = opened.columns["subject"][opened.where(part="validation")].tolist()
    return Material(training, validation, sets_of(opened), estimator, matching and matching.to(device), subjects)


def fill_labels(faces: Faces, estimator: nn.Module, kept: Path) -> None:
    """Fill in missing labels, and cache them in the file `kept`: estimating them takes minutes on a CPU.

    The cache is valid only for faces with the same labels; another pack has others.
    """

    def filled() -> Mapping[str, Tensor]:
        faces.fill_unknown(estimator)
        return faces.labels

    of = digest(str(values.cpu().tolist()) for values in faces.labels.values())
    found = cached_tensors(kept, of, filled)
    faces.labels.update({name: values.to(faces.weights.device) for name, values in found.items()})


def cached_tensors(kept: Path, of: str, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors on the CPU from the file `kept`; make and write them if it is missing, damaged or of other data.

    Parameters
    ----------
    of : str
        Identifies the data that the tensors belong to.
    make : callable
        Returns the tensors by name.
    """
    with suppress(OSError, SafetensorError), safe_open(kept, "pt") as file:
        if (file.metadata() or {}).get("of") == of:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}
    found = {name: values.cpu().contiguous() for name, values in make().items()}
    atomic_write(kept, save(found, {"of": of}))
    return found
