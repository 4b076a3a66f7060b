"""Readers of data sets in their native layouts, by their name on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from facepriv.datasets.record import Record
from facepriv.errors import DataError
from facepriv.schema import nearest


def readers() -> dict[str, Callable[[Path], list[Record]]]:
    """Return the readers by their name on the command line."""
    from facepriv.datasets.readers import celeba, csvfolder, lfw, morph, muct, rafd, utkface

    return {
        "celeba": celeba.read,
        "utkface": utkface.read,
        "utkface_more": utkface.read_more,
        "lfw": lfw.read,
        "morph": morph.read,
        "muct": muct.read,
        "rafd": rafd.read,
        "csv": csvfolder.read,
    }


def read(kind: str, root: Path) -> list[Record]:
    """Read the set of `kind` under `root`; raises `DataError` if something is missing."""
    known = readers()
    if kind not in known:
        raise DataError(f"unknown data set '{kind}'{nearest(kind, list(known))}: known are {', '.join(known)}")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the data's place with --data or FACEPRIV_DATA")
    records = known[kind](root)
    if not records:
        raise DataError(f"{root}: holds no photo that the '{kind}' layout names")
    return records
