"""The figures of a report: the paper's 5 to 9, adversaries, and the trade-off. Figure 4 is in `examples`.

Every figure includes its numbers as a table. Colours stand for methods (0 is the originals), markers for evaluators,
the same in all figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from facepriv.evaluation.results import MAIN_FIGURES, Comparison, Output
from facepriv.evaluation.rows import ATTACK, FMRS, PREFIX, TURNED, Float, Row, at_fmr
from facepriv.metrics.bootstrap import Estimate
from facepriv.metrics.matching import PROTECTED, RANKS
from facepriv.report.style import COLOURS, FAINT, MARKERS, SIGNS, colour, drawing, to_svg

#: The pairings that the paper's curves show, in words.
PAIRINGS = {
    PROTECTED: "X1' and X2' are the two photos of a pair, both protected",
    "(X1, X2')": "X1 is the original first photo of a pair, X2' is the second photo, protected",
}
_PAPER = "of the PrivacyNet paper (Mirjalili, Raschka, Ross 2020)"
_NO_EVIDENCE = " (does not count)"
_WIDTH = 460
#: Opacity of what is no evidence.
_PALE = 0.4
_TITLES = {"gender": "Gender EER", "race": "Race: Black-vs-White EER", "age": "Age: mean absolute error"}
Kind = Literal["roc", "cmc"]
_NUMBERS = {"gender": "Fig. 5", "race": "Fig. 6", "age": "Fig. 7"}


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
    """

    name: str
    title: str
    caption: str
    svg: str
    keys: list[Key]
    head: list[str]
    table: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Spot:
    """A point of a dot plot: a value with its interval, its evaluator and its line."""

    line: str
    method: str
    evaluator: str
    value: Estimate
    hollow: bool = False
    counts: bool = True


def all_plots(of: Comparison) -> list[Plot]:
    """Return all figures that have data, in the paper's order."""
    found = [attribute_plot(of, attribute) for attribute in of.attributes()]
    hidden = [a for a in ("gender", "race") if any(a in output.hidden for output in of.outputs)]
    found += [trade_off_plot(of, attribute) for attribute in hidden]
    for matcher in sorted({m for output in of.outputs for m in output.curves.roc}):
        found += [curve_plot(of, kind, matcher, pairing) for kind in ("roc", "cmc") for pairing in PAIRINGS]
    attacked = dict.fromkeys(r.attribute for o in of.outputs for r in o.adversaries if r.figure == ATTACK)
    found += [adversary_plot(of, attribute) for attribute in attacked]
    return [figure for figure in found if figure is not None]


def series(of: Comparison, method: str) -> int:
    """Return the colour index of a method; the originals have 0."""
    return 1 + [m["name"] for m in of.methods].index(method) % (COLOURS - 1)


def label(of: Comparison, output: Output) -> str:
    """Return an output's label: its method, plus the output's name if the method has several."""
    return output.method if len(of.of(output.method)) == 1 else f"{output.method}: {output.name}"


def attribute_plot(of: Comparison, attribute: str) -> Plot | None:
    """Return figure 5, 6 or 7: how well an attribute is estimated on originals and on outputs that hide or keep it."""
    figure = MAIN_FIGURES[attribute]
    evaluators = _evaluators(of, figure)
    spots = _originals(of, figure)
    if not spots:
        return None
    for method in of.methods:
        outputs = of.of(method["name"])
        alone = [o for o in outputs if o.hidden == (attribute,)] or [o for o in outputs if attribute in o.hidden]
        for output in alone:
            spots += [
                _Spot(label(of, output), output.method, row.evaluator, row.after, counts=row.counts)
                for row in output.pick(figure)
                if row.after
            ]
        kept = [o for o in outputs if attribute not in o.hidden]
        spots += _worst_kept(of, kept, figure)
    unit = "years" if attribute == "age" else "%"
    hides = any(attribute in o.hidden for o in of.outputs)
    caption = f"{_NUMBERS[attribute]} {_PAPER}. "
    caption += "Filled: the attribute is hidden, so higher is better. " if hides else ""
    if any(s.hollow for s in spots):
        caption += "Hollow: it is kept, so nearer to the originals is better; of several outputs the worst. "
    caption += "Bars are 95 % intervals over people."
    if unit == "%":
        caption += " 50 % is a guess; beyond it the answer could be inverted."
    if not all(spot.counts for spot in spots):
        caption += " Grey: the evaluator does not count, as it is too weak on the originals or was seen in training."
    return _dots(of, f"estimates-{attribute}", f"{_TITLES[attribute]}, {unit}", caption, spots, evaluators, unit)


