"""CelebA (Liu et al., ICCV 2015) in its native layout, full or half size.

``img_align_celeba/000001.jpg``, ``list_attr_celeba.txt`` (a count, a header, rows of -1 and 1) and
``identity_CelebA.txt`` (file, person). Missing photos are skipped, so subsets can be read, and so are photos that are
not in both lists. Age and race have no label ("Young" is not one of our age groups).
"""

from __future__ import annotations

from pathlib import Path

from facepriv.datasets.record import Record
from facepriv.datasets.splits import by_subject
from facepriv.datasets.tables import read_table
from facepriv.errors import DataError
from facepriv.schema import GENDER

_GENDER = {"1": GENDER.classes[0], "-1": GENDER.classes[1]}


def read(root: Path) -> list[Record]:
    """Return the records of CelebA under `root`, split by identity, in the order of the attribute list."""
    gender = _genders(root / "list_attr_celeba.txt")
    person = _identities(root / "identity_CelebA.txt")
    folder = root / "img_align_celeba"
    present = {path.name for path in folder.glob("*.jpg")}
    names = [name for name in gender if name in present and name in person]
    parts = by_subject([f"celeba/{person[name]}" for name in names])
    return [
        Record(folder / name, name, person[name], str(part), {"gender": gender[name]})
        for name, part in zip(names, parts, strict=True)
    ]


def _genders(path: Path) -> dict[str, str]:
    """Return file -> gender from the attribute list."""
    lines = read_table(path).splitlines()
    header = lines[1].split() if len(lines) > 1 else []
    if "Male" not in header:
        raise DataError(f"{path}: its second line has no column 'Male'")
    column = header.index("Male") + 1
    genders = {}
    for number, line in enumerate(lines[2:], start=3):
        row = line.split()
        if not row:
            continue
        if len(row) != len(header) + 1 or row[column] not in _GENDER:
            raise DataError(f"{path}, line {number}: expected a file and {len(header)} values of -1 or 1")
        genders[row[0]] = _GENDER[row[column]]
    return genders


def _identities(path: Path) -> dict[str, str]:
    """Return file -> person from the identity list."""
    persons = {}
    for number, line in enumerate(read_table(path).splitlines(), start=1):
        row = line.split()
        if not row:
            continue
        if len(row) != 2:
            raise DataError(f"{path}, line {number}: expected a file and a person")
        persons[row[0]] = row[1]
    return persons
