"""The SAN family and its authors' published weights on the same faces, measured by unseen models.

On the visible LFW, gender hidden: `san`; the authors' network, from their published file; `ensemble-san` as the mean of
its members, with a random member for each face, and each member alone; `flow-san` at every depth. Reported are the EER
of unseen gender estimators and the TMR of an unseen matcher, with 95 % intervals over people, and the diversity of the
members: the share of photos on which an unseen estimator predicts different classes for two of them. Photos are
processed as by ``facepriv apply``, in memory. Predictions are cached in the work folder, so an interrupted run resumes.

    python benchmarks/san_family.py --data DIR --authors conv-autoencoder-e20.pkl
    python benchmarks/san_family.py --data DIR --output san --output flow-san:2 --limit 100
"""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import numpy as np
from before_after import PROTECTED, counts
from examiner import Examiner
from paired import FIGURES, JUDGES, Output, less, seen, weighted
from shared import (
    Benchmark,
    cache_folder,
    data_option,
    json_option,
    percent,
    points,
    refuse_seen,
    replicates_option,
    visible,
    workers_option,
    write_json,
)

from facepriv._version import __version__
from facepriv.cli.console import note, table
from facepriv.errors import UsageError
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.predictions import Predictions
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import Estimate, estimate
from facepriv.registry import Registry, registry
from facepriv.schema import GENDER

AUTHORS = "authors"


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=None,
    help="Where the judges' words are kept: scores "
    "and descriptors of real faces. [default: facepriv/san-family in the user's cache]",
)
@click.option("--authors", type=click.Path(path_type=Path), default=None, help="The file that SAN's authors published.")
@click.option("--weights", "files", multiple=True, metavar="METHOD=FILE", help="Weights that are not packaged yet.")
@click.option(
    "--output",
    "chosen",
    multiple=True,
    metavar="NAME",
    help="san, authors, ensemble-san, ensemble-san:random, ensemble-san:1, flow-san:1, ... [default: all]",
)
@click.option("--judge", "judges", multiple=True, default=JUDGES, show_default=True, help="Gender estimators.")
@click.option("--matcher", default="dlib", show_default=True)
@click.option("--limit", type=click.IntRange(2), default=None, help="Only this many people, for a quick look.")
@workers_option
@replicates_option
@json_option
def main(
    data: Path | None,
    work: Path | None,
    authors: Path | None,
    files: tuple[str, ...],
    chosen: tuple[str, ...],
    judges: tuple[str, ...],
    matcher: str,
    limit: int | None,
    workers: int | None,
    replicates: int,
    json_path: Path | None,
) -> None:
    if data is None:
        raise UsageError("where are the data sets? give --data or FACEPRIV_DATA")
    place = cache_folder(work, "san-family")
    known = weighted(registry(), files)
    refuse_seen(known, ("san", "ensemble-san", "flow-san"), (*judges, matcher))
    wanted = outputs(known, published(authors, place) if authors else None, chosen)
    photos = visible(data / "lfw", limit)
    truth = Truth.of(photos)
    who = Judges(known, judges, (matcher,))
    predictions = {}
    for output in wanted:
        note(f"{output.name}: {len(photos)} photos")
        predictions[output.name], original = seen(output, known, who, photos, place, workers or os.cpu_count() or 1)
    examine = Examiner(truth, original, who, replicates=replicates)()
    result: dict[str, Any] = {
        "facepriv": __version__,
        "photos": len(photos),
        "people": len({r.subject for r in photos}),
        "outputs": {name: examine((said, "")) for name, said in predictions.items()},
        "diversity": {name: diversity(predictions, name, truth, replicates) for name in judges},
    }
    if AUTHORS in predictions and "san" in predictions:
        result["against_authors"] = against_authors(result["outputs"], judges, matcher)
        result["less_authors"] = less(predictions["san"], predictions[AUTHORS], original, truth, who, replicates)
    show(result, judges, matcher)
    if json_path is not None:
        write_json(json_path, result)


def published(file: Path, place: Path) -> Path:
    """Convert the authors' file into the work folder, as `facepriv convert san` does."""
    from facepriv_san.convert import command

    place.mkdir(parents=True, exist_ok=True)
    out = place / "authors.safetensors"
    command.callback(file, out)  # type: ignore[misc]  # the command as a function
    return out


