"""A gallery of the user's own photos: a folder, analysed once and kept in the user's cache.

The faces in these photos are mixed into other people's photos. The people shown should know this and agree.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from facepriv import files
from facepriv.datasets.readers import csvfolder
from facepriv.errors import DataError, FaceprivError
from facepriv.faces import crop_face, find_faces
from facepriv.files import file_sha256
from facepriv.image.decode import read_image
from facepriv.protection.inputs import discover
from facepriv.registry import build_estimator, registry
from facepriv.schema import ATTRIBUTES
from facepriv.weights import Provenance
from facepriv_face_mixing.gallery import Gallery, load, save

#: Side of the cached crops.
SIZE = 224
# Increased when an analysis would give other results for the same photos.
_FORMAT = "2"

_log = logging.getLogger("facepriv.face-mixing")


def gallery_key(folder: Path) -> str:
    """Return a hash of all inputs of a gallery: the photos' bytes and names, and their table of labels.

    Raises
    ------
    DataError
        If the folder is missing or holds no photo.
    """
    parts = [f"{name} {file_sha256(path)}" for name, path in sorted(_photos(folder).items())]
    table = folder / csvfolder.LABELS
    parts.append(file_sha256(table) if table.is_file() else "")
    return hashlib.sha256("\n".join([_FORMAT, *parts]).encode()).hexdigest()


@cache
def analysed(folder: Path) -> Gallery:
    """Return the gallery of a folder: from the cache if the same photos were analysed before.

    Every photo contributes its largest face. Classes are read from ``labels.csv`` (see
    `facepriv.datasets.readers.csvfolder`); missing ones are estimated as in ``facepriv apply``. A photo without a face
    is left out and named.

    Raises
    ------
    DataError
        If the folder is missing, or no photo in it contains a face.
    """
    kept = files.cache_folder("face-mixing") / f"{gallery_key(folder)}.safetensors"
    lock = kept.with_suffix(".lock")
    try:
        note = files.prepare_work_folder(kept.parent, "the faces of the gallery")
        lock.touch()
    except OSError as error:
        _log.warning("%s: %s, so the gallery is analysed anew in every process", kept.parent, error.strerror)
        return _analyse(folder)
    with FileLock(lock):  # no other process analyses the same gallery meanwhile
        if not kept.is_file():
            _log.warning("%s", note)
            origin = Provenance("photos of the user", "the first use of the folder", date.today().isoformat())
            save(kept, _analyse(folder), origin)
        return load(kept)


def _photos(folder: Path) -> dict[str, Path]:
    """Return name -> file of all photos in a folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the gallery is a folder of photos to mix with")
    found = {str(f.name): f.source for f in discover([str(folder)]).files}
    if not found:
        raise DataError(f"{folder}: holds no photo, so there is no face to mix with")
    return found


def _analyse(folder: Path) -> Gallery:
    """Find the face of every photo, its landmarks and its classes."""
    photos = sorted(_photos(folder).items())
    known = {}
    if (folder / csvfolder.LABELS).is_file():
        known = {record.path.resolve(): record.labels for record in csvfolder.read(folder)}
    _log.warning("%s: analysing %d photos to mix with, once", folder, len(photos))
    crops, points, labels = [], [], []
    for name, path in photos:
        try:
            rgb = read_image(path).rgb8()
            faces = find_faces(rgb, dense=True)
        except FaceprivError as error:
            _log.warning("%s, so it is left out of the gallery", error)
            continue
        if not faces:
            _log.warning("%s: no face found in %s, which is left out of the gallery", folder, name)
            continue
        crops.append(crop_face(rgb, faces[0], SIZE))
        dense = faces[0].landmarks_in_crop(SIZE)
        assert dense is not None  # requested above
        points.append((dense + 0.5) / SIZE)
        labels.append(known.get(path.resolve(), {}))
    if not crops:
        raise DataError(f"{folder}: no face was found in any of its {len(photos)} photos: add one to mix with")
    images = np.stack(crops)
    return Gallery(
        np.rint(images * 255).astype(np.uint8),
        np.stack(points).astype(np.float32),
        {name: _classes(name, images, labels) for name in ATTRIBUTES},
        np.ones(len(images), np.int64),
    )


def _classes(name: str, images: NDArray[np.float32], labels: list[dict[str, str]]) -> NDArray[np.int64]:
    """Return the class of every face: from the table, or else estimated."""
    spec = ATTRIBUTES[name]
    found = np.array([spec.index(row[name]) if name in row else -1 for row in labels], dtype=np.int64)
    open_ = np.flatnonzero(found < 0)
    if len(open_):
        found[open_] = build_estimator(registry(), name).classes(images[open_])
    return found
