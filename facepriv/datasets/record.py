"""The return type of all readers: one record per photo, with labels where the set has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: Sets that must not be used for training, tuning or early stopping.
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
        The person, or "" if unknown.
    part : str
        "train", "validation" or "test".
    labels : dict
        Attribute -> class name; unknown attributes are absent.
    years : float or None
        Age in years, if known.
    """

    path: Path
    name: str
    subject: str
    part: str
    labels: dict[str, str] = field(default_factory=dict)
    years: float | None = None
