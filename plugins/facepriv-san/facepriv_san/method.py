"""The three methods: one network, an ensemble, a sequence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facepriv.contracts import FaceBatch, Labels, Perturber
from facepriv.errors import UsageError
from facepriv.weights import packaged_weights
from facepriv_san import family
from facepriv_san.family import Family, Pairs, averaged, in_sequence
from facepriv_san.prototypes import nearest

PACKAGE = "facepriv_san.weights"
#: Index of the neutral prototype in a set of three, after male and female.
_NEUTRAL = 2


class _Drawn(Perturber):
    """Base class of the methods: files, prototypes, and the processing of one face."""

    attributes: ClassVar[tuple[str, ...]] = ("gender",)
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    neutral: ClassVar[tuple[str, ...]] = ("gender",)
    #: Name of the packaged weights.
    packaged: ClassVar[str] = ""

    def __init__(self, weights: str | Path | None = None, prototypes: str | Path | None = None) -> None:
        self.weights = weights
        self.prototypes = prototypes
        self.device = "cpu"

    @property
    def crop_size(self) -> int:  # type: ignore[override]  # read from the weights
        """Side of the crops used in training."""
        return self.loaded().form.size

    def to(self, device: str) -> _Drawn:
        """Move to `device`; return self."""
        self.device = device
        return self

    def info(self) -> dict[str, Any]:
        """Return the version, the weights' hash, and the evaluators used in training."""
        from facepriv_san import __version__

        weights = self.loaded().weights
        assert weights is not None  # it was read from a file
        seen = list(weights.metadata.provenance.seen)
        return {"version": __version__, "weights": weights.sha256, "seen": seen}

    def weights_path(self) -> Path:
        """Return the path of the weights file in use."""
        return Path(self.weights) if self.weights else packaged_weights(PACKAGE, self.packaged)

    def loaded(self) -> Family:
        """Return the networks and their prototypes; raise `WeightsError` on failure."""
        averages = Path(self.prototypes) if self.prototypes else packaged_weights(PACKAGE, "prototypes")
        return family.load(self.weights_path(), averages, self.device)

    def _perturb(
        self,
        faces: FaceBatch,
        source: Labels,
        target: Labels,
        strength: float,
        rngs: Sequence[np.random.Generator],
    ) -> NDArray[np.float32]:
        loaded = self.loaded()
        unknown = np.full(len(faces), -1, dtype=np.int64)
        own, shown = (
            np.where(labels.get("gender", unknown) < 0, _NEUTRAL, labels.get("gender", unknown))
            for labels in (source, target)
        )
        # The choice of prototypes depends on the face alone.
        chosen = [nearest(faces.images, own, sets) for sets in loaded.sets]
        out = np.empty_like(faces.images)
        with torch.inference_mode():
            # One face at a time: a convolution's rounding depends on the batch size, a protected photo must not.
            for n, image in enumerate(faces.images):
                x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(self.device)
                pairs = [
                    (shown_to[kind[n], own[n]][None], shown_to[kind[n], shown[n]][None])
                    for shown_to, kind in zip(loaded.pictures, chosen, strict=True)
                ]
                out[n] = self._face(loaded, x, pairs, rngs[n])[0].permute(1, 2, 0).cpu().numpy()
        return faces.images + np.float32(strength) * (out - faces.images)

    @abstractmethod
    def _face(self, loaded: Family, x: Tensor, pairs: Pairs, rng: np.random.Generator) -> Tensor:
        """Return the changed face x (1, 3, S, S)."""


class San(_Drawn):
    """One semi-adversarial network (ICB 2018).

    Parameters
    ----------
    weights : path-like or None
        A file of this family with one network; None: the packaged one.
    prototypes : path-like or None
        The prototypes' file; None: the packaged one.
    """

    packaged: ClassVar[str] = "san"

    def _face(self, loaded: Family, x: Tensor, pairs: Pairs, rng: np.random.Generator) -> Tensor:
        return in_sequence(loaded.nets[:1], x, pairs[:1], loaded.form)


class EnsembleSan(_Drawn):
    """Several networks trained against different judges (BTAS 2018).

    Parameters
    ----------
    weights, prototypes : path-like or None
        As for `San`.
    member : {"average", "random"} or int
        The mean of all members' faces, one member drawn for each face, or the member of this number, from 1.
    """

    packaged: ClassVar[str] = "ensemble_san"

    def __init__(
        self,
        weights: str | Path | None = None,
        prototypes: str | Path | None = None,
        member: Literal["average", "random"] | int = "average",
    ) -> None:
        super().__init__(weights, prototypes)
        self.member = member
        self.stochastic = member == "random"  # type: ignore[misc]  # otherwise deterministic

    def to(self, device: str) -> EnsembleSan:
        """Move to `device` and check the settings; return self."""
        super().to(device)
        self._members(np.random.default_rng(0))
        return self

    def _members(self, rng: np.random.Generator) -> list[int]:
        count = len(self.loaded().nets)
        if self.member == "average":
            return list(range(count))
        if self.member == "random":
            return [int(rng.integers(count))]
        if not isinstance(self.member, int) or not 1 <= self.member <= count:
            raise UsageError(f"ensemble-san.member: expected average, random or 1 to {count}, got {self.member}")
        return [self.member - 1]

    def _face(self, loaded: Family, x: Tensor, pairs: Pairs, rng: np.random.Generator) -> Tensor:
        members = self._members(rng)
        return averaged([loaded.nets[k] for k in members], x, [pairs[k] for k in members], loaded.form)


class FlowSan(_Drawn):
    """Networks in sequence, each trained on the output of the ones before (IEEE Access 2019).

    Parameters
    ----------
    weights, prototypes : path-like or None
        As for `San`.
    depth : int or None
        Number of networks used, from the first; None: all.
    """

    packaged: ClassVar[str] = "flow_san"

    def __init__(
        self,
        weights: str | Path | None = None,
        prototypes: str | Path | None = None,
        depth: int | None = None,
    ) -> None:
        super().__init__(weights, prototypes)
        self.depth = depth

    def to(self, device: str) -> FlowSan:
        """Move to `device` and check the settings; return self."""
        super().to(device)
        self._depth()
        return self

    def _depth(self) -> int:
        count = len(self.loaded().nets)
        if self.depth is not None and not 1 <= self.depth <= count:
            raise UsageError(f"flow-san.depth: expected 1 to {count}, got {self.depth}")
        return self.depth or count

    def _face(self, loaded: Family, x: Tensor, pairs: Pairs, rng: np.random.Generator) -> Tensor:
        depth = self._depth()
        return in_sequence(loaded.nets[:depth], x, pairs[:depth], loaded.form)
