"""What all figures of a report share: their parts, colours, labels and numbers as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facepriv.evaluation.results import Comparison, Output
from facepriv.metrics.bootstrap import Estimate
from facepriv.report.style import COLOURS

#: Width of a figure in CSS pixels.
WIDTH = 460
#: Opacity of what is no evidence.
PALE = 0.4
#: Ends of captions and names.
PAPER = "of the PrivacyNet paper (Mirjalili, Raschka, Ross 2020)"
NO_EVIDENCE = " (does not count)"


@dataclass(frozen=True)
class Key:
    """One entry of a legend: text, marker, and the series that sets its colour (None: ink)."""

    words: str
    sign: str
    series: int | None = None


@dataclass(frozen=True)
class Plot:
    """A figure of the page.

    Parameters
    ----------
    name : str
        Its id on the page.
    title, caption : str
    svg : str
    keys : list of Key
    head, table : list
        Its numbers.
    starts_row : bool
        Whether it begins a row of the page, so that the next figure is beside it.
    """

    name: str
    title: str
    caption: str
    svg: str
    keys: list[Key]
    head: list[str]
    table: list[list[str]] = field(default_factory=list)
    starts_row: bool = False


def series(of: Comparison, method: str) -> int:
    """Return the colour index of a method; the originals have 0."""
    return 1 + [m["name"] for m in of.methods].index(method) % (COLOURS - 1)


def label(of: Comparison, output: Output) -> str:
    """Return an output's label: its method, plus the output's name if the method has several."""
    return output.method if len(of.of(output.method)) == 1 else f"{output.method}: {output.name}"


def padded(values: Iterable[float]) -> tuple[float, float]:
    """Return the range of percentages, with a margin, from 0 to 100.5 at most."""
    known = [value for value in values if np.isfinite(value)]
    low, high = min(known), max(known)
    margin = max(0.5, 0.06 * (high - low))
    return max(0.0, low - margin), min(100.5, high + margin)


def method_keys(of: Comparison, methods: Sequence[str], sign: str = "●") -> list[Key]:
    """Return a legend of methods in their colours."""
    return [Key(method, sign, series(of, method)) for method in dict.fromkeys(methods)]


def error_bar(figure: Estimate) -> Any:
    """Return the error bar of an estimate, (2, 1), or None without an interval."""
    low, high = figure.value - figure.low, figure.high - figure.value
    return [[max(0.0, low)], [max(0.0, high)]] if np.isfinite([low, high]).all() else None


def interval(figure: Estimate | None, digits: int = 1, sign: str = "", unit: str = "") -> str:
    """Return a figure with its interval, such as ``23.2 (21.7 to 25.4)``; `unit` follows the value."""
    if figure is None:
        return ""
    value = f"{figure.value:{sign}.{digits}f}{unit}"
    if not np.isfinite([figure.low, figure.high]).all():
        return value
    return f"{value} ({figure.low:{sign}.{digits}f} to {figure.high:{sign}.{digits}f})"


def plot_name(*parts: str) -> str:
    """Return the id on the page of a figure from its parts, such as its matcher."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).replace("'", "p").lower()).strip("-")
