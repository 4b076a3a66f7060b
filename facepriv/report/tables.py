"""The tables of a report: summary, every evaluator, every group, the judges; and the same in LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from facepriv.evaluation.attributes import doubtful
from facepriv.evaluation.results import MAIN_FIGURES, Comparison, Output
from facepriv.evaluation.rows import ATTACK, BEST, CHANGED, DETECTION, PREFIX, Row
from facepriv.metrics.bootstrap import Estimate
from facepriv.metrics.matching import PROTECTED
from facepriv.report.figure import interval, label, series

_SHORT = {"gender": "gender EER, %", "race": "race EER, %", "age": "age error, years"}
#: Figures in the table of every evaluator; the CSV has all figures.
_MAIN = (
    "gender_eer",
    "gender_flip_aware",
    "gender_accuracy",
    "gender_pic",
    "gender_neighbours",
    "gender_probe",
    "race_pair_eer",
    "race_balanced",
    "race_pic",
    "age_error",
    "age_shift",
    "tmr",
    "tmr_fixed",
    "fmr_fixed",
    "eer",
    "rank1",
)
_GREY = "Grey: the evaluator does not count, so it is in no mean; the note says why."
_PAIRINGS = "Matching: X1 and X2 are the first and the second photo of a pair, X1' and X2' the same photos protected."
#: Text of a cell to which no figure belongs.
NONE = "–"
#: Figures in the table of groups.
_GROUPED = ("found", "gender_eer", "gender_wrong", "race_eer", "age_error", "tmr", "tmr_fixed", "fmr_fixed")


@dataclass(frozen=True)
class Cell:
    """One cell: text, sort key (None: sort by text; infinite: no figure), and a smaller second line."""

    text: str
    value: float | None = None
    small: str = ""
    strong: bool = False
    weak: bool = False
    series: int | None = None


@dataclass(frozen=True)
class Table:
    """A table: id on the page, texts, columns and rows."""

    name: str
    title: str
    caption: str
    head: list[str]
    rows: list[list[Cell]] = field(default_factory=list)


def all_tables(of: Comparison) -> list[Table]:
    """Return all tables of a report."""
    makers = (overview, differences, adversaries, groups, evaluators, judges, methods, skipped)
    return [make(of) for make in makers]


def overview(of: Comparison) -> Table:
    """Return one line per output: what is hidden, from which evaluators, and the cost.

    If the lines are means over different evaluators, each line lists its evaluators.
    """
    attributes = of.attributes()
    attacked = [a for a in attributes if any(output.best_adversary(a) for output in of.outputs)]
    hidden = {a for output in of.outputs for a in output.hidden}
    costs = {
        **{f"{a} PIC": f"{a}_pic" for a in attributes if a in hidden},
        "TMR, %": "tmr",
        "TMR, originals' threshold, %": "tmr_fixed",
        "FMR there, %": "fmr_fixed",
    }
    costs = {words: figure for words, figure in costs.items() if any(_is_shown(o, figure) for o in of.outputs)}
    wanted = [(MAIN_FIGURES[a], "") for a in attributes] + [(figure, PROTECTED) for figure in costs.values()]
    counting = [_counting(output, wanted) for output in of.outputs]
    noted = len(set(counting)) > 1
    leaks = _leaks(of)
    head = ["output", *(_SHORT[a] for a in attributes), *(f"best adversary, {a}, %" for a in attacked)]
    head += [*leaks, *costs, "face found, %", *["mean of"] * noted]
    caption = (
        "Mean of the unseen evaluators that count, with 95 % intervals over people. Bold: hidden in this output. "
        f"TMR and PIC: both photos of a pair are protected. TMR at an FMR of {100 * of.settings['fmr']:g} %."
    )
    if leaks:
        caption += (
            " Neighbours and linear probe: the gender EER of a vote and of a linear model on the matcher's embedding, "
            "trained on other people's photos of the same line. On the originals it is the floor of every method."
        )
    table = Table("overview", "Overview", caption, head)

    def add_line(name: Cell, output: Output, side: Literal["before", "after"], evaluators: str) -> None:
        bold = output.hidden if side == "after" else ()
        cells = [_headline(output, MAIN_FIGURES[a], "", side, strong=a in bold) for a in attributes]
        cells += [_cell_of(output.best_adversary(a), side) for a in attacked]
        cells += [_leak(output, figure, matcher, side) for figure, matcher in leaks.values()]
        cells += [_headline(output, figure, PROTECTED, side) for figure in costs.values()]
        cells.append(_cell_of(next(iter(output.pick("found")), None), side))
        table.rows.append([name, *cells, *[Cell(evaluators)] * noted])

    for output, evaluators in zip(of.outputs[:1], counting, strict=False):
        add_line(Cell("originals", series=0), output, "before", evaluators)
    for output, evaluators in zip(of.outputs, counting, strict=True):
        add_line(Cell(label(of, output), series=series(of, output.method)), output, "after", evaluators)
    return table


def _leaks(of: Comparison) -> dict[str, tuple[str, str]]:
    """Return column -> figure and matcher, for what the embeddings of matchers that count give away."""
    words = {"gender_neighbours": "neighbours", "gender_probe": "linear probe"}
    rows = [row for output in of.outputs for figure in words for row in output.pick(figure)]
    found = [(row.evaluator, row.figure) for row in rows if row.counts]
    return {f"{matcher}, {words[figure]}, %": (figure, matcher) for matcher, figure in sorted(dict.fromkeys(found))}


def _leak(output: Output, figure: str, matcher: str, side: Literal["before", "after"]) -> Cell:
    row = next(iter(output.pick(figure, evaluator=matcher)), None)
    if row is None or getattr(row, side) or not row.note:
        return _cell_of(row, side)
    return Cell("no figure", math.inf, row.note)


def _counting(output: Output, wanted: Sequence[tuple[str, str]]) -> str:
    """Return the evaluators in an output's mean; they differ between methods if one has seen an evaluator."""
    rows = [row for figure, pairing in wanted for row in output.pick(figure, pairing=pairing)]
    return ", ".join(sorted({row.evaluator for row in rows if row.counts and row.after}))


