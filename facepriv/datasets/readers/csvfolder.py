"""A folder of photos with ``labels.csv``: ``file`` and any of ``subject``, ``part``, ``gender``, ``race``, ``age``.

``file`` is relative to the folder. ``gender`` is male, female, M or F. ``age`` is in years or a group's name. Empty
cells, NA and unknown mean unknown. Without ``part``, the split is by subject if known, else by file. With it, no
subject may be in two parts. `facepriv.datasets.tables` defines the table format.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

import numpy as np

from facepriv.datasets.record import Record
from facepriv.datasets.splits import PARTS, by_file, by_subject
from facepriv.datasets.tables import TableRow, read_csv
from facepriv.errors import DataError
from facepriv.schema import AGE, ATTRIBUTES, GENDER

LABELS = "labels.csv"
_OLDEST = 130
_YEARS = re.compile(r"[0-9]+(?:[.,][0-9]*)?")
_UNKNOWN = frozenset(("", "-", "?", "#n/a", "n/a", "n.a.", "na", "nan", "none", "null", "unk", "unknown"))
_SHORT = {"m": "male", "f": "female"}
_LABELLED = ("subject", "part", *ATTRIBUTES)


def read(root: Path, table: Path | None = None) -> list[Record]:
    """Return the records of a table, by default ``labels.csv`` in `root`.

    Raises
    ------
    DataError
        With the number of the invalid line.
    """
    table = table or root / LABELS
    rows = read_csv(table, {"file"})
    names = [_name(root, row["file"]) for row in rows]
    subjects = ["" if row["subject"].lower() in _UNKNOWN else row["subject"] for row in rows]
    records: list[Record] = []
    first: dict[str, TableRow] = {}
    for row, name, subject, part in zip(rows, names, subjects, _parts(names, subjects), strict=True):
        where = f"{table}, line {row.line}"
        _check_file(where, root / name, row)
        if name in first:
            raise DataError(f"{where}: {name} {_twice(first[name], row)}: keep one")
        first[name] = row
        own = part if row["part"].lower() in _UNKNOWN else row["part"].lower()
        if own not in PARTS:
            raise DataError(f"{where}: part '{row.cells['part']}' is none of {', '.join(PARTS)}")
        labels, years = _labels(row, where)
        records.append(Record(root / name, name, subject, own, labels, years))
    _check_disjoint(table, records)
    return records


def _name(root: Path, cell: str) -> str:
    r"""Return a file's normalised path below `root`: a/b.jpg, also for ./a/b.jpg or a\b.jpg in the table."""
    if not os.path.isfile(root / cell):
        cell = cell.replace("\\", "/")
    whole, start = os.path.abspath(root / cell), os.path.abspath(root)
    if os.path.isabs(cell) and Path(whole).is_relative_to(start):
        return Path(whole).relative_to(start).as_posix()
    return posixpath.normpath(cell)


def _check_file(where: str, path: Path, row: TableRow) -> None:
    if not row["file"]:
        raise DataError(f"{where}: its cell 'file' is empty; name a photo there")
    if not os.path.isfile(path):  # unlike Path.is_file, it returns False for invalid file names
        raise DataError(f"{where}: no file {path}")


def _twice(first: TableRow, again: TableRow) -> str:
    """Return a message with the first row of a repeated photo and how the two rows differ."""
    other = [column for column in _LABELLED if first[column].lower() != again[column].lower()]
    return f"is on line {first.line} too" + (f", with another {' and '.join(other)}" if other else "")


def _parts(names: list[str], subjects: list[str]) -> list[str]:
    if any(subjects):
        # A photo without a subject counts as its own subject.
        parts = by_subject([subject or f"file/{name}" for subject, name in zip(subjects, names, strict=True)])
    else:
        parts = by_file(names, [()] * len(names))
    return [str(part) for part in parts]


def _labels(row: TableRow, where: str) -> tuple[dict[str, str], float | None]:
    labels: dict[str, str] = {}
    years = None
    for name, spec in ATTRIBUTES.items():
        value = row[name].lower()
        if value in _UNKNOWN:
            continue
        if name == AGE.name and _YEARS.fullmatch(value):
            years = float(value.replace(",", "."))
            if years > _OLDEST:
                raise DataError(f"{where}: an age of {row[name]} years")
            value = spec.classes[int(spec.bin(np.array([years]))[0])]
        if name == GENDER.name:
            value = _SHORT.get(value, value)
        if value not in spec.classes:
            known = f"'{row.cells[name]}' is none of {', '.join(spec.classes)}"
            coded = ": data sets differ in what a number stands for" if value.lstrip("-").isdigit() else ""
            raise DataError(f"{where}: {name} {known}{coded}")
        labels[name] = value
    return labels, years


def _check_disjoint(table: Path, records: list[Record]) -> None:
    part: dict[str, str] = {}
    for record in records:
        if record.subject and part.setdefault(record.subject, record.part) != record.part:
            raise DataError(f"{table}: subject '{record.subject}' is both in {part[record.subject]} and {record.part}")