def adversary_plot(of: Comparison, attribute: str) -> Plot | None:
    """Return the figure of adversaries on a hidden attribute: for each method classifiers, attacks, and the best."""
    spots: list[_Spot] = []
    for output in of.outputs:
        rows = [r for r in output.adversaries if r.figure == ATTACK and r.attribute == attribute and r.after]
        for kind, chosen in _strongest_of(rows).items():
            assert chosen.after is not None
            spots.append(_Spot(label(of, output), output.method, kind, chosen.after))
    if not spots:
        return None
    kinds = list(dict.fromkeys(spot.evaluator for spot in spots))
    caption = (
        "The EER that an adversary trained on protected faces of other people; lower is worse for privacy. "
        "The leftmost marker of a line is what the method is worth. Dashed: the best classifier on the originals."
    )
    before = [r.before.value for o in of.outputs for r in o.adversaries if r.attribute == attribute and r.before]
    line = before[0] if before else None
    title = f"What adversaries recover: {attribute} EER, %"
    return _dots(of, f"adversaries-{attribute}", title, caption, spots, kinds, "%", line=line)


def trade_off_plot(of: Comparison, attribute: str) -> Plot | None:
    """Return the plot of a hidden attribute's EER against the TMR, one point per output."""
    points: list[tuple[Output, Estimate, Estimate, Row | None]] = []
    for output in of.outputs:
        privacy, cost = output.lead(MAIN_FIGURES[attribute]), output.lead("tmr", pairing=PROTECTED)
        if attribute in output.hidden and privacy and privacy.after and cost and cost.after:
            points.append((output, privacy.after, cost.after, output.best_adversary(attribute)))
    if not points:
        return None
    with drawing(_WIDTH, 330) as (figure, axes):
        first = points[0][0]
        start = [first.lead(MAIN_FIGURES[attribute]), first.lead("tmr", pairing=PROTECTED)]
        if all(row and row.before for row in start):
            x, y = (row.before.value for row in start if row and row.before)
            axes.plot([x], [y], "*", color=colour(0), markersize=10)
        for output, x, y, best in points:
            tint = colour(series(of, output.method))
            axes.errorbar([x.value], [y.value], xerr=_bar(x), yerr=_bar(y), fmt="o", color=tint, elinewidth=1)
            if best and best.after:
                axes.plot([best.after.value, x.value], [y.value] * 2, ":", color=tint, linewidth=1)
                axes.plot([best.after.value], [y.value], "o", color=tint, markerfacecolor="none")
        axes.set_xlabel(f"{_TITLES[attribute]}, mean of unseen evaluators, %")
        axes.set_ylabel("TMR, both photos protected, %")
        axes.margins(0.08)
        axes.set_xlim(left=0)
        axes.set_ylim(_tmr_range(of))
        svg = to_svg(figure, f"trade-{attribute}")
    caption = (
        "Not in the paper. Up and to the right is better. The star: the originals. Bars are 95 % intervals over people."
    )
    if any(best for *_, best in points):
        caption += " Hollow: what is left of it against the best adversary."
    keys = [Key("originals", "★", 0), *_method_keys(of, [output.method for output, *_ in points])]
    table = [
        [label(of, o), interval(x), interval(y), interval(best.after) if best and best.after else ""]
        for o, x, y, best in points
    ]
    head = ["output", "EER, %", "TMR, %", "best adversary, %"]
    title = f"Privacy and its price: {attribute} EER against TMR"
    return Plot(f"trade-{attribute}", title, caption, svg, keys, head, table)


def _tmr_range(of: Comparison) -> tuple[float, float]:
    """Return the range of all trade-off plots in percent, so that they can be compared side by side."""
    rows = [row for output in of.outputs if (row := output.lead("tmr", pairing=PROTECTED))]
    values = [v for row in rows for e in (row.before, row.after) if e for v in (e.value, e.low, e.high)]
    return _padded(values)


def _padded(values: Iterable[float]) -> tuple[float, float]:
    """Return the range of percentages, with a margin, from 0 to 100.5 at most."""
    known = [value for value in values if np.isfinite(value)]
    low, high = min(known), max(known)
    margin = max(0.5, 0.06 * (high - low))
    return max(0.0, low - margin), min(100.5, high + margin)


