"""The bars of the paper's claim, and whether the figures of all outputs meet them.

The point estimate decides; the interval is reported beside it. The exception is a kept race: its interval must include
a value within the bar, since the test splits have few faces of the two races.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from before_after import ORIGINAL, PAIRINGS, Figures

from facepriv.evaluation.requests import OWN, RANDOM
from facepriv.metrics.bootstrap import Estimate
from facepriv.protection.request import PrivacyRequest
from facepriv.schema import AGE, ATTRIBUTES

HIDDEN_EER = {"gender": 0.60, "race": 0.30}
FLIP_AWARE_EER = 0.30
SHIFT_YEARS = {"young": 10.0, "middle": 6.0, "old": 15.0}
KEPT_EER, KEPT_YEARS = 0.03, 1.5
LOST_TMR, HIGHEST_FMR = 0.02, 0.002
#: Unit -> factor and words.
UNITS = {"percent": (100, " %"), "points": (100, " points"), "years": (1, " years")}


@dataclass(frozen=True)
class Row:
    """One figure beside its bar.

    Parameters
    ----------
    part, what, where, who, output : str
        The part of the table (a to f), the figure, the set, the judge, the output (for a worst case, the worst one).
    figure : Estimate or None
        None if it could not be computed; `note` has the reason.
    unit : {"percent", "points", "years"}
    bar : str
        The bar as text; empty if the figure is for information only.
    misses : float or None
        By how much the bar is missed, in `unit` (a percentage in points), 0 if it holds; None without a bar.
    """

    part: str
    what: str
    where: str
    who: str
    output: str
    figure: Estimate | None
    unit: str
    bar: str = ""
    misses: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """``holds``, ``misses by ...``, or empty."""
        if self.misses is None:
            return self.note
        words = UNITS["points" if self.unit == "percent" else self.unit][1]
        return "holds" if self.misses == 0 else f"misses by {self.misses:.2f}{words}"


@dataclass(frozen=True)
class Findings:
    """Results on one set.

    Parameters
    ----------
    name : str
        Name of the set.
    requests : mapping
        Output -> request.
    original : mapping
        Figures of the originals by attribute (and ``matching``) and judge.
    strength : mapping
        Estimator -> ``attribute``, ``counts``, ``note``; see `examiner.strength`.
    outputs : mapping
        Output -> figures, in the same form.
    matchers : sequence of str
    lost : mapping
        Output, and the originals -> photos without a detected face: errors of every judge, which favour a method.
    """

    name: str
    requests: Mapping[str, PrivacyRequest]
    original: Mapping[str, Mapping[str, Figures]]
    strength: Mapping[str, Figures]
    outputs: Mapping[str, Mapping[str, Mapping[str, Figures]]]
    matchers: Sequence[str] = ()
    lost: Mapping[str, int] = field(default_factory=dict)

    def counting(self, attribute: str) -> list[str]:
        """Return the estimators of an attribute that are good enough on the originals."""
        return [name for name, s in self.strength.items() if s["attribute"] == attribute and s["counts"]]

    def of_the_paper(self, wanted: Callable[[PrivacyRequest], bool]) -> list[str]:
        """Return the paper's outputs whose request satisfies `wanted`."""
        return [name for name in self.outputs if name not in (RANDOM, OWN) and wanted(self.requests[name])]

    def figure(self, kind: str, judge: str, output: str, *path: str) -> Estimate | None:
        """Return one figure; None if there were too few photos."""
        value: Any = self.outputs[output][kind][judge]
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def bars(found: Findings) -> list[Row]:
    """Return all rows of one set, in the order of the table."""
    rows = []
    for attribute in ATTRIBUTES:
        judges = found.counting(attribute)
        rows += [
            Row("", f"{attribute}: does not count", found.name, name, "", None, "percent", note=said["note"])
            for name, said in found.strength.items()
            if said["attribute"] == attribute and not said["counts"]
        ]
        for judge in judges:
            rows += _hidden(found, attribute, judge)
            rows += _kept(found, attribute, judge)
    for matcher in found.matchers:
        rows += _matching(found, matcher)
    return sorted(rows, key=lambda row: row.part)


def _hidden(found: Findings, attribute: str, judge: str) -> list[Row]:
    if attribute == AGE.name:
        return [row for target in AGE.classes for row in _shifted(found, judge, target)]
    path = ("pair", "eer_after") if attribute == "race" else ("eer_after",)
    words = "Black-vs-White EER, race hidden" if attribute == "race" else "gender EER, hidden by flip"
    part = "c" if attribute == "race" else "a"
    rows = _alone_and_others(
        found,
        judge,
        attribute,
        part,
        words,
        path,
        HIDDEN_EER[attribute],
        "percent",
        lambda request: attribute in request.hidden,
    )
    if attribute == "gender" and RANDOM in found.outputs:
        figure = found.figure("gender", judge, RANDOM, "flip_aware_after")
        words = "gender min(EER, 1 - EER), hidden by random"
        rows.append(_row(found, "b", words, judge, RANDOM, figure, "percent", at_least=FLIP_AWARE_EER))
    return rows


