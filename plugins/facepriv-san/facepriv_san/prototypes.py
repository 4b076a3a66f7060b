"""Prototypes: averages of aligned faces by gender, and by gender, age group and race.

They are aligned like every crop: a similarity transform maps eye corners and nose base to dlib's mean face with half
its size around it (`facepriv.faces.align`). A prototype therefore fits any crop. Every average is of at least `FEWEST`
people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import STANDARD, Frame, Images, resize_images
from facepriv.datasets.pack import Pack
from facepriv.errors import DataError
from facepriv.schema import ADULT, AGE, ATTRIBUTES, GENDER, RACE
from facepriv.weights import Provenance, WeightsMetadata, load_weights, save_weights

ARCHITECTURE = "san-prototypes"
#: Side of a stored prototype; an average of thousands of faces has no finer detail.
SIZE = 64
#: An average of fewer people might show one of them.
FEWEST = 50
#: Side at which a face is compared with prototypes.
_LOOK = 16

Group = tuple[str, ...]


@dataclass(frozen=True)
class Prototypes:
    """Averages of faces, and the frequency of each gender among the averaged faces.

    Parameters
    ----------
    images : dict
        Group, such as ``("female",)`` or ``("female", "old", "black")``, -> (SIZE, SIZE, 3) uint8.
    people : dict
        Group -> how many people.
    sha256 : str
        Hash of their file.
    frame : Frame
        The square that they show of a face.
    """

    images: dict[Group, NDArray[np.uint8]]
    people: dict[Group, int]
    sha256: str = ""
    frame: Frame = STANDARD

    def finest(self, gender: str, age: str, race: str) -> Group:
        """Return the smallest group of this gender that has a prototype: by age and race, race, age, or gender."""
        wanted: Iterator[Group] = iter(((gender, age, race), (gender, race), (gender, age), (gender,)))
        return next(group for group in wanted if group in self.images)

    def sets(self, *, diverse: bool) -> Images:
        """Return the prototypes to choose from, (K, 3, SIZE, SIZE, 3): male, female and neutral.

        Parameters
        ----------
        diverse : bool
            One set for each age group and race, K = 12; otherwise one for all, K = 1. A group that is too small gets
            the prototype of a coarser one.
        """
        kinds = list(product(AGE.classes, RACE.classes)) if diverse else [("", "")]
        rows = []
        for kind in kinds:
            pair = [self.images[self.finest(gender, *kind)] for gender in GENDER.classes]
            share = self.people[("female",)] / (self.people[("male",)] + self.people[("female",)])
            # Neutral: the mean weighted by the frequency of the genders, as without gender labels.
            rows.append([*pair, pair[0] * (1 - share) + pair[1] * share])
        return np.array(rows, dtype=np.float32) / np.float32(255)


def nearest(images: Images, own: NDArray[np.int64], sets: Images) -> NDArray[np.int64]:
    """Return, for each face, the set (N,) int64 whose prototype of its own gender is most similar to it.

    Parameters
    ----------
    images : ndarray
        (N, S, S, 3) float32, aligned crops.
    own : ndarray
        (N,) index in a set: 0 male, 1 female, 2 neutral.
    sets : ndarray
        (K, 3, SIZE, SIZE, 3), see `Prototypes.sets`.
    """
    if len(sets) == 1:
        return np.zeros(len(images), dtype=np.int64)
    faces = _as_arrays(images)
    known = np.stack([_as_arrays(sets[:, k]) for k in range(sets.shape[1])])  # (3, K, D)
    return np.einsum("nd,nkd->nk", faces, known[own]).argmax(axis=1).astype(np.int64)


def _as_arrays(images: Images) -> NDArray[np.float32]:
    """Return the faces (N, S, S, 3) as unit vectors of their colours at a few pixels, without brightness."""
    small = resize_images(images, _LOOK).reshape(len(images), -1)
    small -= small.mean(axis=1, keepdims=True)
    return small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)


def average(pack: Pack, progress: Callable[[], None] = lambda: None) -> Prototypes:
    """Average the training faces of a pack, of at least `ADULT` years if the age is known.

    Parameters
    ----------
    progress : callable
        Called after each of `len(groups(pack))` groups.

    Raises
    ------
    DataError
        If one gender has fewer than `FEWEST` people.
    """
    images, people = {}, {}
    for group, rows in groups(pack).items():
        who = np.where(pack.columns["subject"][rows] == "", pack.columns["name"][rows], pack.columns["subject"][rows])
        # All people have equal weight, whatever their number of photos.
        names, number, photos = np.unique(who, return_inverse=True, return_counts=True)
        if len(names) >= FEWEST:
            weights = 1 / photos[number]
            images[group] = _mean(pack, rows, weights / weights.sum())
            people[group] = len(names)
        progress()
    for gender in GENDER.classes:
        if (gender,) not in images:
            raise DataError(f"the pack's training part has fewer than {FEWEST} people labelled {gender}")
    return Prototypes(images, people, frame=pack.frame)


def groups(pack: Pack) -> dict[Group, NDArray[np.int64]]:
    """Return group -> rows, for every gender, alone and with age group, race or both."""
    rows = pack.where(part="train")
    rows = rows[~(pack.years[rows] < ADULT)]
    found: dict[Group, NDArray[np.int64]] = {}
    for gender, age, race in product(GENDER.classes, ("", *AGE.classes), ("", *RACE.classes)):
        keep = pack.labels["gender"][rows] == GENDER.index(gender)
        for spec, label in ((AGE, age), (RACE, race)):
            if label:
                keep &= pack.labels[spec.name][rows] == spec.index(label)
        found[tuple(part for part in (gender, age, race) if part)] = rows[keep]
    return found


def _mean(pack: Pack, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.uint8]:
    total = np.zeros(pack.crops.shape[1:], dtype=np.float64)
    for start in range(0, len(rows), 256):
        part = slice(start, start + 256)
        total += np.tensordot(weights[part], pack.crops[rows[part]].astype(np.float64), axes=1)
    small = resize_images((total[None] / 255).astype(np.float32), SIZE)[0]
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)


def save(path: Path, prototypes: Prototypes, provenance: Provenance) -> None:
    """Write prototypes as a weights file."""
    people = {"-".join(group): count for group, count in prototypes.people.items()}
    config = {"people": people, "frame": asdict(prototypes.frame)}
    tensors = {"-".join(group): image for group, image in prototypes.images.items()}
    save_weights(path, tensors, WeightsMetadata(ARCHITECTURE, provenance, config, ATTRIBUTES))


@cache
def load(path: Path) -> Prototypes:
    """Read a file of `save`; raise `WeightsError` on failure."""
    weights = load_weights(path, architecture=ARCHITECTURE)
    config: dict[str, Any] = weights.metadata.config
    return Prototypes(
        {tuple(name.split("-")): image for name, image in weights.tensors.items()},
        {tuple(name.split("-")): int(count) for name, count in config["people"].items()},
        weights.sha256,
        Frame(**config.get("frame", {})),
    )
