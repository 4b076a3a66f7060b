"""Reads label tables written by spreadsheets and scripts."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facepriv.errors import DataError

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Parameters
    ----------
    line : int
        Line of the file on which the row begins; the first is 1.
    cells : dict
        Column, in lower case -> cell as written.
    """

    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        """Return a cell with surrounding spaces stripped; empty if the table has no such column."""
        return self.cells.get(column, "").strip()


def read_table(path: Path) -> str:
    """Return the text of a label file, UTF-8 or UTF-16; raises `DataError` if it is missing or not valid text."""
    try:
        data = path.read_bytes()
        return data.decode(_encoding(data))
    except FileNotFoundError:
        raise DataError(f"{path}: missing, its data set's layout needs it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({type(error).__name__}); save it as UTF-8") from error


def read_csv(path: Path, columns: set[str]) -> list[TableRow]:
    """Return the rows of a label table with a header.

    The delimiter is a comma, semicolon or tab, whichever is most frequent in the header. Case and surrounding spaces of
    column names do not matter. Empty rows are skipped.

    Raises
    ------
    DataError
        If one of `columns` is missing, a name is repeated, or a row has more cells than the header.
    """
    text = read_table(path)
    first = text.partition("\n")[0].rstrip("\r").lower()
    declared = first[4:] if first.startswith("sep=") and len(first) == 5 else ""  # as spreadsheets write it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=declared or _delimiter(text))
    header: list[str] = []
    rows = []
    last = 0
    try:
        for cells in reader:
            line, last = last + 1, reader.line_num
            if not any(cell.strip() for cell in cells) or (declared and line == 1):
                continue
            if not header:
                header = _header(path, cells, columns)
            elif any(cell.strip() for cell in cells[len(header) :]):
                raise DataError(f"{path}, line {line}: {len(cells)} cells, the header names {len(header)} columns")
            else:
                rows.append(TableRow(line, dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    if not header:
        raise DataError(f"{path}: is empty; its first line names the columns, such as {', '.join(sorted(columns))}")
    return rows


def _encoding(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if data[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if data[:1] == b"\0" else "utf-8-sig"


def _delimiter(text: str) -> str:
    """Return the delimiter of the first line that is not empty."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=lambda delimiter: len(next(csv.reader([line], delimiter=delimiter), [])))


def _header(path: Path, cells: Sequence[str], columns: set[str]) -> list[str]:
    """Return the names of the columns in lower case."""
    names = [cell.strip().lower() for cell in cells]
    missing = sorted(columns - set(names))
    if missing:
        found = ", ".join(f"'{cell.strip()}'" for cell in cells)
        raise DataError(f"{path}: its first line has no column '{missing[0]}'; its columns are {found}")
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise DataError(f"{path}: its first line names the column '{twice[0]}' twice: leave one")
    return names
