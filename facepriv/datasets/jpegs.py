"""Crops of a light pack: concatenated JPEGs."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CROPS = "crops.jpegs"
# Length prefix of each JPEG.
_LENGTH = struct.Struct("<I")


def read_crops(path: Path) -> NDArray[np.uint8]:
    """Decode all crops of a light pack: (N, S, S, 3) uint8, in memory; raises `ValueError` on a damaged file."""
    return np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in _pieces(path.read_bytes())])


def _pieces(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        try:
            (length,) = _LENGTH.unpack_from(data, at)
        except struct.error as error:
            raise ValueError(f"{CROPS} is cut short") from error
        at += _LENGTH.size + length
        if at > len(data):
            raise ValueError(f"{CROPS} is cut short")
        yield data[at - length : at]


def piece(crop: NDArray[np.uint8], quality: int) -> bytes:
    """Return a crop (S, S, 3) uint8 as a JPEG with a length prefix."""
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "JPEG", quality=quality)
    return _LENGTH.pack(buffer.tell()) + buffer.getvalue()
