"""The photos that are open on the page, in memory: found faces, crops and estimates are kept between requests."""

from __future__ import annotations

import ctypes
import math
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.contracts import UNKNOWN, AttributeEstimator, FaceMatcher
from facepriv.errors import NoFaceError
from facepriv.evaluation.pairing import Pixels
from facepriv.evaluation.predictions import JUDGE_SIZE, Predictions, predict_faces
from facepriv.faces import Face, crop_faces
from facepriv.faces.finding import Found
from facepriv.image import Photo, decode_image, encode_image
from facepriv.protection.pipeline import Pipeline, Prepared, Protected
from facepriv.report.sheet_image import amplified_change
from facepriv.schema import ATTRIBUTES
from facepriv.serve import pictures
from facepriv.serve.asked import Ask
from facepriv.serve.models import Models, said

#: Most photos that stay open, and most pixels of all of them together; the last one opened always stays.
MOST_OPEN, MOST_PIXELS = 6, 60_000_000
#: The method that the page begins with, where it is installed.
FIRST = "privacynet"


class Closed(Exception):
    """A photo is no longer in memory; the page sends it again."""


@dataclass
class OpenPhoto:
    """One photo and what is known about it.

    Parameters
    ----------
    name : str
        Its file name.
    photo : Photo
    view : Image
        `pictures.whole` of it.
    found, prepared, judged : dict
        What was computed, by what it depends on.
    last : tuple of (Ask, Protected) or None
        The last result.
    """

    name: str
    photo: Photo
    view: Image.Image
    found: dict[Any, Found] = field(default_factory=dict)
    prepared: dict[Any, Prepared] = field(default_factory=dict)
    judged: dict[Any, Predictions] = field(default_factory=dict)
    last: tuple[Ask, Protected] | None = None

    @property
    def pixels(self) -> int:
        """Number of its pixels."""
        return math.prod(self.photo.pixels.shape[:2])


