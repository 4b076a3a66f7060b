"""A light copy of a training pack, for transfer to another machine: JPEG crops, without the test part and children.

A face of 112 pixels takes about 3 KB instead of 38. Besides ``rows.csv`` and ``pack.json`` the pack contains
``crops.jpegs``: concatenated JPEGs, each with its length in four bytes before it.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.jpegs import CROPS, piece
from facepriv.datasets.pack import FORMAT, INFO, ROWS, frame_info, new_pack, open_pack
from facepriv.errors import DataError
from facepriv.files import atomic_write
from facepriv.schema import ADULT


def lighten(pack: Path, out: Path, quality: int = 75, *, most: float | None = None, overwrite: bool = False) -> int:
    """Write the light copy of `pack` to `out`, which appears once complete; returns its number of faces.

    Parameters
    ----------
    pack, out : Path
    quality : int
        JPEG quality.
    most : float or None
        Maximum size of the crops in MiB: a random selection of as many faces as fit, the same each time. None: all.

    Raises
    ------
    DataError
        If `pack` is not a pack or has no face to keep, `most` is too small for a single face, or `out` exists (unless
        `overwrite`, and it is a pack).
    """
    opened = open_pack(pack, frame=None)
    kept = np.flatnonzero((opened.columns["part"] != "test") & ~(opened.years < ADULT))
    if not len(kept):
        raise DataError(f"{pack}: holds no face of {ADULT} and over outside of its test part")
    pieces = _fitting(opened.crops, kept, quality, float("inf") if most is None else most * 2**20)
    if not pieces:
        raise DataError(f"{pack}: not one face fits into {most:g} MiB")
    kept = np.array(sorted(pieces))
    size, frame = opened.crops.shape[1], frame_info(opened.frame)
    info = {"format": FORMAT, "size": size, **frame, "crops": len(kept), "quality": quality}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(opened.columns)
    writer.writerows(zip(*(values[kept] for values in opened.columns.values()), strict=True))
    with new_pack(out, overwrite=overwrite) as partial:
        atomic_write(partial / CROPS, b"".join(pieces[row] for row in kept))
        atomic_write(partial / ROWS, text.getvalue().encode())
        atomic_write(partial / INFO, (json.dumps(info, indent=1) + "\n").encode())
    return len(kept)


def _fitting(crops: NDArray[np.uint8], rows: NDArray[np.int64], quality: int, most: float) -> dict[int, bytes]:
    """Return row -> its JPEG with length prefix, for as many `rows` as fit in `most` bytes."""
    pieces: dict[int, bytes] = {}
    size = 0
    for row in np.random.default_rng(0).permutation(rows).tolist():
        data = piece(crops[row], quality)
        size += len(data)
        if size > most:
            break
        pieces[row] = data
    return pieces
