"""A folder of photos with ``labels.csv``: ``file`` and any of ``subject``, ``part``, ``gender``, ``race``, ``age``.

``file`` is relative to the folder. ``age`` is in years or a group's name. Without ``part``, the split is by subject
where there is one, else by file; with it, no subject may stand in two parts.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from facepriv.datasets.record import Record, read_csv
from facepriv.datasets.splits import PARTS, by_file, by_subject
from facepriv.errors import DataError
from facepriv.schema import ATTRIBUTES

LABELS = "labels.csv"
_OLDEST = 130


def read(root: Path, table: Path | None = None) -> list[Record]:
    """Return the records that a table names, ``labels.csv`` in `root` unless it lies elsewhere.

    Raises
    ------
    DataError
        With the line of the table that is wrong.
    """
    table = table or root / LABELS
    rows = _rows(table)
    parts = _parts([row["file"] for row in rows], [row.get("subject", "") for row in rows])
    records, seen = [], set()
    for line, (row, part) in enumerate(zip(rows, parts, strict=True), start=2):
        where = f"{table}, line {line}"
        path = root / row["file"]
        if not os.path.isfile(path):  # unlike Path's, it says no to a name that no file can have
            raise DataError(f"{where}: no file {path}")
        if row["file"] in seen:
            raise DataError(f"{where}: {row['file']} stands there twice")
        seen.add(row["file"])
        own = row.get("part") or part
        if own not in PARTS:
            raise DataError(f"{where}: part '{own}' is none of {', '.join(PARTS)}")
        labels, years = _labels(row, where)
        records.append(Record(path, row["file"], row.get("subject", ""), own, labels, years))
    _check_disjoint(table, records)
    return records


def _rows(table: Path) -> list[dict[str, str]]:
    rows = read_csv(table, {"file"})
    return [{k: (v or "").strip() for k, v in row.items() if k} for row in rows]


def _parts(names: list[str], subjects: list[str]) -> list[str]:
    if any(subjects):
        # A photo without a subject is one of its own.
        parts = by_subject([subject or f"file/{name}" for subject, name in zip(subjects, names, strict=True)])
    else:
        parts = by_file(names, [()] * len(names))
    return [str(part) for part in parts]


def _labels(row: dict[str, str], where: str) -> tuple[dict[str, str], float | None]:
    labels: dict[str, str] = {}
    years = None
    for name, spec in ATTRIBUTES.items():
        value = row.get(name, "").lower()
        if not value:
            continue
        if spec.thresholds and value.isascii() and value.replace(".", "", 1).isdigit():
            years = float(value)
            if years > _OLDEST:
                raise DataError(f"{where}: an age of {value} years")
            value = spec.classes[int(spec.bin(np.array([years]))[0])]
        if value not in spec.classes:
            raise DataError(f"{where}: {name} '{value}' is none of {', '.join(spec.classes)}")
        labels[name] = value
    return labels, years


def _check_disjoint(table: Path, records: list[Record]) -> None:
    part: dict[str, str] = {}
    for record in records:
        if record.subject and part.setdefault(record.subject, record.part) != record.part:
            raise DataError(f"{table}: subject '{record.subject}' is both in {part[record.subject]} and {record.part}")
