"""The contract of methods, and the batch of aligned faces that they change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts.arrays import check_finite, check_form, check_images, check_labels, check_range
from facepriv.errors import ContractError, UsageError

Images = NDArray[np.float32]
Labels = Mapping[str, NDArray[np.int64]]
#: One generator per face.
Rngs = Sequence[np.random.Generator]
UNKNOWN = -1


@dataclass(frozen=True)
class Frame:
    """The square of a photo that a method gets of a face. The landmarks place it and turn it upright.

    Parameters
    ----------
    side : float
        Side of the square, in sides of dlib's mean face.
    centre : float
        Height of its centre in the mean face, from 0 (top) to 1.
    """

    side: float = 2.0
    centre: float = 0.5


#: The frame of all evaluators, and of methods that declare none.
STANDARD = Frame()


@dataclass(frozen=True)
class FaceBatch:
    """Aligned face crops.

    Parameters
    ----------
    images : ndarray
        (N, S, S, 3) float32 RGB in [0, 1], aligned by `facepriv.faces.align` in the method's frame.
    landmarks : ndarray or None
        (N, 68, 2) float32, x and y in pixels of the crop.
    labels : mapping
        Attribute name -> (N,) int64 class index, -1 where unknown.

    Raises
    ------
    ContractError
        If a shape, dtype or range is not as above; the text contains the actual value.

    Examples
    --------
    >>> import numpy as np
    >>> faces = FaceBatch(np.zeros((2, 112, 112, 3), np.float32), labels={"gender": np.array([0, 1])})
    >>> len(faces), len(faces.take([1]))
    (2, 1)
    >>> FaceBatch(np.zeros((2, 112, 112, 3)))
    Traceback (most recent call last):
        ...
    facepriv.errors.ContractError: images: expected float32, got float64
    """

    images: Images
    landmarks: NDArray[np.float32] | None = None
    labels: Labels = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.landmarks is not None:
            expected = (len(self.images), 68, 2)
            if self.landmarks.shape != expected or self.landmarks.dtype != np.float32:
                raise ContractError(
                    f"landmarks: expected float32 {expected}, got {self.landmarks.dtype} {self.landmarks.shape}"
                )
            if not np.isfinite(self.landmarks).all():
                raise ContractError("landmarks: expected finite values, got NaN or infinity")
        for name, labels in self.labels.items():
            check_labels(name, labels, len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Sequence[int] | NDArray[Any] | slice) -> FaceBatch:
        """Return the faces selected by `index`, with their landmarks and labels."""
        landmarks = None if self.landmarks is None else self.landmarks[index]
        return FaceBatch(self.images[index], landmarks, {k: v[index] for k, v in self.labels.items()})


class Perturber(ABC):
    """A method that changes faces. Subclasses set the class attributes and implement `_perturb`.

    Constructors only store arguments; weights are read on first use, so that listing methods is fast.

    Examples
    --------
    >>> import numpy as np
    >>> class Grey(Perturber):
    ...     attributes = ("gender",)
    ...
    ...     def _perturb(self, faces, source, target, strength, rngs):
    ...         grey = faces.images.mean(axis=3, keepdims=True)
    ...         return faces.images + strength * (grey - faces.images)
    >>> faces = FaceBatch(np.full((1, 112, 112, 3), [0.9, 0.6, 0.3], np.float32))
    >>> own, other = {"gender": np.array([1])}, {"gender": np.array([0])}
    >>> Grey().perturb(faces, own, other, strength=0.5, rngs=[np.random.default_rng(0)])[0, 0, 0].round(2)
    array([0.75, 0.6 , 0.45], dtype=float32)
    """

    #: Attributes that the method can change.
    attributes: ClassVar[tuple[str, ...]] = ()
    #: The method's own crop size in pixels; other sizes are resized to it and back. 0: any size.
    crop_size: ClassVar[int] = 0
    #: The square that it gets of each face.
    frame: ClassVar[Frame] = STANDARD
    #: Required inputs: any of "landmarks", "labels" (own classes, estimated if the caller has none).
    needs: ClassVar[frozenset[str]] = frozenset()
    #: How the result is pasted: the difference is added to the photo (more of it where a face is small), or the pixels
    #: are replaced.
    paste: ClassVar[Literal["residual", "replacement"]] = "residual"
    #: Whether `rngs` changes the result.
    stochastic: ClassVar[bool] = False
    #: Attributes that it can also make neutral (no class): their target is -1 where their source is known.
    neutral: ClassVar[tuple[str, ...]] = ()
    #: Whether the core withholds the own class of an attribute whose target is drawn (policy ``random``): the source
    #: is then -1. A method that leaves a face of the wanted class as it is needs this to change all faces alike.
    blind: ClassVar[bool] = False

    def info(self) -> dict[str, Any]:
        """Return the manifest entries of the method: version, weights hash, evaluators seen in training.

        Keys: ``version`` (str), ``weights`` (str, sha256, or ""), ``seen`` (list of evaluator names), and ``dtype``
        (str), the number format of multiplications, if it depends on the processor.
        """
        return {"version": "", "weights": "", "seen": []}

    def to(self, device: str) -> Perturber:
        """Move to `device` (``cpu``, ``cuda``, ...). Methods without a network ignore it. Returns self."""
        return self

    @final
    def perturb(self, faces: FaceBatch, source: Labels, target: Labels, *, strength: float = 1.0, rngs: Rngs) -> Images:
        """Return changed faces, (N, S, S, 3) float32 in [0, 1], of the same size.

        Parameters
        ----------
        faces : FaceBatch
            The faces; never written to.
        source, target : mapping of str to (N,) int64
            Own and target class of each attribute; equal if the attribute is kept.
        strength : float
            0 returns the input, 1 is the full effect.
        rngs : sequence of Generator
            One per face, so that results do not depend on batch or order.

        Raises
        ------
        ContractError
            If the input or the result of the method breaks the contract.
        UsageError
            If an attribute is unknown, or the method cannot change an attribute that is to change.
        """
        self._check_request(faces, source, target, strength, rngs)
        if not len(faces) or strength == 0:
            return faces.images.copy()
        size = faces.images.shape[1]
        inner = resized(faces, self.crop_size or size)
        result = self._perturb(inner, source, target, strength, rngs)
        check_form(result, inner.images.shape, type(self).__name__)
        result = result.astype(np.float32, copy=False)
        check_finite(result, type(self).__name__)
        check_range(result, type(self).__name__)
        if result.shape[1] != size:
            # Only the difference is resized, so that the crop keeps its own detail. It may overshoot.
            result = faces.images + resize_images(result - inner.images, size)
        return np.clip(result, 0.0, 1.0)

    @abstractmethod
    def _perturb(self, faces: FaceBatch, source: Labels, target: Labels, strength: float, rngs: Rngs) -> NDArray[Any]:
        """Change valid input of the method's own size, N >= 1, strength > 0; must not write to `faces`.

        Returns
        -------
        ndarray
            Floats in [0, 1], of the faces' shape. Values outside by more than `arrays.ROUNDING`, 2/255, are an error.
        """

    def _check_request(self, faces: Any, source: Labels, target: Labels, strength: float, rngs: Sequence[Any]) -> None:
        if not isinstance(faces, FaceBatch):
            raise ContractError(f"faces: expected a FaceBatch, got {type(faces).__name__}")
        check_images(faces.images)  # again: a FaceBatch cannot prevent writes to its arrays
        if not 0 <= strength <= 1:
            raise ContractError(f"strength: expected 0 to 1, got {strength}")
        if len(rngs) != len(faces):
            raise ContractError(f"rngs: expected {len(faces)} generators, got {len(rngs)}")
        for rng in rngs:
            if not isinstance(rng, np.random.Generator):
                raise ContractError(f"rngs: expected numpy.random.Generator, got {type(rng).__name__}")
        if "landmarks" in self.needs and faces.landmarks is None:
            raise ContractError(f"{type(self).__name__} needs landmarks, got none")
        for name, wanted in target.items():
            check_labels(name, wanted, len(faces))
            own = source.get(name)
            if own is None:
                raise ContractError(f"target names '{name}' but source does not")
            check_labels(name, own, len(faces))
            if name not in self.attributes and not np.array_equal(own, wanted):
                raise UsageError(
                    f"{type(self).__name__} cannot change '{name}': it changes {', '.join(self.attributes) or 'none'}"
                )


def resized(faces: FaceBatch, size: int) -> FaceBatch:
    """Return `faces` at `size` pixels, landmarks scaled with them."""
    old = faces.images.shape[1]
    if old == size:
        return faces
    landmarks = faces.landmarks
    if landmarks is not None:
        landmarks = ((landmarks + 0.5) * (size / old) - 0.5).astype(np.float32)
    return FaceBatch(np.clip(resize_images(faces.images, size), 0, 1), landmarks, faces.labels)


def resize_images(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Resize (N, S, S, C) float32 to (N, size, size, C), antialiased when it shrinks; any range of values."""
    from PIL import Image

    out = np.empty((len(images), size, size, images.shape[3]), dtype=np.float32)
    for n, image in enumerate(images):
        for c in range(images.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(image[:, :, c]))
            out[n, :, :, c] = np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC))
    return out
