"""Duplicate photos under two names, identical or nearly so. UTKFace has scores of them, in every part.

A photo that a model was trained on is no evidence in a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.datasets.record import Record
from facepriv.datasets.splits import TEST, TRAIN, VALIDATION
from facepriv.errors import DataError

_HELD_OUT = {TEST: 0, VALIDATION: 1, TRAIN: 2}
#: Two crops are near copies if their thumbnails correlate at least this much; different photos of one person do not.
NEAR = 0.98
_THUMBNAIL = 16
# Suspects compared with all others in one matrix product.
_AT_ONCE = 256


def without_copies(records: Sequence[Record]) -> list[int]:
    """Return the indices, in order, of one record for each distinct file content.

    Of byte-identical files the most held-out one is kept: test before validation before train.
    """
    kept: dict[bytes, int] = {}
    for i, record in enumerate(records):
        try:
            content = hashlib.sha256(record.path.read_bytes()).digest()
        except OSError:
            # A copy of nothing; the caller counts it as unreadable when reading.
            content = f"unreadable {i}".encode()
        best = kept.setdefault(content, i)
        if _HELD_OUT[record.part] < _HELD_OUT[records[best].part]:
            kept[content] = i
    return sorted(kept.values())


def part_without_copies(records: Sequence[Record], part: str) -> list[Record]:
    """Return the records of a part, without near copies of photos in other parts.

    A photo that names its person is never left out: sets with people are split by person. Photos are compared as a
    whole, without detection, which suits sets whose photos show little besides the face.

    Raises
    ------
    DataError
        If a photo cannot be read.
    """
    suspects = np.array([record.part == part and not record.subject for record in records])
    if not suspects.any():
        return [record for record in records if record.part == part]
    copied = near_copies(np.stack([_small(record.path) for record in records]), suspects)
    return [record for record, copy in zip(records, copied, strict=True) if record.part == part and not copy]


def _small(path: Path) -> NDArray[np.uint8]:
    """Return a whole photo at 32 pixels, (32, 32, 3)."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX))
    except OSError as error:
        raise DataError(f"{path}: cannot be read as an image: fetch it again, or remove it") from error


def near_copies(crops: NDArray[np.uint8], suspects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask (N,) of suspect crops with a near copy among the other crops.

    Parameters
    ----------
    crops : ndarray
        (N, S, S, 3) uint8 aligned crops, S at least 16; may be memory-mapped.
    suspects : ndarray
        (N,) bool, for example the crops of a test part.
    """
    thumbnails = np.stack([_thumbnail(crop) for crop in crops])
    known = thumbnails[~suspects]
    found = np.zeros(len(crops), dtype=bool)
    if len(known):
        chunks = np.array_split(thumbnails[suspects], 1 + suspects.sum() // _AT_ONCE)
        found[suspects] = np.concatenate([(chunk @ known.T >= NEAR).any(1) for chunk in chunks])
    return found


def _thumbnail(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a crop's thumbnail as a vector of mean 0 and length 1."""
    edges = np.linspace(0, len(crop), _THUMBNAIL + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(crop.astype(np.float32), edges, axis=0), edges, axis=1)
    areas = np.diff(np.append(edges, len(crop)))
    flat = (sums / (areas[:, None, None] * areas[None, :, None])).ravel()
    flat -= flat.mean()
    return flat / max(float(np.linalg.norm(flat)), 1e-6)
