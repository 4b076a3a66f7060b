"""What a report is made of: figures, curves and examples of every output, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.evaluation.measure import Curves
from facepriv.evaluation.rows import UNSEEN_MEAN, Row, number
from facepriv.metrics.bootstrap import Estimate

#: Figure that says how well an attribute is told, by attribute.
TOLD = {"gender": "gender_eer", "race": "race_pair_eer", "age": "age_error"}


@dataclass(frozen=True)
class Output:
    """One output of one method.

    Parameters
    ----------
    method, name : str
        The name says what is hidden, as `facepriv.requests.named_output` reads it.
    hidden : tuple of str
    rows : tuple of Row
        What evaluators say.
    curves : Curves
    adversaries : tuple of Row
        What adversaries recover, see `facepriv.attacks.figures`; empty where none was asked.
    """

    method: str
    name: str
    hidden: tuple[str, ...]
    rows: tuple[Row, ...]
    curves: Curves
    adversaries: tuple[Row, ...] = ()

    def pick(self, figure: str, *, group: str = "", pairing: str = "", evaluator: str = "") -> list[Row]:
        """Return the rows of a figure for one group and pairing; `evaluator` empty: of all but the mean."""
        return [
            row
            for row in self.rows
            if (row.figure, row.group, row.pairing) == (figure, group, pairing)
            and (row.evaluator == evaluator if evaluator else row.evaluator != UNSEEN_MEAN)
        ]

    def lead(self, figure: str, *, pairing: str = "") -> Row | None:
        """Return the mean over unseen evaluators that count; where there is none, what the first of them says."""
        means = self.pick(figure, pairing=pairing, evaluator=UNSEEN_MEAN)
        counting = [row for row in self.pick(figure, pairing=pairing) if row.counts]
        return next((row for row in (*means, *counting) if row.after), None)

    def best_adversary(self, attribute: str) -> Row | None:
        """Return the strongest adversary on an attribute, if any was asked."""
        from facepriv.attacks.figures import BEST

        return next((row for row in self.adversaries if row.attribute == attribute and row.note == BEST), None)


@dataclass(frozen=True)
class Example:
    """A face that may be shown.

    Parameters
    ----------
    caption : str
        Whose it is.
    original : ndarray
        (H, W, 3) uint8, the face in the photo.
    outputs : dict
        (method, output) -> the same part of the protected photo, or None where the method failed on it.
    """

    caption: str
    original: NDArray[np.uint8]
    outputs: Mapping[tuple[str, str], NDArray[np.uint8] | None]


@dataclass(frozen=True)
class Comparison:
    """All that was measured.

    Parameters
    ----------
    facepriv : str
        The version.
    data : dict
        ``name``, ``photos``, ``people`` (0: unknown), ``part``.
    settings : dict
        ``policy``, ``strength``, ``seed``, ``fmr``, ``replicates``.
    methods : tuple of dict
        ``name``, ``version``, ``weights``, ``seen``, ``settings``, ``summary``, ``reference``.
    judges : tuple of dict
        ``name``, ``attribute`` (empty of a matcher), ``trained_on``.
    skipped : tuple of dict
        ``what``, ``why``: methods, outputs, evaluators that are not there.
    original : Curves
        Of the originals.
    outputs : tuple of Output
    examples : tuple of Example
        Not in the JSON.
    """

    facepriv: str
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    methods: tuple[Mapping[str, Any], ...]
    judges: tuple[Mapping[str, Any], ...]
    skipped: tuple[Mapping[str, str], ...]
    original: Curves
    outputs: tuple[Output, ...]
    examples: tuple[Example, ...] = ()

    def of(self, method: str) -> list[Output]:
        """Return the outputs of a method."""
        return [output for output in self.outputs if output.method == method]

    def rows(self) -> Iterator[tuple[Output, Row]]:
        """Yield every row with its output, those of adversaries last in each."""
        for output in self.outputs:
            for row in (*output.rows, *output.adversaries):
                yield output, row

    def attributes(self) -> list[str]:
        """Return the attributes of which there is a figure, in the schema's order."""
        there = {row.attribute for output in self.outputs for row in output.rows if row.after}
        return [name for name in TOLD if name in there]

    def plain(self) -> dict[str, Any]:
        """Return it for JSON, without the examples."""
        return {
            "facepriv": self.facepriv,
            "data": dict(self.data),
            "settings": dict(self.settings),
            "methods": [dict(m) for m in self.methods],
            "judges": [dict(j) for j in self.judges],
            "skipped": [dict(s) for s in self.skipped],
            "original": plain_curves(self.original),
            "outputs": [plain_output(output) for output in self.outputs],
        }


def plain_output(output: Output) -> dict[str, Any]:
    """Return an output for JSON."""
    return {
        "method": output.method,
        "name": output.name,
        "hidden": list(output.hidden),
        "rows": [row.plain() for row in output.rows],
        "curves": plain_curves(output.curves),
        "adversaries": [row.plain() for row in output.adversaries],
    }


def read_output(said: Mapping[str, Any]) -> Output:
    """Return what `plain_output` wrote."""
    return Output(
        said["method"],
        said["name"],
        tuple(said["hidden"]),
        tuple(map(read_row, said["rows"])),
        read_curves(said["curves"]),
        tuple(map(read_row, said["adversaries"])),
    )


def read_row(said: Mapping[str, Any]) -> Row:
    """Return a row from what `Row.plain` wrote."""
    texts = ("figure", "evaluator", "attribute", "group", "pairing", "unit", "counts", "note")
    values = {name: _estimate(said[name]) for name in ("before", "after", "change")}
    return Row(**{name: said[name] for name in texts}, **values)


def plain_curves(curves: Curves) -> dict[str, Any]:
    """Return curves for JSON; what is not known is null."""

    def deep(own: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> dict[str, Any]:
        return {m: {p: [number(float(v)) for v in values] for p, values in c.items()} for m, c in own.items()}

    return {"fmr": [float(v) for v in curves.fmr], "roc": deep(curves.roc), "cmc": deep(curves.cmc)}


def read_curves(said: Mapping[str, Any]) -> Curves:
    """Return what `plain_curves` wrote."""

    def deep(own: Mapping[str, Mapping[str, Sequence[float | None]]]) -> dict[str, dict[str, NDArray[np.float64]]]:
        return {m: {p: np.array(values, np.float64) for p, values in c.items()} for m, c in own.items()}

    return Curves(np.array(said["fmr"], np.float64), deep(said["roc"]), deep(said["cmc"]))


def _estimate(said: Mapping[str, float | None] | None) -> Estimate | None:
    if said is None:
        return None
    return Estimate(*(float("nan") if said[part] is None else float(said[part]) for part in ("value", "low", "high")))
