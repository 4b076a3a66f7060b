"""Matplotlib figures as inline SVG: colours follow the page's theme, light or dark; there are no external links."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facepriv.files import cache_folder
from facepriv.pool import environment

#: Placeholder colours in the SVG, which are replaced by CSS variables of the page.
INK, FAINT, GRID = "#010203", "#010204", "#010205"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--grid)"}
#: Number of series colours of the page.
COLOURS = 10
#: Markers of evaluators, and their characters on the page.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
SIGNS = ("●", "■", "▲", "◆", "▼", "✚", "✖", "◀", "▶")


def colour(series: int) -> str:
    """Return the colour of a series: ``--c0``, ``--c1``, ... on the page, repeating after `COLOURS`."""
    return f"#0a0b{0x10 + series % COLOURS:02x}"


def _matplotlib() -> tuple[Any, Any]:
    """Import matplotlib, with its font cache in facepriv's cache folder."""
    place = os.environ.get("MPLCONFIGDIR") or str(cache_folder("matplotlib"))
    with environment({"MPLCONFIGDIR": place}):
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    return rc_context, Figure


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """Yield a figure (width and height in CSS pixels) and its axes, in the page's style."""
    rc_context, figure_class = _matplotlib()

    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "facepriv",
        "font.size": 8.5,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "text.color": INK,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 1.5,
        "lines.markersize": 5,
        "errorbar.capsize": 0,
    }
    with rc_context(style):
        figure = figure_class(figsize=(width / 96, height / 96), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        yield figure, axes


def to_svg(figure: Any, name: str) -> str:
    """Return a figure as an ``<svg>`` element; `name` makes its ids unique on the page."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\s(width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'\b(id="|url\(#|href="#)', lambda m: f"{m.group(1)}{name}-", text)
    # Use the page's font, and no more digits than a screen shows.
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"(\d+\.\d{2})\d+", r"\1", text)
    for stands, variable in _VARIABLES.items():
        text = text.replace(stands, variable)
    return re.sub(r"#0a0b(1[0-9a-f])", lambda m: f"var(--c{int(m.group(1), 16) - 0x10})", text).strip()
