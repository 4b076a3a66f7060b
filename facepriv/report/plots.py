"""The figures of a report: the paper's 5 to 9, adversaries, and the trade-off.

Figure 4 is in `examples`, 8 and 9 are in `curves`.

Every figure includes its numbers as a table. Colours stand for methods (0 is the originals), markers for evaluators,
the same in all figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facepriv.evaluation.results import MAIN_FIGURES, Comparison, Output
from facepriv.evaluation.rows import ATTACK, PREFIX, TURNED, Row
from facepriv.metrics.bootstrap import Estimate
from facepriv.metrics.matching import PROTECTED
from facepriv.report.curves import PAIRINGS, curve_plot
from facepriv.report.figure import (
    NO_EVIDENCE,
    PALE,
    PAPER,
    WIDTH,
    Key,
    Plot,
    error_bar,
    interval,
    label,
    method_keys,
    padded,
    series,
)
from facepriv.report.style import FAINT, MARKERS, SIGNS, colour, drawing, to_svg

_TITLES = {"gender": "Gender EER", "race": "Race: Black-vs-White EER", "age": "Age: mean absolute error"}
_NUMBERS = {"gender": "Fig. 5", "race": "Fig. 6", "age": "Fig. 7"}


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
    caption = f"{_NUMBERS[attribute]} {PAPER}. "
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
    classifiers = [r for o in of.outputs for r in o.adversaries if not r.evaluator.startswith(PREFIX)]
    before = [r.before.value for r in classifiers if r.attribute == attribute and r.before]
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
    with drawing(WIDTH, 330) as (figure, axes):
        first = points[0][0]
        start = [first.lead(MAIN_FIGURES[attribute]), first.lead("tmr", pairing=PROTECTED)]
        if all(row and row.before for row in start):
            x, y = (row.before.value for row in start if row and row.before)
            axes.plot([x], [y], "*", color=colour(0), markersize=10)
        for output, x, y, best in points:
            tint = colour(series(of, output.method))
            axes.errorbar([x.value], [y.value], xerr=error_bar(x), yerr=error_bar(y), fmt="o", color=tint, elinewidth=1)
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
    keys = [Key("originals", "★", 0), *method_keys(of, [output.method for output, *_ in points])]
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
    return padded(values)


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
    with drawing(WIDTH, 74 + 30 * len(lines)) as (figure, axes):
        shift = {e: 0.5 * ((n + 0.5) / len(evaluators) - 0.5) for n, e in enumerate(evaluators)}
        for spot in spots:
            tint = colour(0 if not spot.method else series(of, spot.method)) if spot.counts else FAINT
            marker = MARKERS[evaluators.index(spot.evaluator) % len(MARKERS)]
            y = lines.index(spot.line) + shift[spot.evaluator]
            axes.errorbar(
                [spot.value.value],
                [y],
                xerr=error_bar(spot.value),
                fmt=marker,
                color=tint,
                alpha=1 if spot.counts else PALE,
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
        [s.line + (" (kept)" if s.hollow else ""), s.evaluator + ("" if s.counts else NO_EVIDENCE), interval(s.value)]
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
    """Return the strongest unmodified classifier, the strongest inverted one, and the best model of every attack."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        turned = row.evaluator.endswith(TURNED)
        attack = row.evaluator.startswith(PREFIX)
        kind = (
            row.evaluator.removeprefix(PREFIX).partition(", ")[0]
            if attack
            else f"best classifier{TURNED if turned else ''}"
        )
        kinds.setdefault(kind, []).append(row)
    return {kind: min(own, key=lambda r: r.after.value if r.after else 100.0) for kind, own in kinds.items()}
