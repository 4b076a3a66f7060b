"""What every reader returns: one record a photo, with labels where the set has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from facepriv.errors import DataError
from facepriv.schema import nearest

#: Sets that nothing may be trained, tuned or early-stopped on.
EVALUATION_ONLY = frozenset({"lfw"})


@dataclass(frozen=True)
class Record:
    """One photo of a data set.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The file's name within its set, unique there.
    subject : str
        The person, or "" where the set does not say.
    part : str
        "train", "validation" or "test".
    labels : dict
        Attribute -> class name; what is unknown is absent.
    years : float or None
        Age in years where the set says.
    """

    path: Path
    name: str
    subject: str
    part: str
    labels: dict[str, str] = field(default_factory=dict)
    years: float | None = None


def readers() -> dict[str, Callable[[Path], list[Record]]]:
    """Return the readers by the name that the command line uses."""
    from facepriv.datasets import celeba, csvfolder, lfw, morph, muct, rafd, utkface

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
    """Read the set of `kind` under `root`; raises `DataError` with what is missing."""
    known = readers()
    if kind not in known:
        raise DataError(f"unknown data set '{kind}'{nearest(kind, list(known))}: known are {', '.join(known)}")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the data's place with --data or FACEPRIV_DATA")
    records = known[kind](root)
    if not records:
        raise DataError(f"{root}: holds no photo that the '{kind}' layout names")
    return records