def curve_plot(of: Comparison, kind: Kind, matcher: str, pairing: str) -> Plot | None:
    """Return figure 8 (ROC) or 9 (CMC) for one matcher and pairing: the originals, and each method as a band."""
    original = 100 * np.asarray(getattr(of.original, kind).get(matcher, {}).get(pairing, ()), np.float64)
    bands = _bands(of, kind, matcher, pairing)
    if not bands or np.isnan(original).all():
        return None
    name = _name(kind, matcher, pairing)
    x = 100 * of.original.fmr if kind == "roc" else np.arange(1, len(original) + 1, dtype=np.float64)
    known = ~np.isnan(np.array([original, *(low for low, _ in bands.values())])).all(axis=0)
    counting = {m for m in bands if any(row.counts for o in of.of(m) for row in _curve_rows(of, o, kind, matcher))}
    intervals = _intervals(of, kind, matcher, pairing)
    with drawing(_WIDTH, 300) as (figure, axes):
        for method, (low, high) in bands.items():
            tint, alpha = colour(series(of, method)), 1.0 if method in counting else _PALE
            if (low != high).any():
                axes.fill_between(x, low, high, color=tint, alpha=0.2 * alpha, linewidth=0)
            axes.plot(x, low, color=tint, alpha=alpha)
        axes.plot(x, original, "--", color=colour(0), alpha=1.0 if counting else _PALE)
        for method, bars in intervals.items():
            tint = colour(series(of, method) if method else 0)
            alpha = 1.0 if method in counting or (counting and not method) else _PALE
            for at, estimate in bars.items():
                axes.errorbar(
                    [at], [estimate.value], yerr=_bar(estimate), fmt="none", ecolor=tint, elinewidth=1, alpha=alpha
                )
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
        [method + ("" if method in counting else _NO_EVIDENCE), *(_percent(low[n], high[n]) for n in wanted)]
        for method, (low, high) in bands.items()
    ]
    caption = f"Fig. {8 if kind == 'roc' else 9} {_PAPER}. {PAIRINGS[pairing]}. Dashed: two originals."
    if any(len(of.of(method)) > 1 for method in bands):
        caption += " A band spans all outputs of a method, the line is the lowest."
    if intervals:
        caption += " Bars are 95 % intervals over people."
    if kind == "roc" and not known[0]:
        caption += " The curve starts where there are enough pairs of different people for the rate."
    if len(counting) < len(bands):
        caption += " Pale: the matcher does not count, as it is too weak on the originals or was seen in training."
    keys = [Key("originals", "╌", 0), *_method_keys(of, list(bands), "━")]
    return Plot(name, f"{kind.upper()}, {matcher}, {pairing}", caption, svg, keys, ["photos", *heads], table)


def _bands(of: Comparison, kind: str, matcher: str, pairing: str) -> dict[str, tuple[Float, Float]]:
    """Return method -> the lowest and highest curve over its outputs, in percent."""
    bands = {}
    for method in of.methods:
        curves = [getattr(output.curves, kind).get(matcher, {}).get(pairing) for output in of.of(method["name"])]
        own = 100 * np.array([curve for curve in curves if curve is not None], np.float64)
        if len(own):
            bands[method["name"]] = own.min(axis=0), own.max(axis=0)
    return bands


def _curve_figures(of: Comparison, kind: Kind) -> dict[float, str]:
    """Return place on the horizontal axis -> the figure with an interval there."""
    if kind == "cmc":
        return {float(rank): f"rank{rank}" for rank in RANKS}
    main = of.settings["fmr"]
    return {100 * fmr: at_fmr("tmr", fmr, main) for fmr in dict.fromkeys((main, *FMRS))}


def _curve_rows(of: Comparison, output: Output, kind: Kind, matcher: str) -> list[Row]:
    figures = set(_curve_figures(of, kind).values())
    return [row for row in output.rows if row.evaluator == matcher and row.figure in figures and not row.group]


def _intervals(of: Comparison, kind: Kind, matcher: str, pairing: str) -> dict[str, dict[float, Estimate]]:
    """Return method (empty for the originals) -> place -> the estimate on its lowest curve."""
    found: dict[str, dict[float, Estimate]] = {}
    for output in of.outputs:
        rows = {row.figure: row for row in _curve_rows(of, output, kind, matcher) if row.pairing == pairing}
        for at, figure in _curve_figures(of, kind).items():
            row = rows.get(figure)
            for method, estimate in (("", row and row.before), (output.method, row and row.after)):
                own = found.setdefault(method, {})
                if estimate and np.isfinite(estimate.low) and (at not in own or estimate.value < own[at].value):
                    own[at] = estimate
    return {method: own for method, own in found.items() if own}


