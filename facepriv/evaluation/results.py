"""One figure of one method a row, with its interval: what tables, CSV, JSON and conditions are made of."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError
from facepriv.metrics.bootstrap import Estimate, with_interval

Float = NDArray[np.float64]

#: Figure -> what it is, in words. Of rates all are percent; see `Row.unit`.
FIGURES: Mapping[str, str] = {
    "missing": "photos without a protected file",
    "unreadable": "protected files that are no whole image",
    "resized": "protected files of another size than their original",
    "identical": "protected files with the pixels of their original",
    "found": "photos in which a face is found",
    "ssim": "structural similarity to the original, mean over photos; image quality, never privacy",
    "psnr": "peak signal-to-noise ratio to the original, mean over changed photos; image quality, never privacy",
    "gender_eer": "gender EER",
    "gender_flip_aware": "gender EER of who may turn the answer round",
    "gender_auc": "gender AUC",
    "gender_accuracy": "gender accuracy",
    "gender_balanced": "gender balanced accuracy",
    "gender_suppression": "gender suppression rate",
    "gender_pic": "gender privacy gain less identity loss (PIC)",
    "gender_wrong": "taken for the other gender at the originals' EER threshold",
    "race_pair_eer": "Black-vs-White EER",
    "race_eer": "EER of one race against the rest",
    "race_accuracy": "race accuracy",
    "race_balanced": "race balanced accuracy",
    "race_suppression": "race suppression rate",
    "race_pic": "race privacy gain less identity loss (PIC)",
    "age_error": "mean absolute error of age",
    "age_moved": "mean absolute change of the estimated age",
    "age_shift": "mean change of the estimated age towards the target, faces outside it",
    "tmr": "TMR at the set's own FMR",
    "tmr_fixed": "TMR at the originals' threshold",
    "fmr_fixed": "FMR at the originals' threshold",
    "eer": "EER of matching",
    "auc": "AUC of matching",
    "d_prime": "d' of matching",
    "rank1": "identification at rank 1",
    "rank5": "identification at rank 5",
    "attack_eer": "EER of an adversary, mean over the classes against the rest",
    "detection_eer": "EER of telling protected from original faces, 50 % is a guess",
}
#: False match rates at which figures are given besides the main one, and the figures that hang on one.
FMRS = (0.01, 0.001, 0.0001)
AT_FMR = ("tmr", "tmr_fixed", "fmr_fixed")
#: The main FMR unless another is asked for.
MAIN_FMR = 0.001
#: The evaluator of a mean over those that count and were not seen in training.
UNSEEN_MEAN = "unseen mean"


@dataclass(frozen=True)
class Row:
    """One figure, on the originals and on the protected photos; all values in the printed unit.

    Parameters
    ----------
    figure : str
        A key of `FIGURES`; at another FMR than the main one with it, such as ``tmr@1%``.
    evaluator : str
        Who says so; `UNSEEN_MEAN`; empty for what needs no evaluator.
    attribute : str
        "gender", "race", "age", or empty.
    group : str
        Of whom: empty for all, else such as ``gender: female``.
    pairing : str
        Of a matcher: a key of `facepriv.protocol.PAIRINGS`.
    unit : str
        "percent", "years", "photos", "dB", "index" (a number without unit).
    before, after, change : Estimate or None
        On the originals, on the protected photos, and the paired difference (after less before). An interval that is
        not given is NaN.
    counts : bool
        False of an evaluator that the weights were trained against, or that is too weak on the originals: it is shown,
        and in no mean.
    note : str
        Why it does not count, or why there is no figure.
    samples : ndarray or None
        (1 + R,) the values behind ``after``: on the photos as they are, then on R resamples of the people.
    """

    figure: str
    evaluator: str = ""
    attribute: str = ""
    group: str = ""
    pairing: str = ""
    unit: str = "percent"
    before: Estimate | None = None
    after: Estimate | None = None
    change: Estimate | None = None
    counts: bool = True
    note: str = ""
    samples: Float | None = field(default=None, repr=False, compare=False)

    def filled(self, scale: float, **values: Float) -> Row:
        """Return the row with estimates, or with the reason why it has none.

        Parameters
        ----------
        scale : float
            What turns the values into the row's unit.
        **values : ndarray
            ``before``, ``after``, ``change``: (1 + R,), the set as it is, then its resamples.
        """
        try:
            found = {name: with_interval(float(v[0]), v[1:]) for name, v in values.items()}
        except DataError as error:
            return replace(self, note=str(error))
        estimates = {name: Estimate(scale * e.value, scale * e.low, scale * e.high) for name, e in found.items()}
        return replace(self, **estimates, samples=scale * values["after"])

    def less(self, other: Row) -> Row:
        """Return the paired difference to the same figure of another method.

        Parameters
        ----------
        other : Row
            Its ``after`` becomes ``before`` here. Both rows need their `samples`, taken under the same resamples.
        """
        bare = replace(self, before=other.after, change=None, samples=None, counts=self.counts and other.counts)
        if self.samples is None or other.samples is None:
            return replace(bare, note=self.note or other.note or "no paired difference of this figure")
        return bare.filled(1.0, before=other.samples, after=self.samples, change=self.samples - other.samples)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other rows of an output."""
        return self.figure, self.evaluator, self.attribute, self.group, self.pairing

    @property
    def words(self) -> str:
        """What the figure is, for people."""
        name, at, fmr = self.figure.partition("@")
        return FIGURES[name] + (f", FMR {fmr}" if at else "")

    def plain(self) -> dict[str, Any]:
        """Return it for JSON: estimates as value, low and high, NaN as null."""
        own = {name: getattr(self, name) for name in ("figure", "evaluator", "attribute", "group", "pairing", "unit")}
        values = {name: _plain(getattr(self, name)) for name in _VALUES}
        return {**own, "words": self.words, **values, "counts": self.counts, "note": self.note}


