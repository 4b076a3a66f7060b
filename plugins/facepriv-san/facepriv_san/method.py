"""The three methods: one network, an ensemble, a sequence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from facepriv.contracts import FaceBatch, Frame, Images, Labels, Perturber, Rngs
from facepriv.errors import UsageError
from facepriv.weights import packaged_weights
from facepriv_san import family
from facepriv_san.family import OUTPUTS, PACKAGE, Family, averaged, grey_if_published, in_sequence
from facepriv_san.prototypes import nearest

#: Index of the neutral prototype in a set of three, after male and female.
_NEUTRAL = 2


class _Drawn(Perturber):
    """Base class of the methods: files, prototypes, and the processing of one face."""

    attributes: ClassVar[tuple[str, ...]] = ("gender",)
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    neutral: ClassVar[tuple[str, ...]] = ("gender",)
    blind: ClassVar[bool] = True  # the own class selects a prototype, which shows in the drawing
    #: Name of the packaged weights for the published output; those for the residual, if any, end in ``_residual``.
    packaged: ClassVar[str] = ""
    #: How the output of several networks is combined.
    _combined = staticmethod(in_sequence)

    def __init__(
        self,
        weights: str | Path | None = None,
        prototypes: str | Path | None = None,
        output: Literal["published", "residual"] | None = None,
    ) -> None:
        self.weights = weights
        self.prototypes = prototypes
        self.output = output
        self.device = "cpu"

    @property
    def crop_size(self) -> int:  # type: ignore[override]  # read from the weights
        """Side of the crops used in training."""
        return self.loaded().form.size

    @property
    def frame(self) -> Frame:  # type: ignore[override]
        """The frame used in training."""
        return self.loaded().form.frame

    @property
    def paste(self) -> Literal["residual", "replacement"]:  # type: ignore[override]
        """A grey face replaces the photo's pixels: a difference would leave edges of colour."""
        return "replacement" if self.loaded().form.output == "published" else "residual"

    def to(self, device: str) -> _Drawn:
        """Move to `device` and check the settings; return self."""
        self.device = device
        self.loaded()
        self._used(np.random.default_rng(0))
        return self

    def info(self) -> dict[str, Any]:
        """Return the version, the weights' hash, and the evaluators used in training."""
        from facepriv_san import __version__

        weights = self.loaded().weights
        seen = list(weights.metadata.provenance.seen)
        return {"version": __version__, "weights": weights.sha256, "seen": seen}

    def weights_path(self) -> Path:
        """Return the path of the weights file in use."""
        if self.weights:
            return Path(self.weights)
        return packaged_weights(PACKAGE, self.packaged + ("_residual" if self.output == "residual" else ""))

    def loaded(self) -> Family:
        """Return the networks and their prototypes; raise `WeightsError` on failure."""
        if self.output not in (None, *OUTPUTS):
            raise UsageError(
                f"{self.packaged.replace('_', '-')}.output: expected {' or '.join(OUTPUTS)}, got {self.output}"
            )
        averages = Path(self.prototypes) if self.prototypes else None
        return family.load(self.weights_path(), averages, self.device, self.output)

    def _perturb(self, faces: FaceBatch, source: Labels, target: Labels, strength: float, rngs: Rngs) -> Images:
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
                used = self._used(rngs[n])
                pairs = [
                    (loaded.pictures[k][chosen[k][n], own[n]][None], loaded.pictures[k][chosen[k][n], shown[n]][None])
                    for k in used
                ]
                drawn = self._combined([loaded.nets[k] for k in used], x, pairs, loaded.form)
                out[n] = drawn[0].permute(1, 2, 0).cpu().numpy()
        given = faces.images
        # Where the result is grey, only light is mixed: half of a face's colours would still tell its gender.
        given = grey_if_published(torch.from_numpy(given).movedim(-1, 1), loaded.form).movedim(1, -1).numpy()
        return given + np.float32(strength) * (out - given)

    @abstractmethod
    def _used(self, rng: np.random.Generator) -> Sequence[int]:
        """Return the indices of the networks for one face; raise `UsageError` if a setting is invalid."""


class San(_Drawn):
    """One semi-adversarial network (ICB 2018).

    Parameters
    ----------
    weights : path-like or None
        A file of this family with one network; None: the packaged one.
    prototypes : path-like or None
        The prototypes' file; None: the packaged one.
    output : {"published", "residual"} or None
        A grey face, as published, or a change of light that keeps the colours; packaged are weights for both. None:
        what `weights` were trained for, or as published.
    """

    packaged: ClassVar[str] = "san"

    def _used(self, rng: np.random.Generator) -> Sequence[int]:
        return [0]


class EnsembleSan(_Drawn):
    """Several networks trained against different judges (BTAS 2018).

    Parameters
    ----------
    weights : path-like or None
        A file of this family with several networks; None: the packaged one.
    prototypes : path-like or None
        The prototypes' file; None: the packaged one.
    output : {"published", "residual"} or None
        A grey face, as published, or a change of light that keeps the colours. None: what `weights` were trained for,
        or as published.
    member : {"average", "random"} or int, at least 1
        The mean of all members' faces, one member drawn for each face, or the member of this number.
    """

    packaged: ClassVar[str] = "ensemble_san"
    _combined = staticmethod(averaged)

    def __init__(
        self,
        weights: str | Path | None = None,
        prototypes: str | Path | None = None,
        member: Literal["average", "random"] | int = "average",
        output: Literal["published", "residual"] | None = None,
    ) -> None:
        super().__init__(weights, prototypes, output)
        self.member = member
        self.stochastic = member == "random"  # type: ignore[misc]  # otherwise deterministic

    def _used(self, rng: np.random.Generator) -> Sequence[int]:
        count = len(self.loaded().nets)
        if self.member == "average":
            return range(count)
        if self.member == "random":
            return [int(rng.integers(count))]
        if not isinstance(self.member, int) or not 1 <= self.member <= count:
            raise UsageError(f"ensemble-san.member: expected average, random or 1 to {count}, got {self.member}")
        return [self.member - 1]


class FlowSan(_Drawn):
    """Networks in sequence, each trained on the output of the ones before (IEEE Access 2019).

    Parameters
    ----------
    weights : path-like or None
        A file of this family with several networks; None: the packaged one.
    prototypes : path-like or None
        The prototypes' file; None: the packaged one.
    output : {"published", "residual"} or None
        A grey face, as published, or a change of light that keeps the colours. None: what `weights` were trained for,
        or as published.
    depth : int or None, at least 1
        Number of networks used, from the first; None: all.
    """

    packaged: ClassVar[str] = "flow_san"

    def __init__(
        self,
        weights: str | Path | None = None,
        prototypes: str | Path | None = None,
        depth: int | None = None,
        output: Literal["published", "residual"] | None = None,
    ) -> None:
        super().__init__(weights, prototypes, output)
        self.depth = depth

    def _used(self, rng: np.random.Generator) -> Sequence[int]:
        count = len(self.loaded().nets)
        if self.depth is not None and not 1 <= self.depth <= count:
            raise UsageError(f"flow-san.depth: expected 1 to {count}, got {self.depth}")
        return range(self.depth or count)
