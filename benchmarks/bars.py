"""Check the report of ``facepriv compare`` against bars.

A bar is a limit for one figure. `bars.toml` holds the bars, one list for each ``make verify-*``; its head explains the
keys. A bar applies to every data set of the report that has its figure, and there to every method and every evaluator
that counts. For each, the row that is closest to missing the bar is printed, with its 95 % interval. The point estimate
decides. The exit code is 1 if a bar is missed or cannot be judged.

    python benchmarks/bars.py lfw runs/verify-lfw
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from shared import Benchmark

from facepriv.cli.console import table
from facepriv.errors import DataError
from facepriv.evaluation.results import Output, read_output
from facepriv.evaluation.rows import UNSEEN_MEAN, Row
from facepriv.metrics.bootstrap import Estimate

_INFINITY = math.inf


@dataclass(frozen=True)
class Bar:
    """One bar; the fields are the keys of the table."""

    what: str
    figure: str
    value: str = "after"
    at_least: float = -_INFINITY
    at_most: float = _INFINITY
    within: float = _INFINITY
    decides: str = "value"
    data: str = ""
    method: str = ""
    outputs: Sequence[str] = ()
    keeps: str = ""
    evaluators: Sequence[str] = ()
    group: str = ""
    pairing: str = ""

    @property
    def limit(self) -> str:
        """The limit as text."""
        texts = {">=": self.at_least, "<=": self.at_most, "+-": self.within}
        return " and ".join(f"{sign} {number:g}" for sign, number in texts.items() if math.isfinite(number))

    def rows(self, outputs: Iterable[Output]) -> Iterator[tuple[Output, Row]]:
        """Yield the rows that the bar is about, with their outputs."""
        for output in outputs:
            if output.name not in (self.outputs or output.name) or (self.keeps and self.keeps in output.hidden):
                continue
            for row in output.rows:
                asked = row.evaluator in self.evaluators if self.evaluators else row.evaluator != UNSEEN_MEAN
                if asked and (row.figure, row.group) == (self.figure, self.group) and self.pairing in ("", row.pairing):
                    yield output, row

    def read(self, row: Row) -> Estimate | None:
        """Return the value of a row that the bar is about; None if it has none."""
        said = {"before": row.before, "after": row.after, "change": row.change}[self.value]
        return None if said is None or math.isnan(said.value) else said

    def missed_by(self, row: Row) -> float:
        """Return by how much a row misses the bar, zero or less where it holds; infinity for a row without a value."""
        said = self.read(row)
        if said is None:
            return _INFINITY
        number = float(getattr(said, self.decides))
        return max(self.at_least - number, number - self.at_most, abs(number) - self.within)


@dataclass(frozen=True)
class Verdict:
    """One line of the table; `holds` is None for an evaluator that does not count."""

    holds: bool | None
    words: str
    where: tuple[str, ...] = ("", "", "", "")
    measured: str = ""


def read_bars() -> dict[str, list[Bar]]:
    """Return the bars of every list."""
    lists = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: [Bar(**given) for given in bars] for name, bars in lists.items()}


@click.command(cls=Benchmark, help=__doc__)
@click.argument("bars", type=click.Choice(list(read_bars())))
@click.argument("report", type=click.Path(path_type=Path))
def main(bars: str, report: Path) -> None:
    sets = read_report(report)
    verdicts = [(bar, verdict) for bar in read_bars()[bars] for verdict in judge(bar, sets)]
    head = ("bar", "data", "method", "evaluator", "output", "measured", "limit", "")
    table(head, [(bar.what, *v.where, v.measured, bar.limit, v.words) for bar, v in verdicts])
    if any(verdict.holds is False for _, verdict in verdicts):
        click.get_current_context().exit(1)


def read_report(report: Path) -> dict[str, tuple[list[Output], list[Output]]]:
    """Return data set -> outputs and differences, from ``result.json`` or the folder that holds it."""
    file = report / "result.json" if report.is_dir() else report
    try:
        said = json.loads(file.read_bytes())
        return {
            one["data"]["name"]: ([*map(read_output, one["outputs"])], [*map(read_output, one.get("differences", ()))])
            for one in said.get("sets", [said])
        }
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); name a report of facepriv compare") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: not a result.json of facepriv compare; write it again with -o") from error


def judge(bar: Bar, sets: Mapping[str, tuple[list[Output], list[Output]]]) -> list[Verdict]:
    """Return the verdict for each data set, method and evaluator that a bar applies to."""
    found: dict[tuple[str, str, str], list[tuple[Output, Row]]] = {}
    for data, (outputs, differences) in sets.items():
        chosen = [o for o in (*outputs, *differences) if o.method == bar.method] if bar.method else outputs
        for output, row in bar.rows(chosen) if data.startswith(bar.data) else ():
            found.setdefault((data, output.method, row.evaluator), []).append((output, row))
    verdicts = [_worst(bar, place, rows) for place, rows in found.items()]
    absent = set(bar.evaluators) - {evaluator for _, _, evaluator in found}
    verdicts += [_unjudged(f"the report has no such figure of {name}") for name in sorted(absent)]
    if not verdicts:
        verdicts.append(_unjudged("the report has no such figure"))
    elif all(verdict.holds is None for verdict in verdicts):
        verdicts.append(_unjudged("no evaluator counts"))
    return verdicts


def _worst(bar: Bar, place: tuple[str, str, str], rows: Sequence[tuple[Output, Row]]) -> Verdict:
    """Return the verdict of one evaluator on one method, from the row that is closest to missing the bar."""
    output, row = max(rows, key=lambda pair: bar.missed_by(pair[1]))
    where = (*place, ", ".join(part for part in (output.name, row.group, row.pairing) if part))
    said = bar.read(row)
    measured = "" if said is None else f"{said.value:.2f} ({said.low:.2f} to {said.high:.2f})"
    # A bar on the originals is a bar on the evaluator itself, so it applies to a weak one, too.
    if not row.counts and bar.value != "before":
        return Verdict(None, f"does not count: {row.note}", where, measured)
    if said is None:
        return _unjudged(row.note or "there is no value", where)
    missed = bar.missed_by(row)
    return Verdict(missed <= 0, "holds" if missed <= 0 else f"MISSED by {missed:.2f}", where, measured)


def _unjudged(why: str, where: tuple[str, ...] = ("", "", "", "")) -> Verdict:
    return Verdict(False, f"CANNOT BE JUDGED: {why}", where)


if __name__ == "__main__":
    main()