def _curve_range(of: Comparison, kind: Kind, matcher: str) -> tuple[float, float]:
    """Return the range of a matcher's curves over all pairings, so that they can be compared side by side."""
    parts = []
    for pairing in PAIRINGS:
        parts.append(100 * np.asarray(getattr(of.original, kind).get(matcher, {}).get(pairing, ()), np.float64))
        parts += [low for low, _ in _bands(of, kind, matcher, pairing).values()]
        for own in _intervals(of, kind, matcher, pairing).values():
            parts.append(np.array([value for e in own.values() for value in (e.low, e.high)]))
    return _padded(np.concatenate(parts))


def _dots(
    of: Comparison,
    name: str,
    title: str,
    caption: str,
    spots: list[_Spot],
    evaluators: list[str],
    unit: str,
    *,
    line: float | None = None,
) -> Plot:
    """Return a dot plot with a line per output, a marker per evaluator and a bar per interval."""
    lines = list(dict.fromkeys(spot.line for spot in spots))
    with drawing(_WIDTH, 74 + 30 * len(lines)) as (figure, axes):
        shift = {e: 0.5 * ((n + 0.5) / len(evaluators) - 0.5) for n, e in enumerate(evaluators)}
        for spot in spots:
            tint = colour(0 if not spot.method else series(of, spot.method)) if spot.counts else FAINT
            marker = MARKERS[evaluators.index(spot.evaluator) % len(MARKERS)]
            y = lines.index(spot.line) + shift[spot.evaluator]
            axes.errorbar(
                [spot.value.value],
                [y],
                xerr=_bar(spot.value),
                fmt=marker,
                color=tint,
                alpha=1 if spot.counts else _PALE,
                elinewidth=1,
                markerfacecolor="none" if spot.hollow else tint,
            )
        if unit == "%" and max(spot.value.value for spot in spots) > 40:
            axes.axvline(50, color=colour(0), linewidth=0.6)
        if line is not None:
            axes.axvline(line, color=colour(0), linewidth=1, linestyle="--")
        axes.set_yticks(range(len(lines)), lines)
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.set_xlim(left=0)
        axes.set_xlabel(unit if unit != "%" else "EER, %")
        svg = to_svg(figure, name)
    keys = [Key(e, SIGNS[n % len(SIGNS)]) for n, e in enumerate(evaluators)]
    table = [
        [s.line + (" (kept)" if s.hollow else ""), s.evaluator + ("" if s.counts else _NO_EVIDENCE), interval(s.value)]
        for s in spots
    ]
    return Plot(name, title, caption, svg, keys, ["photos", "evaluator", unit], table)


def _originals(of: Comparison, figure: str) -> list[_Spot]:
    first = of.outputs[0] if of.outputs else None
    rows = first.pick(figure) if first else []
    counting = {row.evaluator for output in of.outputs for row in output.pick(figure) if row.counts}
    return [
        _Spot("originals", "", row.evaluator, row.before, counts=row.evaluator in counting)
        for row in rows
        if row.before
    ]


def _worst_kept(of: Comparison, outputs: Sequence[Output], figure: str) -> list[_Spot]:
    """Return, for each evaluator, the output with the largest change of an attribute to keep."""
    worst: dict[str, tuple[float, _Spot]] = {}
    for output in outputs:
        for row in output.pick(figure):
            if row.after and row.change and abs(row.change.value) >= worst.get(row.evaluator, (-1.0,))[0]:
                spot = _Spot(output.method, output.method, row.evaluator, row.after, hollow=True, counts=row.counts)
                worst[row.evaluator] = (abs(row.change.value), spot)
    return [spot for _, spot in worst.values()]


def _evaluators(of: Comparison, figure: str) -> list[str]:
    return list(dict.fromkeys(row.evaluator for output in of.outputs for row in output.pick(figure)))


def _strongest_of(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the strongest unmodified classifier, the strongest inverted one, and every attack."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        turned = row.evaluator.endswith(TURNED)
        attack = row.evaluator.startswith(PREFIX)
        kind = row.evaluator.removeprefix(PREFIX) if attack else f"best classifier{TURNED if turned else ''}"
        kinds.setdefault(kind, []).append(row)
    return {kind: min(own, key=lambda r: r.after.value if r.after else 100.0) for kind, own in kinds.items()}


def _method_keys(of: Comparison, methods: Sequence[str], sign: str = "●") -> list[Key]:
    return [Key(method, sign, series(of, method)) for method in dict.fromkeys(methods)]


def _bar(figure: Estimate) -> Any:
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


def _percent(low: float, high: float) -> str:
    """Return a percentage as text, or its range; empty for NaN."""
    if np.isnan(low):
        return ""
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"


def _name(*parts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).replace("'", "p").lower()).strip("-")