def _shifted(found: Findings, judge: str, target: str) -> list[Row]:
    words = f"age shift towards {target}, faces outside"
    return _alone_and_others(
        found,
        judge,
        "age",
        "d",
        words,
        ("shift",),
        SHIFT_YEARS[target],
        "years",
        lambda request: request.targets.get("age") == target,
    )


def _alone_and_others(
    found: Findings,
    judge: str,
    attribute: str,
    part: str,
    words: str,
    path: tuple[str, ...],
    bar: float,
    unit: str,
    wanted: Callable[[PrivacyRequest], bool],
) -> list[Row]:
    """Return the row of the output that hides this attribute alone, with its bar, and the worst of the others."""
    outputs = found.of_the_paper(wanted)
    alone = [name for name in outputs if found.requests[name].hidden == (attribute,)]
    rows = [
        _row(found, part, words, judge, name, found.figure(attribute, judge, name, *path), unit, at_least=bar)
        for name in alone
    ]
    others = {n: f for n in outputs if n not in alone and (f := found.figure(attribute, judge, n, *path))}
    if others:
        worst = min(others, key=lambda name: others[name].value)
        words = f"{words}, with others hidden too: worst of {len(others)}"
        rows.append(_row(found, part, words, judge, worst, others[worst], unit))
    return rows


def _kept(found: Findings, attribute: str, judge: str) -> list[Row]:
    path = {"gender": ("eer_rise",), "race": ("pair", "eer_rise"), "age": ("error_change",)}[attribute]
    bar, unit = (KEPT_YEARS, "years") if attribute == "age" else (KEPT_EER, "points")
    # For race the lower end of the interval decides; for other attributes the absolute change.
    measure: Callable[[Estimate], float] = (lambda f: f.low) if attribute == "race" else (lambda f: abs(f.value))
    words = {
        "gender": "gender EER changes, gender kept",
        "race": "Black-vs-White EER changes, race kept (interval)",
        "age": "age error changes, age kept",
    }[attribute]
    keeping = found.of_the_paper(lambda request: attribute not in request.hidden)
    rows = []
    for names, end in ((keeping, f": worst of {len(keeping)}"), ([OWN], ", nothing hidden")):
        known = {n: f for n in names if n in found.outputs and (f := found.figure(attribute, judge, n, *path))}
        if known:
            worst = max(known, key=lambda name: measure(known[name]))
            row = _row(found, "e", words + end, judge, worst, known[worst], unit, at_most=bar, measure=measure)
            rows.append(row)
    return rows


def _matching(found: Findings, matcher: str) -> list[Row]:
    paper = found.of_the_paper(lambda request: True)
    rows = []
    for names, end in ((paper, f": worst of {len(paper)} outputs, {len(PAIRINGS)} pairings"), ([OWN], ", own labels")):
        there = [n for n in names if n in found.outputs]
        refused = [found.outputs[n]["matching"][matcher].get("refused") for n in there]
        if any(refused):
            text = next(filter(None, refused))
            rows.append(Row("f", f"TMR{end}", found.name, matcher, "", None, "points", note=text))
            continue
        for kind, words in (("own", "TMR changes, own FMR 0.1 %"), ("fixed", "TMR changes, originals' threshold")):
            figures = _pairings(found, matcher, there, kind, "tmr_change")
            if figures:
                worst = min(figures, key=lambda n: figures[n].value)
                rows.append(_row(found, "f", words + end, matcher, worst, figures[worst], "points", at_least=-LOST_TMR))
        figures = _pairings(found, matcher, there, "fixed", "fmr")
        if figures:
            worst = max(figures, key=lambda n: figures[n].value)
            words = f"FMR at the originals' threshold{end}"
            rows.append(_row(found, "f", words, matcher, worst, figures[worst], "percent", at_most=HIGHEST_FMR))
    return rows


def _pairings(found: Findings, matcher: str, outputs: Sequence[str], kind: str, key: str) -> dict[str, Estimate]:
    """Return "output, pairing" -> figure, for the pairings with a protected photo."""
    return {
        f"{output}, {pairing}": found.outputs[output]["matching"][matcher][pairing][kind][key]
        for output in outputs
        for pairing in PAIRINGS
        if pairing != ORIGINAL
    }


def _row(
    found: Findings,
    part: str,
    what: str,
    who: str,
    output: str,
    figure: Estimate | None,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    measure: Callable[[Estimate], float] = lambda figure: figure.value,
) -> Row:
    if figure is None:
        return Row(part, what, found.name, who, output, None, unit, note="too few photos")
    scale, words = UNITS[unit]
    if at_least is not None:
        misses, bar = at_least - measure(figure), f">= {scale * at_least:g}{words}"
    elif at_most is not None:
        misses, bar = measure(figure) - at_most, f"<= {scale * at_most:g}{words}"
    else:
        return Row(part, what, found.name, who, output, figure, unit)
    return Row(part, what, found.name, who, output, figure, unit, bar, max(0.0, scale * misses))
