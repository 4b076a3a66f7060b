"""Reports of ``facepriv compare`` and ``facepriv attack`` below the root: found, and read file by file."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from facepriv.errors import UsageError
from facepriv.report.page import LATEX, PAGE, RESULT, ROWS
from facepriv.serve.root import Root

#: Files of a report -> their type.
FILES = {
    PAGE: "text/html; charset=utf-8",
    ROWS: "text/csv; charset=utf-8",
    RESULT: "application/json",
    LATEX: "text/plain; charset=utf-8",
}
#: A report runs its own script in a page of no origin: it reads nothing of this server, and sends nothing.
POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# Folders that are searched, and how deep.
_MOST_FOLDERS, _DEEPEST = 5_000, 6


def find_reports(root: Root) -> list[dict[str, Any]]:
    """Return the reports below the root, the newest first: ``name``, ``id``, ``time``."""
    found = []
    for looked, (here, folders, files) in enumerate(os.walk(root.folder)):
        depth = len(Path(here).relative_to(root.folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < _DEEPEST else []
        if looked >= _MOST_FOLDERS:
            break
        if PAGE in files and RESULT in files:
            folders[:] = []  # the reports of several sets are reached from the page above them
            name = root.name(Path(here))
            encoded = base64.urlsafe_b64encode(os.fsencode(name)).decode().rstrip("=")
            found.append({"name": name, "id": encoded, "time": Path(here, PAGE).stat().st_mtime})
    return sorted(found, key=lambda report: -report["time"])


def report_file(root: Root, encoded: str, name: str) -> tuple[Path, str]:
    """Return the path of a file of a report, and its type.

    Parameters
    ----------
    root : Root
    encoded : str
        The report's id.
    name : str
        A name of `FILES`, or one in a folder directly below the report.

    Raises
    ------
    UsageError
        If there is no such report or file below the root.
    """
    try:
        folder = os.fsdecode(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError):
        raise UsageError("there is no such report") from None
    part, _, file = f"./{name}".rpartition("/")
    if file not in FILES or part.count("/") > 1:
        raise UsageError("a report has no such file")
    path = root.path(f"{folder}/{part.removeprefix('.').removeprefix('/')}/{file}")
    if not (path.is_file() and path.with_name(RESULT).is_file()):
        raise UsageError("there is no such report")
    return path, FILES[file]
