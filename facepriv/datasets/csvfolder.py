"""A photo folder with ``labels.csv``: columns ``file``, any of ``subject``, ``part``, ``gender``, ``race``, ``age``.

``age`` is in years or a group's name. Without ``part``, the split is by subject where there is one, else by file.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from facepriv.datasets.records import Record
from facepriv.datasets.splits import TEST, TRAIN, VALIDATION, by_file, by_subject
from facepriv.errors import DataError
from facepriv.schema import AGE, ATTRIBUTES

LABELS = "labels.csv"
_PARTS = (TRAIN, VALIDATION, TEST)


def read(root: Path) -> list[Record]:
    """Return the records that ``labels.csv`` names; raises `DataError` with the line that is wrong."""
    table = root / LABELS
    if not table.is_file():
        raise DataError(f"{table}: missing; it needs a column 'file' and columns such as gender, race, age, subject")
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "file" not in (reader.fieldnames or []):
            raise DataError(f"{table}: has no column 'file'")
        rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    names = [row["file"] for row in rows]
    subjects = [row.get("subject", "") for row in rows]
    parts = by_subject(subjects) if all(subjects) else by_file(names, [()] * len(names))
    records = []
    for line, (row, part) in enumerate(zip(rows, parts, strict=True), start=2):
        where = f"{table}, line {line}"
        path = root / row["file"]
        if not path.is_file():
            raise DataError(f"{where}: no file {path}")
        own = row.get("part") or str(part)
        if own not in _PARTS:
            raise DataError(f"{where}: part '{own}' is none of {', '.join(_PARTS)}")
        labels, years = _labels(row, where)
        records.append(Record(path, row["file"], row.get("subject", ""), own, labels, years))
    return records


def _labels(row: dict[str, str], where: str) -> tuple[dict[str, str], float | None]:
    labels: dict[str, str] = {}
    years = None
    for name, spec in ATTRIBUTES.items():
        value = row.get(name, "").lower()
        if not value:
            continue
        if spec.thresholds and value.replace(".", "", 1).isdigit():
            years = float(value)
            value = AGE.classes[int(AGE.bin(np.array([years]))[0])]
        if value not in spec.classes:
            raise DataError(f"{where}: {name} '{value}' is none of {', '.join(spec.classes)}")
        labels[name] = value
    return labels, years