class Photos:
    """The open photos.

    Parameters
    ----------
    models : Models
    """

    def __init__(self, models: Models) -> None:
        self.models = models
        self._open: OrderedDict[str, OpenPhoto] = OrderedDict()

    def open(self, photo: str, name: str, data: bytes) -> dict[str, Any]:
        """Decode an uploaded file under the id `photo`; raises `ImageError` as ``apply`` does."""
        decoded = decode_image(data, name)
        self._open[photo] = OpenPhoto(name, decoded, pictures.whole(decoded.rgb8()))
        while len(self._open) > MOST_OPEN or self._too_much():
            self._open.popitem(last=False)
        height, width = decoded.pixels.shape[:2]
        return {"width": width, "height": height}

    def warm_up(self) -> None:
        """Load detectors, judges and the first method on a picture without a face, so that the first photo is quick."""
        self._judge(np.zeros((1, JUDGE_SIZE, JUDGE_SIZE, 3), np.uint8))
        ask = Ask.read({"method": FIRST, "hide": ["gender"]})
        self.models.finder(ask.finding).find(Photo(np.zeros((128, 128, 3), np.uint8)))
        if FIRST in self.models.registry.descriptors("method"):
            self.models.pipeline(ask)

    def _too_much(self) -> bool:
        return len(self._open) > 1 and sum(each.pixels for each in self._open.values()) > MOST_PIXELS

    def close(self, photo: str) -> None:
        """Forget a photo."""
        self._open.pop(photo, None)

    def faces(self, photo: str, ask: Ask) -> dict[str, Any]:
        """Return the original: its picture, and the faces with their places and pictures.

        Raises
        ------
        Closed
            If the photo is not open.
        FaceprivError
            If the detector is unknown or fails.
        """
        item = self._get(photo)
        found = self._found(item, self.models.finder(ask.finding), ask)
        rgb = item.photo.rgb8()
        shown = pictures.windows(found.faces, rgb.shape)
        return {
            "whole": pictures.jpeg_uri(item.view),
            "faces": [
                {"box": face.box, "window": window, "before": pictures.jpeg_uri(_view(rgb, window, shown))}
                for face, window in zip(found.faces, shown, strict=False)
            ],
            "boxes": [face.box for face in found.faces],
            "small": found.small,
            "uncertain": found.uncertain,
        }

    def show(self, photo: str, ask: Ask, *, whole: bool = True) -> dict[str, Any]:
        """Return the protected photo: its picture, and each face with its change and figures.

        Parameters
        ----------
        photo : str
        ask : Ask
        whole : bool
            Whether the picture of the whole photo is wanted.

        Raises
        ------
        Closed
            If the photo is not open.
        FaceprivError
            If the request does not fit the method, or a component fails.
        """
        item = self._get(photo)
        pipeline, done = self._protected(item, ask)
        before, after = item.photo.rgb8(), done.photo.rgb8()
        faces = done.prepared.faces
        shown = pictures.windows(faces, before.shape)
        figures = self._figures(item, pipeline, ask, done, len(shown))
        made = []
        for n, window in enumerate(shown):
            views = [_view(rgb, window, shown) for rgb in (before, after)]
            made.append(
                {
                    "after": pictures.jpeg_uri(views[1]),
                    "change": pictures.jpeg_uri(amplified_change(*views)),
                    "unchanged": bool(np.array_equal(done.prepared.batch.images[n], done.crops[n])),
                    "classes": _classes(done.prepared, n),
                    **figures[n],
                }
            )
        result: dict[str, Any] = {"faces": made}
        if whole:
            view = pictures.repainted(item.view, after, [face.framed(pipeline.frame) for face in faces])
            result["whole"] = pictures.jpeg_uri(view)
            result["change"] = pictures.jpeg_uri(amplified_change(item.view, view))
        return result

    def download(self, photo: str, ask: Ask) -> bytes:
        """Return the file that ``facepriv apply`` writes for the photo; raises what `show` raises.

        Raises
        ------
        NoFaceError
            If no face was found: ``apply`` writes no file then, unless asked for an unprotected copy.
        ImageError
            If the photo's suffix does not fit its content.
        """
        item = self._get(photo)
        _, done = self._protected(item, ask)
        if not done.prepared.faces:
            raise NoFaceError(f"{item.name}: no face found, so there is no protected photo")
        return encode_image(done.photo, item.name, keep_metadata=ask.keep_metadata)

    def _get(self, photo: str) -> OpenPhoto:
        if photo not in self._open:
            raise Closed
        self._open.move_to_end(photo)
        return self._open[photo]

    def _found(self, item: OpenPhoto, pipeline: Pipeline, ask: Ask) -> Found:
        part = (*ask.finding, pipeline.dense)
        if part not in item.found:
            item.found[part] = pipeline.find(item.photo)
        return item.found[part]

    def _protected(self, item: OpenPhoto, ask: Ask) -> tuple[Pipeline, Protected]:
        pipeline = self.models.pipeline(ask)
        if item.last is None or item.last[0] != ask:
            part = (ask.method, ask.settings, ask.finding)
            if part not in item.prepared:
                item.prepared[part] = pipeline.crop(item.photo, self._found(item, pipeline, ask))
            item.last = None  # its pixels are freed first
            item.last = ask, pipeline.finish([pipeline.aim(item.prepared[part])])[0]
        return pipeline, item.last[1]

    def _figures(
        self, item: OpenPhoto, pipeline: Pipeline, ask: Ask, done: Protected, count: int
    ) -> list[dict[str, Any]]:
        """Return what judges say of the first faces before and after, and the scores of matchers.

        The judges see the places where the faces were found in the original.
        """
        faces = done.prepared.faces[:count]
        if not faces:
            return []
        seen = self.models.seen(pipeline)
        part = (*ask.finding, pipeline.dense)
        if part not in item.judged:
            crops = _judge_crops(item.photo.rgb8(), faces)
            item.judged[part] = self._judge(np.concatenate([crops, crops[:, :, ::-1]]))
        before, after = item.judged[part], self._judge(_judge_crops(done.photo.rgb8(), faces))
        rows: list[dict[str, Any]] = [{"estimates": [], "matches": []} for _ in faces]
        for name, model in self.models.judge_models.items():
            for n, row in enumerate(rows):
                own, mirrored, now = before[name][n], before[name][n + len(faces)], after[name][n]
                about = {"judge": name, "seen": name in seen}
                if isinstance(model, AttributeEstimator):
                    both = {"before": said(model, own), "after": said(model, now)}
                    row["estimates"].append(about | {"attribute": model.attribute} | both)
                elif isinstance(model, FaceMatcher):
                    scores = {"own": _score(model, own, now), "mirror": _score(model, mirrored, now)}
                    base = {"mirror_before": _score(model, mirrored, own), "threshold": model.threshold}
                    row["matches"].append(about | scores | base)
        return rows

    def _judge(self, crops: NDArray[np.uint8]) -> Predictions:
        seen = np.ones(len(crops), dtype=bool)
        return predict_faces({"seen": seen, "images": crops}, self.models.judge_models)


def _view(rgb: Pixels, window: pictures.Box, shown: list[pictures.Box]) -> Image.Image:
    return pictures.face_view(rgb, window, len(shown))


def _judge_crops(rgb: Pixels, faces: list[Face]) -> NDArray[np.uint8]:
    return np.rint(crop_faces(rgb, faces, JUDGE_SIZE) * 255).astype(np.uint8)


def _score(model: FaceMatcher, one: NDArray[np.float32], other: NDArray[np.float32]) -> float | None:
    value = float(model.score(one[None], other[None])[0])
    return value if math.isfinite(value) else None


def _classes(prepared: Prepared, n: int) -> dict[str, dict[str, str]]:
    """Return attribute -> the class estimated by the pipeline, and the target that it was given."""
    named = {}
    for name, spec in ATTRIBUTES.items():
        own, target = int(prepared.source[name][n]), int(prepared.target[name][n])
        if own != target or own != UNKNOWN:
            words = [spec.classes[index] if index != UNKNOWN else "" for index in (own, target)]
            named[name] = {"own": words[0], "target": words[1]}
    return named


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
