"""Figures 8 and 9 of the paper: ROC and CMC of the matchers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from facepriv.evaluation.results import Comparison, Output
from facepriv.evaluation.rows import Float
from facepriv.metrics.matching import PROTECTED
from facepriv.report.figure import (
    NO_EVIDENCE,
    PALE,
    PAPER,
    WIDTH,
    Key,
    Plot,
    method_keys,
    padded,
    plot_name,
    series,
)
from facepriv.report.style import colour, drawing, to_svg

#: The pairings that the paper's curves show, in words.
PAIRINGS = {
    PROTECTED: "X1' and X2' are the two photos of a pair, both protected",
    "(X1, X2')": "X1 is the original first photo of a pair, X2' is the second photo, protected",
}

Kind = Literal["roc", "cmc"]


def curve_plot(of: Comparison, kind: Kind, matcher: str, pairing: str) -> Plot | None:
    """Return figure 8 (ROC) or 9 (CMC) for one matcher and pairing: the originals, and each method as a band."""
    original = 100 * np.asarray(getattr(of.original, kind).get(matcher, {}).get(pairing, ()), np.float64)
    bands = _bands(of, kind, matcher, pairing)
    if not bands or np.isnan(original).all():
        return None
    name = plot_name(kind, matcher, pairing)
    x = 100 * of.original.fmr if kind == "roc" else np.arange(1, len(original) + 1, dtype=np.float64)
    known = ~np.isnan(np.array([original, *(low for low, _ in bands.values())])).all(axis=0)
    counting = {m for m in bands if any(_counts(o, kind, matcher) for o in of.of(m))}
    spreads = _spreads(of, kind, matcher, pairing)
    with drawing(WIDTH, 300) as (figure, axes):
        for method, (low, _) in bands.items():
            tint, alpha = colour(series(of, method)), 1.0 if method in counting else PALE
            axes.plot(x, low, color=tint, alpha=alpha)
        for method, (low, high) in spreads.items():
            tint = colour(series(of, method) if method else 0)
            alpha = 1.0 if method in counting or (counting and not method) else PALE
            axes.fill_between(x, low, high, color=tint, alpha=0.18 * alpha, linewidth=0)
        axes.plot(x, original, "--", color=colour(0), alpha=1.0 if counting else PALE)
        axes.set_ylim(_curve_range(of, kind, matcher))
        if kind == "roc":
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_xlabel("FMR, %")
            axes.set_ylabel("TMR, %")
            axes.set_xlim(x[known][0], 100)
        else:
            axes.set_xlabel("rank")
            axes.set_ylabel("identified, %")
            axes.set_xlim(0.5, len(x) + 0.5)
            axes.set_xticks([1, *range(5, len(x) + 1, 5)])
        svg = to_svg(figure, name)
    if kind == "roc":
        wanted = [n for n in range(len(x)) if known[n] and (n % 25 == 0 or n == len(x) - 1)]
        heads = [f"TMR at FMR {x[n]:.3g} %" for n in wanted]
    else:
        wanted = [n for n in (0, 4, 9, 19) if n < len(x)]
        heads = [f"rank {n + 1}" for n in wanted]
    table = [["originals", *(_percent(original[n], original[n]) for n in wanted)]]
    table += [
        [method + ("" if method in counting else NO_EVIDENCE), *(_percent(low[n], high[n]) for n in wanted)]
        for method, (low, high) in bands.items()
    ]
    caption = f"Fig. {8 if kind == 'roc' else 9} {PAPER}. {PAIRINGS[pairing]}. Dashed: two originals."
    if any(np.isfinite(low).any() for low, _ in spreads.values()):
        caption += " Bands are 95 % intervals over people."
    if any(len(of.of(method)) > 1 for method in bands):
        caption += " A band spans all outputs of a method, the line is the lowest."
    if kind == "roc" and not known[0]:
        caption += " The curve starts where there are enough pairs of different people for the rate."
    if len(counting) < len(bands):
        caption += " Pale: the matcher does not count, as it is too weak on the originals or was seen in training."
    keys = [Key("originals", "╌", 0), *method_keys(of, list(bands), "━")]
    title, first = f"{kind.upper()}, {matcher}, {pairing}", pairing == next(iter(PAIRINGS))
    return Plot(name, title, caption, svg, keys, ["photos", *heads], table, starts_row=first)


def _bands(of: Comparison, kind: str, matcher: str, pairing: str) -> dict[str, tuple[Float, Float]]:
    """Return method -> the lowest and highest curve over its outputs, in percent."""
    bands = {}
    for method in of.methods:
        curves = [getattr(output.curves, kind).get(matcher, {}).get(pairing) for output in of.of(method["name"])]
        own = 100 * np.array([curve for curve in curves if curve is not None], np.float64)
        if len(own):
            bands[method["name"]] = own.min(axis=0), own.max(axis=0)
    return bands


def _spreads(of: Comparison, kind: Kind, matcher: str, pairing: str) -> dict[str, tuple[Float, Float]]:
    """Return method (empty for the originals) -> the ends of its band in percent, over the intervals of its outputs."""
    found: dict[str, list[Float]] = {}
    for method, curves in [("", of.original), *((output.method, output.curves) for output in of.outputs)]:
        band = getattr(curves, f"{kind}_bands").get(matcher, {}).get(pairing)
        if band is not None:
            found.setdefault(method, []).append(100 * band)
    # fmin and fmax: an output without an interval is left out.
    return {m: (np.fmin.reduce([b[0] for b in own]), np.fmax.reduce([b[1] for b in own])) for m, own in found.items()}


def _counts(output: Output, kind: Kind, matcher: str) -> bool:
    figure = {"roc": "tmr", "cmc": "rank"}[kind]
    return any(row.counts for row in output.rows if row.evaluator == matcher and row.figure.startswith(figure))


def _curve_range(of: Comparison, kind: Kind, matcher: str) -> tuple[float, float]:
    """Return the range of a matcher's curves over all pairings, so that they can be compared side by side."""
    parts = []
    for pairing in PAIRINGS:
        parts.append(100 * np.asarray(getattr(of.original, kind).get(matcher, {}).get(pairing, ()), np.float64))
        parts += [low for low, _ in _bands(of, kind, matcher, pairing).values()]
        parts += [end for ends in _spreads(of, kind, matcher, pairing).values() for end in ends]
    return padded(np.concatenate(parts))


def _percent(low: float, high: float) -> str:
    """Return a percentage as text, or its range; empty for NaN."""
    if np.isnan(low):
        return ""
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
