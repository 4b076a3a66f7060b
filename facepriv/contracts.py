"""The interfaces that plugins implement. They exchange NumPy arrays; torch is not needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from facepriv.arrays import check_finite, check_floats, check_form, check_images, check_labels, check_range
from facepriv.errors import ContractError, UsageError
from facepriv.schema import attribute

#: Version of this contract. A plugin built for another version is listed but not loaded.
CONTRACT_VERSION = 2

Images = NDArray[np.float32]
Labels = Mapping[str, NDArray[np.int64]]
#: One generator per face.
Rngs = Sequence[np.random.Generator]
UNKNOWN = -1


@dataclass(frozen=True)
class FaceBatch:
    """Aligned face crops.

    Parameters
    ----------
    images : ndarray
        (N, S, S, 3) float32 RGB in [0, 1], aligned by `facepriv.faces.align`.
    landmarks : ndarray or None
        (N, 68, 2) float32, x and y in pixels of the crop.
    labels : mapping
        Attribute name -> (N,) int64 class index, -1 where unknown.

    Raises
    ------
    ContractError
        If a shape, dtype or range is not as above; the text contains the actual value.
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
    """

    #: Attributes that the method can change.
    attributes: ClassVar[tuple[str, ...]] = ()
    #: The method's own crop size in pixels; other sizes are resized to it and back. 0: any size.
    crop_size: ClassVar[int] = 0
    #: Required inputs: any of "landmarks", "labels" (own classes, estimated if the caller has none).
    needs: ClassVar[frozenset[str]] = frozenset()
    #: How the result is pasted: the difference is added to the photo, or the pixels are replaced.
    paste: ClassVar[Literal["residual", "replacement"]] = "residual"
    #: Whether `rngs` changes the result.
    stochastic: ClassVar[bool] = False
    #: Attributes that it can also make neutral (no class): their target is -1 where their source is known.
    neutral: ClassVar[tuple[str, ...]] = ()

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
            Floats in [0, 1], of the faces' shape. Values outside by more than `facepriv.arrays.ROUNDING` are an error.
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


class Evaluator(ABC):
    """Base class of estimators and matchers: models of aligned faces with a statement of their training data."""

    #: A text about its training data and training, for reports.
    trained_on: ClassVar[str] = ""

    def torch_module(self) -> Any:
        """Return a differentiable module that takes aligned crops, NCHW RGB in [0, 1], or None if there is none."""
        return None


class AttributeEstimator(Evaluator):
    """Estimates one attribute of aligned faces."""

    #: The attribute that it estimates.
    attribute: ClassVar[str] = ""
    #: "probabilities" (N, K) in the schema's class order, or "years" (N,).
    output: ClassVar[Literal["probabilities", "years"]] = "probabilities"

    @abstractmethod
    def predict(self, images: Images) -> NDArray[np.float32]:
        """Return probabilities (N, K) summing to 1, or years (N,), for aligned crops (N, S, S, 3) in [0, 1]."""

    def classes(self, images: Images) -> NDArray[np.int64]:
        """Return class indices (N,) int64: the likeliest class, or the age group of the years.

        If any value of a face is NaN or infinite, its class is unknown, -1.
        """
        predicted = self.predict(images)
        known = np.isfinite(predicted).reshape(len(predicted), -1).all(axis=1)
        years = self.output == "years"
        found = attribute(self.attribute).bin(predicted) if years else predicted.argmax(axis=1)
        return np.where(known, found, UNKNOWN).astype(np.int64)


class FaceMatcher(Evaluator):
    """Embeds aligned faces; two embeddings are compared by `score`."""

    @abstractmethod
    def embed(self, images: Images) -> NDArray[np.float32]:
        """Return (N, D) descriptors for aligned crops (N, S, S, 3) in [0, 1]; an all-NaN row: failure to acquire."""

    def score(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return similarities (N,) of rows of `a` and `b`, cosine by default: higher = more likely the same person."""
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return ((a * b).sum(axis=1) / np.maximum(norms, 1e-12)).astype(np.float32)

    def score_all(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return similarities (N, M) of every row of `a` with every row of `b`, equal to `score` up to rounding.

        A matcher that overrides `score` may override this for speed; by default `score` is called row by row.
        """
        if type(self).score is not FaceMatcher.score:
            rows = [self.score(np.broadcast_to(row, b.shape), b) for row in a]
            return np.stack(rows) if rows else np.empty((0, len(b)), dtype=np.float32)
        units = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6) for side in (a, b)]
        return (units[0] @ units[1].T).astype(np.float32)


@dataclass(frozen=True)
class Detections:
    """The faces that a detector found in a photo.

    Parameters
    ----------
    boxes : ndarray
        (N, 4) floats: left, top, right, bottom in pixels of the photo; they may extend over its border.
    scores : ndarray
        (N,) floats in [0, 1], higher where a face is more certain.
    landmarks : ndarray
        (N, 5, 2) floats, x and y in pixels of the photo; see `FaceDetector.points`.

    Raises
    ------
    ContractError
        If a shape, dtype or range is not as above, or a box has no area; the text contains the actual value.
    """

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    landmarks: NDArray[np.floating]

    def __post_init__(self) -> None:
        count = len(self.scores) if isinstance(self.scores, np.ndarray) else 0
        for name, shape in (("boxes", (count, 4)), ("scores", (count,)), ("landmarks", (count, 5, 2))):
            check_floats(name, getattr(self, name), shape)
        if count and not (self.boxes[:, 2:] > self.boxes[:, :2]).all():
            raise ContractError("boxes: expected left < right and top < bottom")
        if count and not (self.scores.min() >= 0 and self.scores.max() <= 1):
            raise ContractError(f"scores: expected 0 to 1, got {self.scores.min():.4g} to {self.scores.max():.4g}")

    def __len__(self) -> int:
        return len(self.scores)


class FaceDetector(ABC):
    """Finds the faces in a photo. Constructors only store arguments; weights are read on first use."""

    #: The five landmarks. "eyes-nose-mouth": centre of the eye on the left of the picture, of the other, tip of the
    #: nose, left and right corner of the mouth. "eye-corners-nose": those of dlib, see `facepriv.faces.align`.
    points: ClassVar[Literal["eyes-nose-mouth", "eye-corners-nose"]] = "eyes-nose-mouth"
    #: Least score of a sure face. Faces with lower scores are counted as uncertain, and are not changed.
    sure: ClassVar[float] = 0.5
    #: Whether the core also shows it the photo turned by 90, 180 and 270 degrees if no face is found.
    turns: ClassVar[bool] = True

    def parts(self) -> tuple[FaceDetector, ...]:
        """Return the detectors that this one combines, those whose faces count first; by default itself."""
        return (self,)

    @final
    def detect(self, photo: NDArray[np.uint8], min_face: float = 16.0) -> Detections:
        """Return the faces in a photo.

        Parameters
        ----------
        photo : ndarray
            (H, W, 3) uint8 RGB; never written to.
        min_face : float
            Width in pixels of the smallest faces to search for; smaller ones may be returned.

        Raises
        ------
        ContractError
            If the photo or the result of the detector breaks the contract.
        """
        if not isinstance(photo, np.ndarray) or photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            got = f"{photo.dtype} {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
            raise ContractError(f"photo: expected uint8 (H, W, 3), got {got}")
        if not photo.size:
            raise ContractError(f"photo: expected pixels, got shape {photo.shape}")
        if not min_face >= 1:
            raise ContractError(f"min_face: expected at least 1 pixel, got {min_face}")
        found = self._detect(photo, min_face)
        if not isinstance(found, Detections):
            raise ContractError(f"{type(self).__name__} returned {type(found).__name__}, expected Detections")
        return found

    @abstractmethod
    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        """Search a valid photo; must not write to it."""


#: Features that an attack extracts: name -> (N, ...), one row per face.
Notes = dict[str, NDArray[Any]]

#: Notes of M faces -> (M, K) probabilities of the classes.
Answer = Callable[[Notes], NDArray[np.float64]]

#: Trains a classifier, see `Tools`.
Fit = Callable[[NDArray[Any], NDArray[np.int64], NDArray[np.str_], int], Callable[[NDArray[Any]], NDArray[np.float64]]]


@dataclass(frozen=True)
class Tools:
    """The tools of an adversary, besides faces.

    Parameters
    ----------
    attribute : str
        The hidden attribute, which the adversary tries to recover.
    method : Perturber
        The method that protected the faces; it is public.
    estimators : mapping
        Name -> estimator of the attribute.
    matchers : mapping
        Name -> matcher.
    labels : mapping
        Attribute -> function that estimates the class of aligned faces, (N, S, S, 3) -> (N,) int64; for the labels that
        the method needs.
    fit : callable
        Takes notes (N, D), classes (N,), people (N,) and the number of classes K, and returns a classifier of notes
        (M, D) -> (M, K): a logistic regression, see `facepriv.attacks.logistic.fit_logistic`.
    """

    attribute: str
    method: Perturber
    estimators: Mapping[str, AttributeEstimator]
    matchers: Mapping[str, FaceMatcher]
    labels: Mapping[str, Callable[[Images], NDArray[np.int64]]]
    fit: Fit

    @property
    def classes(self) -> int:
        """Number of classes of the attribute."""
        return len(attribute(self.attribute).classes)


@dataclass(frozen=True)
class Known:
    """Notes of an adversary's training faces: N photos of people who are not in the test.

    Parameters
    ----------
    before, after : dict
        Notes of the originals (empty unless the attack needs them) and of the protected faces.
    classes : ndarray
        (N,) int64 true class; 0 for a detector.
    subjects : ndarray
        (N,) the person of each face.
    """

    before: Notes
    after: Notes
    classes: NDArray[np.int64]
    subjects: NDArray[np.str_]

    def take(self, index: NDArray[Any]) -> Known:
        """Return the faces selected by an index or a mask (N,)."""
        return Known(taken(self.before, index), taken(self.after, index), self.classes[index], self.subjects[index])


class Attack(ABC):
    """One way to recover hidden attributes from protected faces. Constructors only store arguments.

    An attack first extracts notes (features) from each face, without labels (`observe`). Then it trains on notes of
    other people's faces with known originals and classes (`learn`): anyone can run a public method on their own photos.
    It is tested on people who are not in its training data. The core picks the split.
    """

    #: "attribute": which class was hidden; "protection": whether a face is protected at all.
    asks: ClassVar[Literal["attribute", "protection"]] = "attribute"
    #: Whether it trains on the originals of other people besides their protected faces.
    needs_originals: ClassVar[bool] = False
    #: Whether its notes depend on the method.
    uses_method: ClassVar[bool] = False

    @abstractmethod
    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return notes of aligned crops (N, S, S, 3) float32 in [0, 1], computed for each face separately."""

    def learn(self, known: Known, tools: Tools) -> Answer:
        """Train on other people's faces; by default a logistic regression on all notes.

        Returns
        -------
        callable
            Notes of M faces -> (M, K) probabilities of the classes; for a detector (M, 2): original, protected.
        """
        if self.asks == "protection":
            notes = np.concatenate([flat(known.before), flat(known.after)])
            protected = np.repeat(np.array([0, 1], np.int64), len(known.classes))
            model = tools.fit(notes, protected, np.tile(known.subjects, 2), 2)
        else:
            model = tools.fit(flat(known.after), known.classes, known.subjects, tools.classes)
        return lambda notes: model(flat(notes))


def taken(notes: Notes, index: NDArray[Any]) -> Notes:
    """Return the rows of notes selected by an index or a mask."""
    return {name: rows[index] for name, rows in notes.items()}


def flat(notes: Notes) -> NDArray[np.float64]:
    """Return notes as one matrix (N, D), ordered by name."""
    return np.concatenate([notes[n].reshape(len(notes[n]), -1).astype(np.float64) for n in sorted(notes)], axis=1)
