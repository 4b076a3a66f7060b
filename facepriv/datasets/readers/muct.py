"""MUCT (Milborrow, Morkel, Nicolls, PRASA 2010): person, lighting, camera, sex and glasses in the file name.

``i000qa-fn.jpg``: person 000, lighting q, camera a (a frontal; b, c turned; d, e from below and above), female, no
glasses; anywhere below the root (its archives unpack into ``jpg/``). The set's own page "MUCT Details" defines the
names. All 276 people are "test", as all photos are from one room. No race or age label.
"""

from __future__ import annotations

import re
from pathlib import Path

from facepriv.datasets.record import Record
from facepriv.datasets.splits import TEST

_NAME = re.compile(r"i(?P<person>\d{3})(?P<light>[a-z])(?P<camera>[a-e])-(?P<sex>[fm])(?P<glasses>[gn])\.jpe?g")
_SEX = {"f": "female", "m": "male"}


def parse(name: str) -> tuple[str, str, str] | None:
    """Return (person, camera, gender) from a file name, or None if it does not match."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found["person"], found["camera"], _SEX[found["sex"]])


def read(root: Path) -> list[Record]:
    """Return the records of MUCT under `root`, sorted by name."""
    parsed = [(path, found) for path in sorted(root.rglob("*.jp*g")) if (found := parse(path.name)) is not None]
    return [
        Record(path, path.relative_to(root).as_posix(), person, TEST, {"gender": gender})
        for path, (person, _, gender) in parsed
    ]