def evaluators(of: Comparison) -> Table:
    """Return the figures of every evaluator for every output."""
    head = ["output", "figure", "evaluator", "photos", "originals", "protected", "change", "note"]
    table = Table("evaluators", "Every evaluator", f"{_GREY} {_PAIRINGS}", head)
    for output in of.outputs:
        for row in output.rows:
            if row.figure in _MAIN and not row.group and (row.after or row.note):
                table.rows.append(_line(of, output, row, [row.evaluator, row.pairing]))
    return table


def differences(of: Comparison) -> Table:
    """Return the differences of every method to the reference method; empty if there is none."""
    against = of.settings.get("against", "")
    head = ["output", "figure", "evaluator", "pairing", against, "the other", "difference", "note"]
    caption = f"Each method less {against}, on the same faces under the same resamples of people. {_GREY}"
    table = Table("differences", f"Against {against}", caption, head)
    for output in of.differences:
        for row in output.rows:
            if row.figure in _MAIN and not row.group and (row.change or row.note):
                name = output.method if len(of.outputs) == len(of.methods) else f"{output.method}, {output.name}"
                table.rows.append(_greyed(row, [Cell(name), *_figures(row, [row.evaluator, row.pairing])]))
    return table


def groups(of: Comparison) -> Table:
    """Return the figures by gender, race and age group."""
    head = ["output", "figure", "group", "evaluator", "originals", "protected", "change", "note"]
    caption = (
        "Matching: both photos of a pair are protected. A rate of one gender's photos is at the threshold of the EER "
        f"on the originals. {_GREY}"
    )
    table = Table("groups", "Figures of every group", caption, head)
    for output in of.outputs:
        for row in output.rows:
            if row.group and row.figure in _GROUPED and row.pairing in ("", PROTECTED) and row.after:
                table.rows.append(_line(of, output, row, [row.group, row.evaluator]))
    return table


