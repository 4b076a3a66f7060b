"""Crops of the subject's face in data set photos, for training or evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import STANDARD, Frame
from facepriv.errors import DataError, ImageError
from facepriv.faces.align import Face

CropFailure = Literal["no_face", "unreadable"]
Crop = NDArray[np.uint8] | CropFailure


def nearest_centre(faces: list[Face], shape: tuple[int, ...]) -> Face:
    """Return the face nearest the centre of a photo of `shape` (H, W, ...); data sets centre the labelled person."""
    middle = np.array(shape[1::-1]) / 2
    return min(faces, key=lambda face: float(np.hypot(*(face.points.mean(axis=0) - middle))))


def crop_subject(path: Path, size: int, frame: Frame = STANDARD) -> Crop:
    """Return the crop (size, size, 3) uint8 of the face nearest the photo's centre, or the error."""
    from facepriv.faces import find_faces
    from facepriv.image.decode import read_image

    try:
        rgb = read_image(path).rgb8()
    except ImageError:
        return "unreadable"
    return cut_subject(rgb, find_faces(rgb), size, frame)


def cut_subject(rgb: NDArray[np.uint8], found: list[Face], size: int, frame: Frame = STANDARD) -> Crop:
    """Return `crop_subject` of a photo (H, W, 3) whose faces are already detected."""
    from facepriv.faces import crop_face

    if not found:
        return "no_face"
    return np.rint(crop_face(rgb, nearest_centre(found, rgb.shape).framed(frame), size) * 255).astype(np.uint8)


def crop_subjects(paths: Iterable[Path], size: int, workers: int = 1, frame: Frame = STANDARD) -> Iterator[Crop]:
    """Yield `crop_subject` of each path, in order, from `workers` processes."""
    if workers <= 1:
        yield from map(crop_subject, paths, repeat(size), repeat(frame))
        return
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(crop_subject, paths, repeat(size), repeat(frame), chunksize=32)
    except BrokenProcessPool as error:
        raise DataError("a worker process died, perhaps because memory ran out: use fewer --workers") from error
