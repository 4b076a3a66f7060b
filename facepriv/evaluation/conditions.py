"""Conditions on rows for ``--fail-if``, such as ``tmr_loss > 2``: parsed by a small grammar, never run as code.

    condition = name [ "[" evaluator "]" ] comparison number [ "%" ]
    name      = figure [ "_before" | "_rise" | "_loss" ] [ "@" FMR "%" ]
    comparison = ">" | ">=" | "<" | "<="

A figure without a suffix is its value on the protected photos, in the unit of the tables (rates in percent).
``_before`` is the value on the originals, ``_rise`` the paired change and ``_loss`` the negated change. A condition
holds if it holds for any evaluator that counts, in any pairing with a protected photo. Single groups are used only if
the figure has no other rows. An evaluator that does not count cannot decide a condition, even if it is named.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from facepriv.errors import UsageError
from facepriv.evaluation.rows import AT_FMR, FIGURES, FMRS, MAIN_FMR, UNSEEN_MEAN, Row, at_fmr
from facepriv.schema import nearest

_ENDS = ("_before", "_rise", "_loss")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_FORM = re.compile(
    rf"\s*(?P<name>[A-Za-z_]\w*(?:@[\d.]+%)?)\s*(?:\[(?P<judge>[^\[\]]+)\])?\s*"
    rf"(?P<sign>>=|<=|>|<)\s*(?P<number>{_NUMBER})\s*%?\s*"
)


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    Parameters
    ----------
    text : str
        The condition as given.
    figure, end : str
        A key of `facepriv.evaluation.rows.FIGURES`, possibly with an FMR, and the suffix.
    evaluator : str
        Name of an evaluator; empty for all that count.
    sign : str
    number : float
    """

    text: str
    figure: str
    end: str
    evaluator: str
    sign: str
    number: float


@dataclass(frozen=True)
class Outcome:
    """Whether a condition holds (None: undecidable, with the reason), and for which rows and values."""

    condition: Condition
    holds: bool | None
    where: tuple[tuple[Row, float], ...] = ()
    why: str = ""

    @property
    def text(self) -> str:
        """One human-readable line."""
        start = f"--fail-if '{self.condition.text}'"
        if self.holds is None:
            return f"{start}: cannot be judged: {self.why}"
        if not self.holds:
            return f"{start}: does not hold"
        row, value = self.where[0]
        subject = ", ".join(part for part in (row.evaluator, row.group, row.pairing) if part)
        more = f", and {len(self.where) - 1} more" if len(self.where) > 1 else ""
        return f"{start}: holds, {row.words} is {value:.4g}{f' ({subject})' if subject else ''}{more}"


def read_condition(text: str, fmr: float = MAIN_FMR) -> Condition:
    """Parse a condition; raises `UsageError` with the cause, and with the known names if a name is unknown.

    `fmr` is the main false match rate; figures at it have no FMR in their name.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"--fail-if '{text}': expected NAME > NUMBER, such as 'tmr_loss > 2' or 'eer[dlib] >= 5'")
    name, at, share = found["name"].partition("@")
    end = next((end for end in _ENDS if name.endswith(end)), "")
    figure = name.removesuffix(end)
    if figure not in FIGURES:
        close = nearest(figure, list(FIGURES))
        ends = ", ".join(_ENDS)
        raise UsageError(
            f"--fail-if '{text}': no figure '{figure}'{close}: known are {', '.join(FIGURES)}; each also with {ends}"
        )
    evaluator = (found["judge"] or "").strip()
    named = at_fmr(figure, _rate(text, found["name"], figure, share, fmr), fmr) if at else figure
    return Condition(text.strip(), named, end, evaluator, found["sign"], float(found["number"]))


def _rate(text: str, name: str, figure: str, share: str, fmr: float) -> float:
    """Return the FMR given in a figure's name as ``NUMBER%``."""
    if figure not in AT_FMR:
        raise UsageError(f"--fail-if '{text}': {figure} does not depend on an FMR; those that do: {', '.join(AT_FMR)}")
    known = {f"{100 * rate:g}": rate for rate in (fmr, *FMRS)}
    try:
        return known[f"{float(share.removesuffix('%')):g}"]
    except (KeyError, ValueError):
        others = ", ".join(f"{name.partition('@')[0]}@{percent}%" for percent in known)
        raise UsageError(f"--fail-if '{text}': not computed; there are {others}; --fmr sets the first") from None


def judge(condition: Condition, rows: Sequence[Row]) -> Outcome:
    """Return whether a condition holds for the worst of its rows."""
    meant = [row for row in rows if row.figure == condition.figure]
    if condition.evaluator:
        meant = [row for row in meant if row.evaluator == condition.evaluator]
    else:
        meant = [row for row in meant if row.evaluator != UNSEEN_MEAN]
    no_evidence = {row.evaluator: row.note for row in meant if not row.counts}
    meant = [row for row in meant if row.counts]
    if no_evidence and not meant:
        doubts = "; ".join(f"{name} does not count here ({note})" for name, note in no_evidence.items())
        return Outcome(condition, None, why=doubts)
    meant = [row for row in meant if not row.group] or meant
    values = [(row, value) for row in meant if (value := _value(row, condition.end)) is not None]
    compare = _COMPARE[condition.sign]
    worst = sorted(values, key=lambda pair: pair[1], reverse=condition.sign.startswith(">"))
    where = tuple(pair for pair in worst if compare(pair[1], condition.number))
    if not where and (not values or len(values) < len(meant)):
        # A figure that could not be measured may be the worst one.
        return Outcome(condition, None, why="not every judge and pairing has such a figure")
    return Outcome(condition, bool(where), where)


def _value(row: Row, end: str) -> float | None:
    estimate = {"": row.after, "_before": row.before}.get(end, row.change)
    if estimate is None or estimate.value != estimate.value:
        return None
    return -estimate.value if end == "_loss" else estimate.value


def check_named(conditions: Sequence[Condition], judges: Iterable[str]) -> None:
    """Raise `UsageError` for a condition on a judge that is not used, before anything is computed."""
    known = [*judges, UNSEEN_MEAN]
    for condition in conditions:
        if condition.evaluator and condition.evaluator not in known:
            close = nearest(condition.evaluator, known)
            raise UsageError(
                f"--fail-if '{condition.text}': no judge '{condition.evaluator}' here{close}: {', '.join(known)}"
            )