_VALUES = ("before", "after", "change")


def at_fmr(figure: str, fmr: float, main: float) -> str:
    """Return the name of a figure at an FMR; the main one is not named."""
    return figure if fmr == main else f"{figure}@{100 * fmr:g}%"


def to_csv(rows: Iterable[Row], **columns: str) -> str:
    """Return rows as CSV with a header; `columns` come first and are the same in every line."""
    texts = ("figure", "evaluator", "attribute", "group", "pairing", "unit")
    parts = [f"{name}{end}" for name in _VALUES for end in ("", "_low", "_high")]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*columns, *texts, *parts, "counts", "note"])
    for row in rows:
        values: list[str] = []
        for name in _VALUES:
            values += _cells(getattr(row, name))
        own = [getattr(row, name) for name in texts]
        writer.writerow([*columns.values(), *own, *values, "yes" if row.counts else "no", row.note])
    return file.getvalue()


def to_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows for JSON, see `Row.plain`."""
    return [row.plain() for row in rows]


def number(value: float) -> float | None:
    """Return a number that JSON can hold; None for NaN and infinity."""
    return value if math.isfinite(value) else None


def _plain(value: Estimate | None) -> dict[str, float | None] | None:
    if value is None:
        return None
    return {"value": number(value.value), "low": number(value.low), "high": number(value.high)}


def _cells(value: Estimate | None) -> list[str]:
    if value is None:
        return ["", "", ""]
    return ["" if not math.isfinite(v) else repr(float(v)) for v in (value.value, value.low, value.high)]


@dataclass(frozen=True)
class Curves:
    """What figures are drawn from.

    Parameters
    ----------
    fmr : ndarray
        (T,) the false match rates of every ROC.
    roc : dict
        Matcher -> pairing -> (T,) TMR, NaN where the comparisons are too few.
    cmc : dict
        Matcher -> pairing -> (20,) share found within rank 1 to 20; NaN where nobody can be identified.
    """

    fmr: Float
    roc: dict[str, dict[str, Float]] = field(default_factory=dict)
    cmc: dict[str, dict[str, Float]] = field(default_factory=dict)


#: Rows of what adversaries recover, and of whether protection can be told.
ATTACK, DETECTION = "attack_eer", "detection_eer"


#: What stands before the name of an attack among evaluators.
PREFIX = "attack: "


TURNED = ", turned round"


#: The note of the strongest.
BEST = "best adversary"


#: Figure that says how well an attribute is told, by attribute.
TOLD = {"gender": "gender_eer", "race": "race_pair_eer", "age": "age_error"}


@dataclass(frozen=True)
class Output:
    """One output of one method.

    Parameters
    ----------
    method, name : str
        The name says what is hidden, as `facepriv.evaluation.requests.named_output` reads it.
    hidden : tuple of str
    rows : tuple of Row
        What evaluators say.
    curves : Curves
    adversaries : tuple of Row
        What adversaries recover, see `facepriv.attacks.rows`; empty where none was asked.
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

    def less(self, other: Output) -> Output:
        """Return the paired differences to another method's output of the same name, row by row.

        ``before`` is the other method's figure, ``after`` this one's.
        """
        base = {row.key: row for row in other.rows}
        rows = tuple(row.less(base[row.key]) for row in self.rows if row.key in base)
        return Output(f"{self.method} less {other.method}", self.name, self.hidden, rows, Curves(self.curves.fmr))

    def best_adversary(self, attribute: str) -> Row | None:
        """Return the strongest adversary on an attribute, if any was asked."""

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
    differences : tuple of Output
        Methods less the one that they are compared with, see `Output.less`; empty where none was named.
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
    differences: tuple[Output, ...] = ()
    examples: tuple[Example, ...] = ()

    def of(self, method: str) -> list[Output]:
        """Return the outputs of a method."""
        return [output for output in self.outputs if output.method == method]

    def rows(self) -> Iterator[tuple[Output, Row]]:
        """Yield every row with its output: all outputs, those of adversaries last in each, then the differences."""
        for output in (*self.outputs, *self.differences):
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
            **({"differences": [plain_output(o) for o in self.differences]} if self.differences else {}),
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