def adversaries(of: Comparison) -> Table:
    """Return the figures of every adversary, the best in bold, and of the detection of protection and of changes."""
    head = ["output", "target", "adversary", "originals, %", "protected, %", "change", "note"]
    caption = (
        "EER of every adversary. All but classifiers as they are studied protected faces of other people than those "
        "they answer for. Originals: the best classifier; for attacks on embeddings the same attack on unprotected "
        "faces. Distinguishing protected from original faces, and faces that changed class from those that kept it "
        f"(AUC): 50 % is a guess.{_floor(of)}"
    )
    table = Table("attacks", "Adversaries", caption, head)
    for output in of.outputs:
        for row in sorted(output.adversaries, key=_by_strength):
            target = {DETECTION: "protected?", CHANGED: "changed?"}.get(row.figure, row.attribute)
            cells = [Cell(label(of, output), series=series(of, output.method)), Cell(target), Cell(row.evaluator)]
            cells += [_cell(row.before), _cell(row.after, strong=row.note == BEST), _cell(row.change, 1, "+")]
            cells.append(Cell(row.note))
            table.rows.append(cells)
    return table


def _floor(of: Comparison) -> str:
    """Return the least error of each attack on embeddings on unprotected faces, as a sentence."""
    best: dict[str, float] = {}
    for output in of.outputs:
        for row in output.adversaries:
            attack = row.evaluator.removeprefix(PREFIX)
            if attack.partition(", ")[0] in ("neighbours", "probe") and row.before:
                words = f"{row.attribute} by {attack}"
                best[words] = min(best.get(words, math.inf), row.before.value)
    if not best:
        return ""
    words, value = min(best.items(), key=lambda item: item[1])
    return f" A matcher's own embedding of unprotected faces tells {words}, with an error of {value:.1f} %."


def judges(of: Comparison) -> Table:
    """Return the judges, whether they count, their training data, and their figures on the originals."""
    head = ["evaluator", "estimates", "on the originals", "seen by", "counts", "trained on"]
    caption = "An evaluator is no evidence for a method that was trained against it. Grey: it counts for no output."
    table = Table("judges", "Evaluators", caption, head)
    for judge in of.judges:
        figure = MAIN_FIGURES.get(judge["attribute"], "tmr")
        own = [r for o in of.outputs for r in o.rows if (r.figure, r.evaluator, r.group) == (figure, judge["name"], "")]
        row = next((row for row in own if row.before), None)
        text = interval(row.before) + (" years" if row.unit == "years" else " %") if row else ""
        seen = [m["name"] for m in of.methods if judge["name"] in m["seen"]]
        counts = any(row.counts for row in own)
        doubt = doubtful(judge["attribute"], row) if row and judge["attribute"] else ""
        why = f"yes, {doubt}".rstrip(", ") if counts else next((f"no: {row.note}" for row in own), "no")
        cells = [judge["name"], judge["attribute"] or "identity (TMR)", text, ", ".join(seen), why, judge["trained_on"]]
        table.rows.append([Cell(cell, weak=not counts) for cell in cells])
    return table


def methods(of: Comparison) -> Table:
    """Return the methods: version, weights, settings, source."""
    table = Table("methods", "Methods", "", ["method", "version", "weights", "settings", "what it is"])
    for method in of.methods:
        settings = ", ".join(f"{name}={value}" for name, value in method["settings"].items())
        what = f"{method['summary']}. {method['reference']}".rstrip(". ")
        cells = [method["version"], method["weights"][:12], settings, what]
        table.rows.append([Cell(method["name"], series=series(of, method["name"])), *(Cell(cell) for cell in cells)])
    return table


def skipped(of: Comparison) -> Table:
    """Return what was skipped, with reasons."""
    rows = [[Cell(item["what"]), Cell(item["why"])] for item in of.skipped]
    return Table("skipped", "Left out", "", ["what", "why"], rows)


