"""LFW (Huang et al., 2007): one folder per person; gender, if known, from ``lfw_gender.csv`` beside or inside it.

LFW is for evaluation only: every record is "test". `visible` keeps the first five photos of each person, so that no
single person dominates the genuine pairs.
"""

from __future__ import annotations

from pathlib import Path

from facepriv.datasets.record import Record
from facepriv.datasets.splits import TEST
from facepriv.datasets.tables import read_csv
from facepriv.errors import DataError
from facepriv.schema import GENDER

VISIBLE_PHOTOS = 5


def read(root: Path) -> list[Record]:
    """Return the records of LFW under `root`, sorted by person and file."""
    gender = _genders(root)
    records = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
        labels = {"gender": gender[folder.name]} if folder.name in gender else {}
        for path in sorted(folder.glob("*.jpg")):
            records.append(Record(path, f"{folder.name}/{path.name}", folder.name, TEST, labels))
    return records


def visible(records: list[Record]) -> list[Record]:
    """Keep the first `VISIBLE_PHOTOS` records of each subject."""
    seen: dict[str, int] = {}
    kept = []
    for record in records:
        seen[record.subject] = seen.get(record.subject, 0) + 1
        if seen[record.subject] <= VISIBLE_PHOTOS:
            kept.append(record)
    return kept


def _genders(root: Path) -> dict[str, str]:
    """Return person -> gender; empty if there is no table."""
    for path in (root / "lfw_gender.csv", root.parent / "lfw_gender.csv"):
        if path.is_file():
            return _read_genders(path)
    return {}


def _read_genders(path: Path) -> dict[str, str]:
    genders = {}
    for row in read_csv(path, {"subject", "gender"}):
        if row["gender"] not in GENDER.classes:
            classes = ", ".join(GENDER.classes)
            raise DataError(f"{path}, line {row.line}: gender '{row['gender']}' is none of {classes}")
        genders[row["subject"]] = row["gender"]
    return genders
