"""Rows: one figure of one method each, with its interval. Tables, CSV, JSON and conditions are built from rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError
from facepriv.metrics.bootstrap import Estimate, with_interval

Float = NDArray[np.float64]

#: Figure -> description. All rates are in percent; see `Row.unit`.
FIGURES: Mapping[str, str] = {
    "missing": "photos without a protected file",
    "unreadable": "protected files that are no whole image",
    "resized": "protected files of another size than their original",
    "identical": "protected files with the pixels of their original",
    "found": "photos in which a face is found",
    "found_both": "photos in which a face is found before and after",
    "ssim": "structural similarity to the original, mean over photos; image quality, never privacy",
    "psnr": "peak signal-to-noise ratio to the original, mean over changed photos; image quality, never privacy",
    "gender_changed": "faces whose estimated gender changed",
    "race_changed": "faces whose estimated race changed",
    "age_changed": "faces whose estimated age group changed",
    "gender_eer": "gender EER",
    "gender_flip_aware": "gender EER if the attacker may invert the classifier",
    "gender_auc": "gender AUC",
    "gender_accuracy": "gender accuracy",
    "gender_balanced": "gender balanced accuracy",
    "gender_accuracy_found": "gender accuracy where a face is found",
    "gender_balanced_found": "gender balanced accuracy where a face is found",
    "gender_suppression": "gender suppression rate",
    "gender_pic": "gender privacy gain less identity loss (PIC)",
    "gender_neighbours": "gender EER of a vote of nearest neighbours in the matcher's embedding",
    "gender_probe": "gender EER of a linear probe of the matcher's embedding",
    "gender_wrong": "classified as the other gender at the originals' EER threshold",
    "race_pair_eer": "Black-vs-White EER",
    "race_eer": "EER of one race against the rest",
    "race_accuracy": "race accuracy",
    "race_balanced": "race balanced accuracy",
    "race_accuracy_found": "race accuracy where a face is found",
    "race_balanced_found": "race balanced accuracy where a face is found",
    "race_suppression": "race suppression rate",
    "race_pic": "race privacy gain less identity loss (PIC)",
    "age_error": "mean absolute error of age",
    "age_moved": "mean absolute change of the estimated age",
    "age_shift": "mean change of the estimated age towards the target, faces outside it",
    "own_match": "faces that match their own original at the matcher's published threshold",
    "own_score": "mean match score with the own original",
    "other_match": "pairs of other photos that match at the published threshold",
    "other_score": "mean match score of pairs of other photos",
    "tmr": "TMR at the set's own FMR",
    "tmr_fixed": "TMR at the originals' threshold",
    "fmr_fixed": "FMR at the originals' threshold",
    "tmr_kept": "share of the originals' TMR that is kept, each at its own FMR",
    "tmr_fixed_kept": "share of the originals' TMR that is kept at their threshold",
    "eer": "EER of matching",
    "auc": "AUC of matching",
    "d_prime": "d' of matching",
    "rank1": "identification at rank 1",
    "rank5": "identification at rank 5",
    "attack_eer": "EER of an adversary, mean over the classes against the rest",
    "detection_eer": "EER of telling protected from original faces, 50 % is a guess",
    "change_auc": "AUC of telling faces that changed class from those that kept it, 50 % is a guess",
}
#: False match rates of figures besides the main one, and the figures that depend on one.
FMRS = (0.01, 0.001, 0.0001)
AT_FMR = ("tmr", "tmr_fixed", "fmr_fixed", "tmr_kept", "tmr_fixed_kept")
#: The default main FMR.
MAIN_FMR = 0.001
#: Evaluator name of the mean over evaluators that count and were not seen in training.
UNSEEN_MEAN = "unseen mean"
#: Figures of attribute attacks, of the detection of protection, and of the detection of changed classes.
ATTACK, DETECTION, CHANGED = "attack_eer", "detection_eer", "change_auc"
#: Prefix of an attack's name in the evaluator column, and suffix of an inverted classifier's.
PREFIX, TURNED = "attack: ", ", turned round"
#: Note of the strongest adversary.
BEST = "best adversary"
_TEXTS = ("figure", "evaluator", "attribute", "group", "pairing", "unit")
_VALUES = ("before", "after", "change")


@dataclass(frozen=True)
class Row:
    """One figure, on the originals and on the protected photos; all values in the printed unit.

    Parameters
    ----------
    figure : str
        A key of `FIGURES`; with the FMR if it is not the main one, such as ``tmr@1%``.
    evaluator : str
        Name of the evaluator; `UNSEEN_MEAN`; empty for figures without an evaluator.
    attribute : str
        "gender", "race", "age", or empty.
    group : str
        A group such as ``gender: female``; empty for all faces.
    pairing : str
        For a matcher, a key of `facepriv.metrics.matching.PAIRINGS`.
    unit : str
        "percent", "years", "photos", "dB", "index" (a number without unit).
    before, after, change : Estimate or None
        On the originals, on the protected photos, and the paired difference (after minus before). A missing interval
        is NaN.
    counts : bool
        False for an evaluator that the weights were trained against, or that is too weak on the originals. Its rows
        are shown but excluded from means.
    note : str
        Why it does not count, or why there is no figure.
    samples : ndarray or None
        (1 + R,) values of ``after``: on the full set, then on R resamples of the people.
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
            Factor from the values to the row's unit.
        **values : ndarray
            ``before``, ``after``, ``change``: (1 + R,), the full set, then its resamples.
        """
        try:
            found = {name: with_interval(float(v[0]), v[1:]) for name, v in values.items()}
        except DataError as error:
            return replace(self, note=str(error))
        estimates = {name: Estimate(scale * e.value, scale * e.low, scale * e.high) for name, e in found.items()}
        return replace(self, **estimates, samples=scale * values["after"])

    def compared(self, before: Float, after: Float, scale: float = 100.0) -> Row:
        """Return the row with estimates of both sides and of their paired difference, see `filled`."""
        return self.filled(scale, before=before, after=after, change=after - before)

    def less(self, other: Row) -> Row:
        """Return the paired difference to the same figure of another method.

        Parameters
        ----------
        other : Row
            Its ``after`` becomes ``before`` here. Both rows need `samples` from the same resamples.
        """
        bare = replace(self, before=other.after, change=None, samples=None, counts=self.counts and other.counts)
        if self.samples is None or other.samples is None:
            return replace(bare, note=self.note or other.note or "no paired difference of this figure")
        change = self.samples - other.samples
        try:
            return replace(bare, change=with_interval(float(change[0]), change[1:]))
        except DataError as error:
            return replace(bare, note=str(error))

    @property
    def key(self) -> tuple[str, ...]:
        """Unique key among the rows of an output."""
        return self.figure, self.evaluator, self.attribute, self.group, self.pairing

    @property
    def words(self) -> str:
        """Human-readable description of the figure."""
        name, at, fmr = self.figure.partition("@")
        return FIGURES[name] + (f", FMR {fmr}" if at else "")

    def flat(self) -> dict[str, Any]:
        """Return the row as a flat dict: estimates as ``after``, ``after_low``, ``after_high``, and so on."""
        own = {name: getattr(self, name) for name in _TEXTS}
        for name in _VALUES:
            value = getattr(self, name) or Estimate(math.nan, math.nan, math.nan)
            own |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        return {**own, "counts": self.counts, "note": self.note}

    def plain(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict: estimates as value, low and high, NaN as null."""
        values = {name: getattr(self, name) for name in _VALUES}
        return {
            **{name: getattr(self, name) for name in _TEXTS},
            "words": self.words,
            **{n: v and {part: number(value) for part, value in asdict(v).items()} for n, v in values.items()},
            "counts": self.counts,
            "note": self.note,
        }


def read_row(plain: Mapping[str, Any]) -> Row:
    """Rebuild a row from the dict of `Row.plain`."""
    values = {
        name: plain[name] and Estimate(**{k: math.nan if v is None else float(v) for k, v in plain[name].items()})
        for name in _VALUES
    }
    return Row(**{name: plain[name] for name in (*_TEXTS, "counts", "note")}, **values)


def at_fmr(figure: str, fmr: float, main: float) -> str:
    """Return the name of a figure at an FMR; the main FMR is omitted."""
    return figure if fmr == main else f"{figure}@{100 * fmr:g}%"


def to_csv(rows: Iterable[Row], **columns: str) -> str:
    """Return rows as CSV with a header; `columns` come first and are constant."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*columns, *Row("found").flat()])
    writer.writerows([*columns.values(), *map(_cell, row.flat().values())] for row in rows)
    return file.getvalue()


def number(value: float) -> float | None:
    """Return a number valid in JSON; None for NaN and infinity."""
    return value if math.isfinite(value) else None


def _cell(value: str | float | bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(float(value)) if math.isfinite(value) else ""
