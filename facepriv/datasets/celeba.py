"""CelebA (Liu et al., ICCV 2015) in its native layout, full or half size.

``img_align_celeba/000001.jpg``, ``list_attr_celeba.txt`` (a count, a header, rows of -1 and 1) and
``identity_CelebA.txt`` (file, person). Photos that are absent are skipped, so a subset reads too. Age and race have no
label ("Young" is no age group of ours).
"""

from __future__ import annotations

from pathlib import Path

from facepriv.datasets.records import Record
from facepriv.datasets.splits import by_subject
from facepriv.errors import DataError


def read(root: Path) -> list[Record]:
    """Return the records of CelebA under `root`, split by identity."""
    attributes, identities = root / "list_attr_celeba.txt", root / "identity_CelebA.txt"
    for needed in (attributes, identities):
        if not needed.is_file():
            raise DataError(f"{needed}: missing, the CelebA layout needs it")
    lines = attributes.read_text().splitlines()
    header = lines[1].split()
    if "Male" not in header:
        raise DataError(f"{attributes}: its second line has no column 'Male'")
    male = header.index("Male") + 1
    person = dict(line.split() for line in identities.read_text().splitlines() if line.strip())
    folder = root / "img_align_celeba"
    present = {p.name for p in folder.glob("*.jpg")}
    rows = [row for row in map(str.split, lines[2:]) if row and row[0] in present and row[0] in person]
    parts = by_subject([f"celeba/{person[row[0]]}" for row in rows])
    return [
        Record(
            path=folder / row[0],
            name=row[0],
            subject=person[row[0]],
            part=str(part),
            labels={"gender": "male" if row[male] == "1" else "female"},
        )
        for row, part in zip(rows, parts, strict=True)
    ]
