"""What every reader returns: one record a photo, with labels where the set has them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from facepriv.errors import DataError

#: Sets that nothing may be trained, tuned or early-stopped on.
EVALUATION_ONLY = frozenset({"lfw"})


@dataclass(frozen=True)
class Record:
    """One photo of a data set.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The file's name within its set, unique there.
    subject : str
        The person, or "" where the set does not say.
    part : str
        "train", "validation" or "test".
    labels : dict
        Attribute -> class name; what is unknown is absent.
    years : float or None
        Age in years where the set says.
    """

    path: Path
    name: str
    subject: str
    part: str
    labels: dict[str, str] = field(default_factory=dict)
    years: float | None = None


def read_table(path: Path) -> str:
    """Return the text of a set's label file; raises `DataError` where it is missing or no UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: missing, its data set's layout needs it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({type(error).__name__})") from error


def read_csv(path: Path, columns: set[str]) -> list[dict[str, str]]:
    """Return the rows of a label table with a header; raises `DataError` where one of `columns` is missing."""
    reader = csv.DictReader(io.StringIO(read_table(path), newline=""))
    try:
        missing = columns - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{path}: its first line has no column '{sorted(missing)[0]}'")
        return list(reader)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
