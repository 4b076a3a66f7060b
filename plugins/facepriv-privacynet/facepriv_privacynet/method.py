"""PrivacyNet as a method: the shipped generator, run face by face."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from facepriv.contracts import FaceBatch, Images, Labels, Perturber, Rngs
from facepriv.errors import WeightsError
from facepriv.inference.devices import multiplies_bfloat16
from facepriv.weights import Weights, load_weights, packaged_weights
from facepriv_privacynet.config import PRIVACYNET, Variant
from facepriv_privacynet.inference import for_one_face
from facepriv_privacynet.networks import REGIONS, Generator, GeneratorShape, encode
from facepriv_privacynet.region import outline


@cache
def load_generator(path: Path, device: str, architecture: str) -> tuple[Generator, Weights]:
    """Return the generator of a weights file on `device`, ready for inference, and the file's content."""
    weights = load_weights(path, framework="torch", architecture=architecture)
    shape = GeneratorShape(**weights.metadata.config["generator"])
    if shape.region not in REGIONS:  # another one would silently change the whole crop
        raise WeightsError(f"{path}: region '{shape.region}' is none of {', '.join(REGIONS)}: train with this version")
    with torch.random.fork_rng(devices=[]):  # initialising a network must not change the caller's random state
        generator = Generator(shape, weights.metadata.schema)
    generator.load_state_dict(weights.tensors)
    return generator.eval().requires_grad_(False).to(device), weights


@cache
def _quick(path: Path, architecture: str, dtype: torch.dtype) -> Generator:
    return for_one_face(load_generator(path, "cpu", architecture)[0], dtype)


class PrivacyNet(Perturber):
    """Hides gender, race or age from classifiers unseen in training, and keeps the face recognisable.

    Parameters
    ----------
    weights : path-like or None
        A generator's weights file; None: the packaged one.
    precision : {"fastest", "float32"}
        ``fastest``: bfloat16 where the device supports it in hardware; the plugin's page describes the effect.
    """

    attributes: ClassVar[tuple[str, ...]] = ("gender", "race", "age")
    #: The variant whose weights it runs.
    variant: ClassVar[Variant] = PRIVACYNET

    def __init__(self, weights: str | Path | None = None, precision: Literal["fastest", "float32"] = "fastest") -> None:
        self.weights = weights
        self.precision = precision
        self.device = "cpu"

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # read from the weights
        """The faces' own classes, and their landmarks if the change is limited to each head's own outline."""
        return frozenset({"labels", "landmarks"}) if self._outlined() else frozenset({"labels"})

    @property
    def crop_size(self) -> int:  # type: ignore[override]  # read from the weights
        """Side of the crops used in training."""
        return int(self._loaded()[1].metadata.config["generator"]["size"])

    def to(self, device: str) -> PrivacyNet:
        """Move to `device`; return self."""
        self.device = device
        return self

    def info(self) -> dict[str, Any]:
        """Return the version, the weights' hash, the evaluators used in training, and the number format."""
        weights = self._loaded()[1]
        seen = list(weights.metadata.provenance.seen)
        dtype = "bfloat16" if self._short() else "float32"
        return {"version": self.variant.version, "weights": weights.sha256, "seen": seen, "dtype": dtype}

    def weights_path(self) -> Path:
        """Return the path of the weights file in use."""
        return Path(self.weights) if self.weights else packaged_weights(self.variant.package, self.variant.name)

    def _loaded(self) -> tuple[Generator, Weights]:
        return load_generator(self.weights_path(), self.device, self.variant.architecture)

    def _outlined(self) -> bool:
        return self._loaded()[1].metadata.config["generator"].get("region") == "outline"

    def _short(self) -> bool:
        return self.precision == "fastest" and multiplies_bfloat16(torch.device(self.device).type)

    def _runner(self) -> tuple[Generator, AbstractContextManager[Any]]:
        """Return the network for this device, and the context to run it in."""
        kind = torch.device(self.device).type
        if kind == "cpu":
            dtype = torch.bfloat16 if self._short() else torch.float32
            return _quick(self.weights_path(), self.variant.architecture, dtype), nullcontext()
        return self._loaded()[0], torch.autocast(kind, torch.bfloat16) if self._short() else nullcontext()

    def _perturb(self, faces: FaceBatch, source: Labels, target: Labels, strength: float, rngs: Rngs) -> Images:
        schema = self._loaded()[1].metadata.schema
        wanted = encode(_indices(target, len(faces), schema), schema)
        out = np.empty_like(faces.images)
        generator, precision = self._runner()
        with torch.inference_mode(), precision:
            # One face at a time: a convolution's rounding depends on the batch size, a protected photo must not.
            for n, image in enumerate(faces.images):
                x = torch.from_numpy(image.copy())[None].permute(0, 3, 1, 2).to(self.device)
                changed = generator(x, wanted[n : n + 1].to(self.device), self._outline(faces, n))
                out[n] = changed[0].permute(1, 2, 0).cpu().numpy()
        return faces.images + np.float32(strength) * (out - faces.images)

    def _outline(self, faces: FaceBatch, n: int) -> torch.Tensor | None:
        """Return the outline (1, 1, s, s) of head `n`; None if the weights may change the whole crop."""
        if not self._outlined():
            return None
        drawn = outline(faces.landmarks[n], faces.images.shape[1])  # type: ignore[index]  # see `needs`
        return torch.from_numpy(drawn)[None, None].to(self.device).float().div(255)


def _indices(target: Labels, count: int, schema: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Targets as tensors, attribute -> (N,); attributes missing from the request are unknown."""
    unknown = np.full(count, -1, dtype=np.int64)
    return {name: torch.from_numpy(np.asarray(target.get(name, unknown))) for name in schema}
