"""UTKFace (Zhang et al., CVPR 2017): labels in the file name, ``age_gender_race_date.jpg.chip.jpg``.

Gender 0 male, 1 female; race 0 White, 1 Black, 2 Asian, 3 Indian, 4 Other (which has no race label here). Names that
lack a field are skipped. There is no identity: the split is by file, stratified by gender, age group and race, with a
third of the Black faces of part 1 in test because there are few. Parts 2 and 3 are for training and validation only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facepriv.datasets.record import Record
from facepriv.datasets.splits import by_file
from facepriv.schema import AGE, GENDER, RACE

_BLACK = RACE.index("black")
_BLACK_TEST_SHARE = 1 / 3


def parse(name: str) -> tuple[int, int, int] | None:
    """Return (years, gender code, race code) from a file name, or None if a field is missing or invalid."""
    fields = name.split("_")
    if len(fields) != 4 or not all(f.isdecimal() for f in fields[:3]):
        return None
    years, gender, race = (int(f) for f in fields[:3])
    return (years, gender, race) if years <= 116 and gender <= 1 and race <= 4 else None


def read(root: Path) -> list[Record]:
    """Return the records of UTKFace part 1 under `root`, in training, validation and test."""
    return _records(root, test=0.15, black_test=_BLACK_TEST_SHARE)


def read_more(root: Path) -> list[Record]:
    """Return the records of UTKFace parts 2 and 3 under `root`, in training and validation: no test photo."""
    return _records(root, test=0.0, black_test=0.0)


def _records(root: Path, test: float, black_test: float) -> list[Record]:
    found = [(path, parse(path.name)) for path in sorted(root.glob("*.jpg"))]
    rows = [(path, parsed) for path, parsed in found if parsed is not None]
    groups = AGE.bin(np.array([parsed[0] for _, parsed in rows], dtype=float))
    # Faces under 15 are a separate stratum, since the bars apply to faces of 15 and over.
    strata = [(p[1], int(g) if p[0] >= 15 else -1, p[2]) for (_, p), g in zip(rows, groups, strict=True)]
    black = {stratum: black_test for stratum in strata if stratum[2] == _BLACK}
    parts = by_file([path.name for path, _ in rows], strata, test=test, test_share=black)
    records = []
    for (path, (years, gender, race)), group, part in zip(rows, groups, parts, strict=True):
        labels = {"gender": GENDER.classes[gender], "age": AGE.classes[group]}
        if race < len(RACE.classes):
            labels["race"] = RACE.classes[race]
        records.append(Record(path, path.name, "", str(part), labels, float(years)))
    return records
