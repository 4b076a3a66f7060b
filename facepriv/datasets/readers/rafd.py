"""RaFD (Langner et al., Cognition & Emotion 2010): camera, model, group, gender, expression and gaze in the file name.

``Rafd090_28_Caucasian_male_angry_frontal.jpg``: camera angle 090 (frontal), model 28, as in the set's own FAQ; anywhere
below the root. Caucasian is our "white"; Moroccan has no race label here. Both profiles (angles 000 and 180) are left
out, as frontal detectors do not find them. Children (group Kid) are left out, as figures are for faces of 15 and over.
All models are "test".
"""

from __future__ import annotations

import re
from pathlib import Path

from facepriv.datasets.record import Record
from facepriv.datasets.splits import TEST

_NAME = re.compile(
    r"Rafd(?P<angle>\d{3})_(?P<model>\d+)_(?P<group>Caucasian|Moroccan|Kid)_(?P<gender>female|male)_"
    r"(?P<expression>[a-z]+)_(?P<gaze>frontal|left|right)\.jpe?g"
)
_PROFILES = ("000", "180")


def parse(name: str) -> tuple[str, str, str, str] | None:
    """Return (angle, model, group, gender) from a file name, or None if it does not match."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found["angle"], found["model"], found["group"], found["gender"])


def read(root: Path) -> list[Record]:
    """Return the records of RaFD under `root`, sorted by name."""
    records = []
    for path in sorted(root.rglob("Rafd*")):
        found = parse(path.name)
        if found is None or found[0] in _PROFILES or found[2] == "Kid":
            continue
        _, model, group, gender = found
        labels = {"gender": gender} | ({"race": "white"} if group == "Caucasian" else {})
        records.append(Record(path, path.relative_to(root).as_posix(), model, TEST, labels))
    return records
