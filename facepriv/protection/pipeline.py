"""The pipeline of a photo: find faces, crop, estimate labels, choose targets, change the crops, paste them back.

All randomness depends on the photo's bytes, so the result is the same if a photo is processed alone or with others.
`find`, `crop` and `finish` use one thread of torch, so that the result does not depend on the caller's setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import STANDARD, UNKNOWN, FaceBatch, FaceDetector, Frame, Images
from facepriv.errors import FaceprivError, PluginError, UsageError, WeightsError, one_line
from facepriv.faces import Face, crop_faces, paste
from facepriv.faces.detectors import Dlib
from facepriv.faces.finding import MIN_FACE, Found, find_with
from facepriv.image.photo import Photo
from facepriv.pool import on_one_thread
from facepriv.protection.request import PrivacyRequest, face_rng
from facepriv.registry import (
    Estimator,
    Method,
    Registry,
    build_detector,
    build_estimator,
    build_method,
    check_changeable,
    check_device,
    check_neutral,
    wanted_labels,
)
from facepriv.schema import ATTRIBUTES

#: Side of the crops if no method sets its own.
DEFAULT_CROP = 224


@dataclass(frozen=True)
class Prepared:
    """A photo with its faces detected, cropped and labelled, before any method runs.

    Parameters
    ----------
    photo : Photo
    faces : list of Face
        May be empty.
    batch : FaceBatch
        The crops, landmarks if a method needs them, and own classes (-1 if no method needs them).
    source, target : dict of str to (N,) int64
        Source and target classes of each face, from the request.
    small, uncertain : int
        Numbers of faces that cannot be protected well, see `facepriv.faces.finding.Found`.
    """

    photo: Photo
    faces: list[Face]
    batch: FaceBatch
    source: dict[str, NDArray[np.int64]]
    target: dict[str, NDArray[np.int64]]
    small: int = 0
    uncertain: int = 0


@dataclass(frozen=True)
class Protected:
    """A photo after the last method; `crops` (N, S, S, 3) are its changed faces."""

    prepared: Prepared
    crops: Images
    photo: Photo


@dataclass
class Pipeline:
    """One or more methods, applied in order to all faces of a photo.

    Parameters
    ----------
    methods : sequence of Method
        None at all only finds faces.
    request : PrivacyRequest
    key : bytes
        The run's secret. It seeds drawn targets and must not appear in any output.
    estimators : mapping
        Attribute -> Estimator, for every attribute in `wanted_labels(methods)`.
    batch_size : int
        Maximum number of faces passed to a method at once.
    detector : FaceDetector
    min_face : float
        Width in pixels of the smallest faces to search for.

    Raises
    ------
    UsageError
        If no method can change a hidden attribute, a method does not support a requested target ``neutral``, or the
        methods need different frames.
    """

    methods: Sequence[Method]
    request: PrivacyRequest
    key: bytes = field(repr=False)
    estimators: Mapping[str, Estimator] = field(default_factory=dict)
    batch_size: int = 8
    detector: FaceDetector = field(default_factory=Dlib)
    min_face: float = MIN_FACE

    def __post_init__(self) -> None:
        check_changeable({m.name: m.perturber.attributes for m in self.methods}, self.request.hidden)
        check_neutral(self.methods, self.request.targets)
        self.frame = _common_frame(self.methods)
        sizes = [m.perturber.crop_size for m in self.methods]
        self.crop_size = max(sizes, default=0) or DEFAULT_CROP
        self.dense = any("landmarks" in m.perturber.needs for m in self.methods)
        replaces = any(m.perturber.paste == "replacement" for m in self.methods)
        self.paste_mode: Literal["residual", "replacement"] = "replacement" if replaces else "residual"

    def with_request(self, request: PrivacyRequest, key: bytes) -> Pipeline:
        """Return a pipeline with the same loaded methods for another request and another secret."""
        return replace(self, request=request, key=key)

    def protect(self, photo: Photo) -> Protected:
        """Change all faces of one photo; a photo without faces is returned unchanged."""
        return self.finish([self.prepare(photo)])[0]

    def prepare(self, photo: Photo) -> Prepared:
        """Detect, crop and label the faces of a photo, and choose their targets.

        Raises
        ------
        PluginError
            If the detector fails.
        WeightsError
            If its weights are missing or damaged: no photo can be processed.
        """
        return self.crop(photo, self.find(photo))

    @on_one_thread()
    def find(self, photo: Photo) -> Found:
        """Detect the faces of a photo; raises what `prepare` raises."""
        try:
            return find_with(self.detector, photo.rgb8(), min_face=self.min_face, dense=self.dense)
        except FaceprivError:
            raise
        except (Exception, SystemExit) as error:  # a plugin may raise anything; the user gets one line
            raise PluginError(f"detector {type(self.detector).__name__}: {one_line(error)}") from error

    @on_one_thread()
    def crop(self, photo: Photo, found: Found) -> Prepared:
        """Crop and label detected faces, and choose their targets.

        Parameters
        ----------
        photo : Photo
        found : Found
            The faces by this pipeline's detector, with 68 landmarks if a method needs them (`dense`).
        """
        faces = found.faces
        rgb = photo.rgb8()
        standard = crop_faces(rgb, faces, self.crop_size)
        labels = self._labels(standard)
        framed = [face.framed(self.frame) for face in faces]
        crops = standard if self.frame == STANDARD else crop_faces(rgb, framed, self.crop_size)
        landmarks = None
        if self.dense:
            dense = [face.landmarks_in_crop(self.crop_size) for face in framed]
            landmarks = np.stack(dense) if dense else np.zeros((0, 68, 2), np.float32)  # type: ignore[arg-type]
        batch = FaceBatch(crops, landmarks, labels)
        return self.aim(Prepared(photo, faces, batch, {}, {}, found.small, found.uncertain))

    def aim(self, item: Prepared) -> Prepared:
        """Choose the targets of prepared faces by this pipeline's request; several requests can share the rest."""
        rngs = [self._rng(item.photo, n, "targets", self.key) for n in range(len(item.faces))]
        source, target = self.request.resolve(item.batch.labels, rngs)
        return replace(item, source=source, target=target)

    @on_one_thread()
    def finish(self, items: Sequence[Prepared]) -> list[Protected]:
        """Run the methods on the faces of several photos in batches, and paste the results.

        Raises
        ------
        PluginError
            If a method fails; the text names it. Call with one item at a time to find the photo that caused it.
        WeightsError
            If a method's weights are missing or damaged: no photo can be processed.
        """
        changed = self._perturb(items)
        results = []
        for item in items:
            crops, changed = changed[: len(item.faces)], changed[len(item.faces) :]
            pixels = item.photo.pixels.copy()
            for face, before, after in zip(item.faces, item.batch.images, crops, strict=True):
                paste(pixels, face.framed(self.frame), before, after, self.paste_mode)
            results.append(Protected(item, crops, item.photo.with_pixels(pixels)))
        return results

    def _labels(self, crops: Images) -> dict[str, NDArray[np.int64]]:
        labels = {name: np.full(len(crops), UNKNOWN, dtype=np.int64) for name in ATTRIBUTES}
        # One face at a time: estimators that share a network run it once for consecutive queries of the same face.
        for n in range(len(crops)):
            for name, estimator in self.estimators.items():
                labels[name][n : n + 1] = estimator.classes(crops[n : n + 1])
        return labels

    def _perturb(self, items: Sequence[Prepared]) -> Images:
        """Return the changed crops of all items, (sum of faces, S, S, 3)."""
        if not any(item.faces for item in items):
            return np.zeros((0, self.crop_size, self.crop_size, 3), np.float32)
        batch = _joined([item.batch for item in items])
        source = {name: np.concatenate([item.source[name] for item in items]) for name in ATTRIBUTES}
        target = {name: np.concatenate([item.target[name] for item in items]) for name in ATTRIBUTES}
        owners = [(item.photo, n) for item in items for n in range(len(item.faces))]
        parts = [slice(start, start + self.batch_size) for start in range(0, len(owners), self.batch_size)]
        images = batch.images
        for position, method in enumerate(self.methods):
            purpose = self._purpose(position)
            # Each method gets only the changes that it supports; other methods of the chain make the rest.
            wanted = {a: target[a] if a in method.perturber.attributes else source[a] for a in ATTRIBUTES}
            drawn = self._drawn(method)
            own = {a: np.full_like(source[a], UNKNOWN) if a in drawn else source[a] for a in ATTRIBUTES}
            labels = {a: own[a] if a in drawn else values for a, values in batch.labels.items()}
            faces = FaceBatch(images, batch.landmarks, labels)
            done = []
            for part in parts:
                rngs = [self._rng(photo, n, purpose) for photo, n in owners[part]]
                done.append(self._run(method, faces.take(part), _take(own, part), _take(wanted, part), rngs))
            images = np.concatenate(done)
        return images

    def _drawn(self, method: Method) -> set[str]:
        """Return the attributes with a drawn target whose own class a method must not know, see `Perturber.blind`."""
        if self.request.policy != "random" or not method.perturber.blind:
            return set()
        return {a for a in self.request.hidden if a not in self.request.targets} & set(method.perturber.attributes)

    def _run(
        self,
        method: Method,
        faces: FaceBatch,
        source: dict[str, NDArray[np.int64]],
        target: dict[str, NDArray[np.int64]],
        rngs: list[np.random.Generator],
    ) -> Images:
        try:
            return method.perturber.perturb(faces, source, target, strength=self.request.strength, rngs=rngs)
        except WeightsError:
            raise  # no photo can be processed
        except (Exception, SystemExit) as error:  # a plugin may raise anything; the user gets one line
            raise PluginError(f"method '{method.name}': {one_line(error)}") from error

    def _rng(self, photo: Photo, face: int, purpose: str, key: bytes = b"") -> np.random.Generator:
        return face_rng(photo.content_hash, face, purpose, self.request.seed, key)

    def _purpose(self, position: int) -> str:
        """Return the noise key of one method of the chain: its name, numbered if it occurs more than once."""
        # An alias uses the draws of its method, so that two settings of one method can be compared.
        names = [m.component or m.name for m in self.methods]
        name, times = names[position], names[:position].count(names[position])
        return f"{name}#{times + 1}" if times else name


