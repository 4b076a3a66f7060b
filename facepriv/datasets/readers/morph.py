"""MORPH Album 2 (Ricanek, Tesafaye, FGR 2006): subject, picture, sex and age in the file name, race in its table.

``009055_1M54.JPG``: person 009055, picture 1, male, 54 years; anywhere below the root. A table with the columns
``photo`` and ``race`` (``morph_2008_nonCommercial.csv``: id_num, picture_num, dob, doa, race, gender, facial_hair, age,
age_diff, glasses, photo) gives the race: W White, B Black, A Asian; Hispanic and Other have no race label here. Without
it there is none. The labels are known to disagree between photos of some people (Yip et al., MORPH-II: inconsistencies
and cleaning, arXiv:2007.02684): such a person's photos are kept without that label. Split by person.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np

from facepriv.datasets.record import Record
from facepriv.datasets.splits import by_subject
from facepriv.datasets.tables import read_csv
from facepriv.errors import DataError
from facepriv.schema import AGE

_NAME = re.compile(r"(?P<person>\d+)_(?P<picture>\d+)(?P<sex>[MF])(?P<years>\d{1,3})\.jpe?g", re.IGNORECASE)
_SEX = {"M": "male", "F": "female"}
_RACE = {"W": "white", "B": "black", "A": "asian", "H": "", "O": ""}


def parse(name: str) -> tuple[str, str, int] | None:
    """Return (person, gender, years) from a file name, or None if it does not match."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found["person"], _SEX[found["sex"].upper()], int(found["years"]))


def read(root: Path) -> list[Record]:
    """Return the records of MORPH Album 2 under `root`, sorted by name."""
    race = _races(root)
    parsed = [(path, found) for path in sorted(root.rglob("*")) if (found := parse(path.name)) is not None]
    labels = [
        {"gender": gender, "race": race.get(path.stem.lower(), ""), "age": AGE.classes[int(AGE.bin(np.array(years)))]}
        for path, (_, gender, years) in parsed
    ]
    people = [person for _, (person, _, _) in parsed]
    for attribute in ("gender", "race"):
        _drop_contradictions(people, labels, attribute)
    parts = by_subject([f"morph/{person}" for person in people])
    return [
        Record(path, path.relative_to(root).as_posix(), person, str(part), {k: v for k, v in own.items() if v}, years)
        for (path, (person, _, whole)), own, part in zip(parsed, labels, parts, strict=True)
        for years in [float(whole)]
    ]


def _drop_contradictions(people: list[str], labels: list[dict[str, str]], attribute: str) -> None:
    classes: dict[str, set[str]] = {}
    for person, own in zip(people, labels, strict=True):
        classes.setdefault(person, set()).add(own[attribute])
    for person, own in zip(people, labels, strict=True):
        if len(classes[person]) > 1:
            own[attribute] = ""


def _races(root: Path) -> dict[str, str]:
    """Return photo (its name without suffix, lower case) -> race; empty if there is no table."""
    tables = sorted(root.glob("*.csv"))
    if not tables:
        return {}
    if len(tables) > 1:
        raise DataError(f"{root}: both {tables[0].name} and {tables[1].name} could be its table: leave one")
    races = {}
    for row in read_csv(tables[0], {"photo", "race"}):
        code = row["race"].upper()
        if code not in _RACE:
            raise DataError(f"{tables[0]}, line {row.line}: race '{row['race']}' is none of {', '.join(_RACE)}")
        races[PurePosixPath(row["photo"].replace("\\", "/")).stem.lower()] = _RACE[code]
    return races