def to_latex(tables: Iterable[Table]) -> str:
    """Return tables as LaTeX, for the package booktabs."""
    parts = ["% needs \\usepackage{booktabs}"]
    for table in tables:
        columns = "l" + "r" * (len(table.head) - 1)
        lines = [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_tex(table.title)}. {_tex(table.caption)}}}",
            f"\\label{{tab:{table.name}}}",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            _tex_line(table.head),
            "\\midrule",
        ]
        lines += [_tex_line([_cell_text(cell) for cell in row], strong=[c.strong for c in row]) for row in table.rows]
        parts.append("\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"]))
    return "\n\n".join(parts) + "\n"


def _line(of: Comparison, output: Output, row: Row, words: list[str]) -> list[Cell]:
    return _greyed(row, [Cell(label(of, output), series=series(of, output.method)), *_figures(row, words)])


def _greyed(row: Row, cells: list[Cell]) -> list[Cell]:
    """Return the cells of a row, grey if its evaluator does not count."""
    return [replace(cell, weak=not row.counts) for cell in cells]


def _figures(row: Row, words: list[str]) -> list[Cell]:
    """Return the cells of a row: description, `words`, before, after and change, and its note."""
    digits = _digits(row)
    unit = {"percent": ", %", "years": ", years"}.get(row.unit, "")
    values = [_cell(row.before, digits), _cell(row.after, digits), _cell(row.change, digits, "+")]
    return [Cell(row.words + unit), *(Cell(word) for word in words), *values, Cell(row.note)]


def _is_shown(output: Output, figure: str) -> bool:
    """Return whether a cost has a column: it has a figure that counts, or a reason why not.

    The column of the TMR gives the reason for those that depend on it.
    """
    dependent = figure in ("tmr_fixed", "fmr_fixed")
    return bool(output.lead(figure, pairing=PROTECTED) if dependent else output.pick(figure, pairing=PROTECTED))


def _headline(
    output: Output, figure: str, pairing: str, side: Literal["before", "after"], *, strong: bool = False
) -> Cell:
    """Return one side of an output's main row of a figure, or why there is no figure that counts."""
    row = output.lead(figure, pairing=pairing)
    if row and getattr(row, side):
        return _cell_of(row, side, strong=strong)
    reasons: dict[str, list[str]] = {}
    for refused in output.pick(figure, pairing=pairing):
        if refused.note:
            reasons.setdefault(refused.note, []).append(refused.evaluator)
    if row or not reasons:
        return Cell(NONE, math.inf)  # the figure compares two sides, so it has one value only
    if len(reasons) == 1:
        return Cell("no figure", math.inf, next(iter(reasons)))
    return Cell("no figure", math.inf, "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items()))


def _cell_of(row: Row | None, side: Literal["before", "after"], *, strong: bool = False) -> Cell:
    """Return one side of a row as a cell."""
    figure = getattr(row, side) if row else None
    return _cell(figure, _digits(row), strong=strong) if row and figure else Cell(NONE, math.inf)


def _digits(row: Row) -> int:
    return 3 if row.unit == "index" else 2 if row.figure.startswith("fmr") else 1


def _cell(figure: Estimate | None, digits: int = 1, sign: str = "", *, strong: bool = False) -> Cell:
    if figure is None or not math.isfinite(figure.value):
        return Cell("", math.inf)
    small = ""
    if math.isfinite(figure.low) and math.isfinite(figure.high):
        small = f"{figure.low:{sign}.{digits}f} to {figure.high:{sign}.{digits}f}"
    return Cell(f"{figure.value:{sign}.{digits}f}", figure.value, small, strong)


def _by_strength(row: Row) -> tuple[bool, str, float]:
    return row.figure != ATTACK, row.attribute, row.after.value if row.after else math.inf


def _cell_text(cell: Cell) -> str:
    return f"{cell.text} ({cell.small})" if cell.small else cell.text


def _tex_line(texts: Sequence[str], strong: Sequence[bool] = ()) -> str:
    escaped = [_tex(text) for text in texts]
    marked = [f"\\textbf{{{t}}}" if n < len(strong) and strong[n] else t for n, t in enumerate(escaped)]
    return " & ".join(marked) + " \\\\"


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    c: f"\\{c}" for c in "%&#_${}"
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)