def build_pipeline(
    registry: Registry,
    methods: Sequence[str],
    request: PrivacyRequest,
    *,
    key: bytes,
    estimators: Mapping[str, str] | None = None,
    device: str = "cpu",
    batch_size: int = 8,
    thorough: bool = False,
    detector: str = "dlib",
    min_face: float = MIN_FACE,
) -> Pipeline:
    """Build methods and the estimators that they need by name.

    Parameters
    ----------
    registry : Registry
    methods : sequence of str
        Applied in order.
    request : PrivacyRequest
    key : bytes
        The run's secret, see `Pipeline`.
    estimators : mapping, optional
        Attribute -> name of the estimator of a face's own class; by default ``family-a-ATTRIBUTE``.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, ...
    batch_size, min_face
        See `Pipeline`.
    thorough : bool
        See `facepriv.faces.find_faces`.
    detector : str
        Name of the detector. The default, dlib, is that of all figures: `find_faces` finds the same faces in outputs.

    Raises
    ------
    UsageError
        If a name, an attribute or the device is unknown, or a method does not support the request.
    PluginError
        If a component cannot be loaded, or a required estimator is not installed.
    """
    if not methods:
        raise UsageError("no method named; 'facepriv methods' lists them")
    check_device(device)
    chain = [build_method(registry, name, device) for name in methods]
    # Checked before estimators are loaded, so that a wrong call does not report a missing package first.
    check_changeable({m.name: m.perturber.attributes for m in chain}, request.hidden)
    check_neutral(chain, request.targets)
    chosen = dict(estimators or {})
    found = {name: build_estimator(registry, name, chosen.get(name, "")) for name in wanted_labels(chain)}
    finder = build_detector(detector, thorough=thorough)
    return Pipeline(chain, request, key, found, batch_size, finder, min_face)


def _common_frame(methods: Sequence[Method]) -> Frame:
    """Return the frame that all methods of a chain need; raise `UsageError` if they need different ones."""
    frames = {m.perturber.frame: m.name for m in methods}
    if len(frames) > 1:
        one, other = list(frames.values())[:2]
        raise UsageError(f"{one} and {other} need crops of different frames: apply one to the output of the other")
    return next(iter(frames), STANDARD)


def _joined(batches: Sequence[FaceBatch]) -> FaceBatch:
    """Put the faces of several photos into one batch; all have landmarks, or none has."""
    landmarks = [b.landmarks for b in batches if b.landmarks is not None]
    return FaceBatch(
        np.concatenate([b.images for b in batches]),
        np.concatenate(landmarks) if landmarks else None,
        {name: np.concatenate([b.labels[name] for b in batches]) for name in ATTRIBUTES},
    )


def _take(values: Mapping[str, NDArray[np.int64]], part: slice) -> dict[str, NDArray[np.int64]]:
    return {name: array[part] for name, array in values.items()}
