"""Test faces of CelebA and UTKFace, aligned: what `sim_zhang.py` measures on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.cli.console import progress
from facepriv.datasets import readers
from facepriv.datasets.copies import near_copies
from facepriv.datasets.pack import open_pack
from facepriv.datasets.record import Record
from facepriv.datasets.splits import TEST
from facepriv.errors import UsageError
from facepriv.faces.subject import crop_subjects
from facepriv.schema import ATTRIBUTES


@dataclass(frozen=True)
class Faces:
    """Test faces of one set.

    Parameters
    ----------
    crops : ndarray
        (N, S, S, 3) uint8; black where no face was found.
    seen : ndarray
        (N,) bool, whether a face was found.
    subjects : ndarray
        (N,) people; the photo's name if the set has no identities.
    labels, years
        Attribute -> (N,) class index, -1 unknown; (N,) age, NaN unknown.
    copies : int
        Number of test photos left out as near copies.
    """

    crops: NDArray[np.uint8]
    seen: NDArray[np.bool_]
    subjects: NDArray[np.str_]
    labels: dict[str, NDArray[np.int64]]
    years: NDArray[np.float64]
    copies: int = 0

    def take(self, which: NDArray[Any], copies: int = 0) -> Faces:
        """Return the faces selected by a mask or by indices."""
        labels = {name: values[which] for name, values in self.labels.items()}
        return Faces(self.crops[which], self.seen[which], self.subjects[which], labels, self.years[which], copies)


def from_pack(path: Path, limit: int | None = None) -> tuple[Faces, Faces]:
    """Return the test faces of CelebA and UTKFace in a pack."""
    pack = open_pack(path)

    def rows(name: str) -> tuple[Faces, NDArray[np.bool_]]:
        index = pack.where(set=name)
        if limit:
            index = index[:: max(1, len(index) // limit)]
        if not len(index):
            raise UsageError(f"{path}: holds no face of {name}")
        subjects = np.where(pack.columns["subject"] == "", pack.columns["name"], pack.columns["subject"])
        years = pack.years.astype(np.float64)
        seen = np.ones(len(pack), dtype=bool)
        faces = Faces(pack.crops, seen, subjects, pack.labels, years).take(index)
        return faces, pack.columns["part"][index] == TEST

    celeba, tested = rows("celeba")
    return celeba.take(tested), _without_near_copies(*rows("utkface"))


def from_data(data: Path, size: int, workers: int, limit: int | None = None) -> tuple[Faces, Faces]:
    """Return the test faces of CelebA and UTKFace, cropped now; UTKFace's other photos are used to find near copies."""

    def thinned(found: list[Record]) -> list[Record]:
        return found[:: max(1, len(found) // limit)] if limit else found

    celeba = thinned([r for r in readers.read("celeba", data / "celeba") if r.part == TEST])
    utkface = thinned(readers.read("utkface", data / "utkface"))
    tested = np.array([r.part == TEST for r in utkface])
    return _faces(celeba, size, workers), _without_near_copies(_faces(utkface, size, workers), tested)


def _faces(found: list[Record], size: int, workers: int) -> Faces:
    crops = np.zeros((len(found), size, size, 3), dtype=np.uint8)
    seen = np.zeros(len(found), dtype=bool)
    with progress(len(found)) as bar:
        for i, crop in enumerate(crop_subjects([r.path for r in found], size, workers)):
            if not isinstance(crop, str):
                crops[i], seen[i] = crop, True
            bar.advance()
    labels = {
        name: np.array([spec.classes.index(r.labels[name]) if name in r.labels else -1 for r in found])
        for name, spec in ATTRIBUTES.items()
    }
    years = np.array([np.nan if r.years is None else r.years for r in found])
    return Faces(crops, seen, np.array([r.subject or r.name for r in found]), labels, years)


def _without_near_copies(faces: Faces, tested: NDArray[np.bool_]) -> Faces:
    """Return the tested faces, without near copies of other faces."""
    index = np.flatnonzero(faces.seen)
    copies = np.zeros(len(faces.seen), dtype=bool)
    copies[index] = near_copies(faces.crops[index], tested[index])
    return faces.take(tested & ~copies, int(copies.sum()))