def outputs(known: Registry, authors: Path | None, chosen: tuple[str, ...]) -> list[Output]:
    """Return the outputs to compare: all, or the chosen ones."""
    members, depth = (len(known.create("method", name).loaded().nets) for name in ("ensemble-san", "flow-san"))
    every = [Output("san", "san", {})]
    every += [Output(AUTHORS, "san", {"weights": str(authors.absolute())})] if authors else []
    every += [Output("ensemble-san", "ensemble-san", {})]
    every += [Output(f"ensemble-san:{m}", "ensemble-san", {"member": m}) for m in ("random", *range(1, members + 1))]
    every += [Output(f"flow-san:{d}", "flow-san", {"depth": d}) for d in range(1, depth + 1)]
    names = [output.name for output in every]
    for name in chosen:
        if name not in names:
            raise UsageError(f"--output {name}: there are {', '.join(names)}")
    return [output for output in every if not chosen or output.name in chosen]


def diversity(predictions: dict[str, Predictions], judge: str, truth: Truth, replicates: int) -> dict[str, Estimate]:
    """Return, for each pair of ensemble members, the share of photos on which a judge predicts different classes.

    A face that is not found counts as a separate class.
    """
    members = {
        name: said for name, said in predictions.items() if name.startswith("ensemble-san:") and name[-1].isdigit()
    }
    classes = {name: _classes(said[judge]) for name, said in members.items()}
    found = {}
    for a, b in combinations(classes, 2):
        differ = (classes[a] != classes[b]).astype(np.float64)
        found[f"{a} and {b}"] = estimate(
            lambda w, d=differ: (w @ d) / w.sum(axis=1), truth.subjects.tolist(), replicates=replicates
        )
    return found


def _classes(probabilities: np.ndarray) -> np.ndarray:
    """Return (N,) 0 male, 1 female, -1 no face."""
    female = probabilities[:, GENDER.index("female")]
    return np.where(np.isnan(female), -1, female >= 0.5)


def against_authors(found: dict[str, Any], judges: tuple[str, ...], matcher: str) -> dict[str, bool]:
    """Return whether `san` hides more than its authors' weights, by each judge that counts, at no lower TMR."""
    ours, theirs = found["san"], found[AUTHORS]
    said = {
        f"EER of {name} is higher": ours["gender"][name]["eer_after"].value > theirs["gender"][name]["eer_after"].value
        for name in judges
        if "refused" not in ours["gender"][name] and counts("gender", ours["gender"][name]["eer_before"])
    }
    if PROTECTED in ours["matching"][matcher]:
        for kind, words in (("own", "its own FMR"), ("fixed", "the originals' threshold")):
            tmr = [out["matching"][matcher][PROTECTED][kind]["tmr"].value for out in (ours, theirs)]
            said[f"TMR of {matcher} at {words} is no lower"] = tmr[0] >= tmr[1]
    return said


def show(result: dict[str, Any], judges: tuple[str, ...], matcher: str) -> None:
    """Print the tables; all rates in percent with 95 % intervals over people."""
    print(
        f"\n{result['photos']} photos of {result['people']} people, gender hidden (flip); TMR at FMR 0.1 % of {matcher}"
    )
    first = next(iter(result["outputs"].values()))
    for name in judges:
        if "refused" in first["gender"][name]:
            print(f"{name}: {first['gender'][name]['refused']}")
            continue
        before = first["gender"][name]["eer_before"]
        strong = "counts" if counts("gender", before) else "DOES NOT COUNT: errs too much on the originals"
        print(f"{name}: EER on originals {percent(before)}, {strong}")
    rows = []
    for output, said in result["outputs"].items():
        matching = said["matching"][matcher]
        kept = ("too few",) * 3
        if PROTECTED in matching:
            own, fixed = matching[PROTECTED]["own"], matching[PROTECTED]["fixed"]
            kept = (points(own["tmr_change"]), points(fixed["tmr_change"]), percent(fixed["fmr"], 2))
        genders = (said["gender"][name] for name in judges)
        rows.append((output, *("too few" if "refused" in g else percent(g["eer_after"]) for g in genders), *kept))
    print()
    head = ("output", *(f"EER, {name}" for name in judges), "TMR, own FMR", "TMR, originals' threshold", "FMR there")
    table(head, rows)
    for name, pairs in result["diversity"].items():
        if pairs:
            print(f"\n{name} disagrees about two members on")
            table(("", "photos"), [(pair, percent(share)) for pair, share in pairs.items()])
    print()
    for name, apart in result.get("less_authors", {}).items():
        for kind, figure in apart.items():
            print(f"san less its authors' weights, paired, in points: {FIGURES[kind]}, {name}: {points(figure)}")
    for what, holds in result.get("against_authors", {}).items():
        print(f"san against its authors' weights: {what}: {'holds' if holds else 'FALLS SHORT'}")


if __name__ == "__main__":
    main()
