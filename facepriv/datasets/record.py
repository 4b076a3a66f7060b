"""What every reader returns: one record a photo, with labels where the set has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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
