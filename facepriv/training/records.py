"""What a training states about itself: its command, its figures as text, and the provenance of its weights.

Imports no heavy library.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facepriv.weights import Provenance

if TYPE_CHECKING:
    from facepriv.datasets.pack import Pack

#: The matcher that networks are trained against, and the estimators that teach them and fill missing labels.
MATCHER = "mobilefacenet"
FAMILY = ("family-a-gender", "family-a-race", "family-a-age")


def in_words(figures: Mapping[str, float]) -> str:
    """Return figures as a line of text."""
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def curve_lines(points: Iterable[tuple[float, Mapping[str, float]]]) -> Iterator[str]:
    """Yield a line of text for each gain and its figures."""
    for gain, figures in points:
        yield f"gain {gain:.2f}  {in_words(figures)}"


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures as a weights file keeps them."""
    return {name: round(value, 4) for name, value in figures.items()}


def command_line(trainer: str, options: Mapping[str, object]) -> str:
    """Return the command of a training for its provenance.

    Parameters
    ----------
    trainer : str
    options : mapping
        Name of an option -> its value; a tuple repeats the option. None and "" are left out. Of a path only the last
        part is written, because folders are private.
    """
    words = [f"facepriv train {trainer} PACK"]
    for name, value in options.items():
        for each in value if isinstance(value, tuple) else (value,):
            if each not in (None, ""):
                words.append(f"--{name} {each.name if isinstance(each, Path) else each}")
    return " ".join(words)


def sets_of(pack: Pack) -> str:
    """Return the names of a pack's data sets, in words."""
    return ", ".join(sorted(set(pack.columns["set"])))


def made_today(trained_on: str, command: str, *, seen: Iterable[str] = (), gain: float = 1.0) -> Provenance:
    """Return the provenance of weights written now.

    Parameters
    ----------
    trained_on : str
        Data sets and splits, in words.
    command : str
        See `command_line`.
    seen : iterable of str
        Evaluators that the weights were trained against.
    gain : float
        Factor on the network's change, which the command then names.
    """
    command += f" --gain {gain:g}" if gain != 1 else ""
    return Provenance(trained_on, command, datetime.date.today().isoformat(), seen=tuple(seen))
