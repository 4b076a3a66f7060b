"""Evaluate a folder of protected photos against a folder of originals: the core of ``facepriv evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv._version import __version__
from facepriv.datasets.readers import csvfolder
from facepriv.datasets.record import Record
from facepriv.errors import DataError, UsageError
from facepriv.evaluation.answers import not_taken
from facepriv.evaluation.attributes import Figure, Resampling
from facepriv.evaluation.judges import Panel, fitting
from facepriv.evaluation.measure import Measure
from facepriv.evaluation.pairing import Likeness, Pairing, measure_likeness, pair, problems
from facepriv.evaluation.predictions import Predictions, PredictionStore, predict_photos
from facepriv.evaluation.results import FigureTable, to_dataframe
from facepriv.evaluation.rows import Row, to_json
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import REPLICATES, Estimate
from facepriv.protection.inputs import discover
from facepriv.protection.manifest import RunRecord, read_run
from facepriv.schema import ATTRIBUTES

#: Opens a progress stage of a given number of photos and returns the callback that advances it.
Stage = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
SAID = {"failed": "it failed", "no-face": "no face was found", "copied": "copied unprotected, no face was found"}


def _quiet(words: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda count: None)


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    Parameters
    ----------
    rows : tuple of Row
    problems : tuple of str
        One line for each photo with a problem, for each protected file without an original, and the like.
    notes : tuple of str
        What is left out, and why.
    photos, people : int
        People is 0 where the photos have no identity labels.
    judges : dict
        Judge -> ``kind``, ``component``, ``attribute``, ``trained_on``, ``settings``, ``seen``, ``counts``, ``note``.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    photos: int
    people: int
    judges: dict[str, dict[str, Any]]
    settings: dict[str, float]

    def __getitem__(self, figure: str) -> Mapping[str, Row]:
        """Return evaluator -> row of a figure, see `facepriv.evaluation.results.FigureTable`."""
        return FigureTable(self.rows)[figure]

    def to_dataframe(self) -> Any:
        """Return every row as a pandas DataFrame; raises `PluginError` where pandas is not installed."""
        return to_dataframe(({}, row) for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict."""
        return {
            "facepriv": __version__,
            "photos": self.photos,
            "people": self.people or None,
            "judges": self.judges,
            "settings": self.settings,
            "rows": to_json(self.rows),
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def folder_photos(folder: Path, labels: Path | None, *, people_by_folder: bool = False) -> list[Record]:
    """Return the photos of a folder: those listed in a table, or all photos if there is no table.

    Parameters
    ----------
    folder : Path
    labels : Path or None
        A table as `facepriv.datasets.readers.csvfolder` reads it.
    people_by_folder : bool
        Take the photo's parent folder as its person; a photo directly in `folder` is an error.

    Raises
    ------
    DataError
        If the folder or the table is missing or wrong, or there is no photo.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder of the originals")
    if labels is not None:
        photos = csvfolder.read(folder, labels)
    else:
        found = discover([str(folder)])
        if not found.files:
            raise DataError("; ".join(found.problems))
        photos = [Record(file.source, str(file.name), "", "test") for file in found.files]
    if not photos:
        raise DataError(f"{labels}: names no photo")
    if not people_by_folder:
        return photos
    named = []
    for record in photos:
        person = PurePosixPath(record.name).parent.as_posix()
        if person == ".":
            raise DataError(f"{record.path}: lies in no folder of its person, which --people folder needs")
        named.append(replace(record, subject=person))
    return named


def find_run(folder: Path) -> RunRecord | None:
    """Return the record of the facepriv run that made a folder, if any; raises `DataError` if it is damaged."""
    try:
        return read_run(folder)
    except DataError:
        if (folder / "facepriv-run" / "manifest.jsonl").is_file():
            raise
        return None


def recorded_originals(folder: Path) -> Path:
    """Return the folder of a run's originals, which only a run with ``--audit`` records.

    Raises
    ------
    UsageError
        If it is not recorded; the user must then give it.
    """
    run = find_run(folder)
    if run is None:
        raise UsageError(f"{folder}: no run of facepriv is recorded there; give two folders, ORIGINAL and PROTECTED")
    roots = set()
    for row in run.rows.values():
        source = Path(str((row.audit or {}).get("input", "")))
        below = PurePosixPath(row.file).with_suffix("").parts
        if row.audit and source.with_suffix("").parts[-len(below) :] == below:
            roots.add(source.parents[len(below) - 1])
    if len(roots) != 1:
        why = (
            "its run did not record the originals' place (only --audit does)" if not roots else "it has several sources"
        )
        raise UsageError(f"{folder}: {why}; give two folders: facepriv evaluate ORIGINAL {folder}")
    return roots.pop()


def evaluate_folders(
    photos: Sequence[Record],
    originals: Path,
    protected: Path,
    panel: Panel,
    *,
    seen: Collection[str] = (),
    age: str = "",
    store: PredictionStore | None = None,
    workers: int = 1,
    fmr: float = 0.001,
    replicates: int = REPLICATES,
    seed: int = 0,
    stage: Stage = _quiet,
) -> Evaluation:
    """Compare protected files with their originals, using the predictions of independent models on both.

    Parameters
    ----------
    photos : sequence of Record
        The originals, below `originals`.
    originals, protected : Path
        The two folders.
    panel : Panel
        The judges.
    seen : collection of str
        Judges that the protection was trained against, in addition to those in the record of the run.
    age : str
        The target age group, or empty.
    store : PredictionStore, optional
        Cache of predictions; new ones are added.
    workers : int
        Number of processes; 0 runs in the current one.
    fmr, replicates, seed
        See `facepriv.evaluation.measure.Measure`.
    stage : callable
        Shows progress.

    Raises
    ------
    FaceprivError
        If a folder, a judge or a label is missing or wrong.
    """
    # Report usage errors before any model is loaded or photo is read.
    truth = Truth.of(photos)
    _check_judgeable(truth, panel)
    run = find_run(protected)
    all_seen = panel.seen({*seen, *(run.seen if run else ())})
    pairing = _paired(photos, originals, protected)
    described = panel.describe()
    judges = fitting(truth, panel.judges)
    if not (judges.estimators or judges.matchers):
        known = ", ".join(name for name in ATTRIBUTES if truth.knows(name)) or "nothing"
        people = "" if truth.named else ", and name no people"
        raise UsageError(f"none of {', '.join(described)} can judge here: the photos have labels of {known}{people}")
    store = store or PredictionStore()
    paths = [record.path for record in photos]
    with stage("files compared", len(paths)) as done:
        likeness = measure_likeness(paths, pairing.protected, store, workers=workers, progress=done)
    predictions = []
    for side, words in (("original", "originals looked at"), ("protected", "protected photos looked at")):
        files = likeness.usable(side, paths if side == "original" else pairing.protected)
        with stage(words, len(paths)) as done:
            predictions.append(predict_photos(files, judges, store, workers=workers, progress=done))
    before, after = predictions
    measure = Measure(truth, before, judges, fmr=fmr, replicates=replicates, seed=seed)
    with stage("figures", 1) as done:
        rows = measure.rows(after, seen=all_seen, age=age)
        done(1)
    rows = [*_counts(pairing, likeness), *rows, *_quality(likeness, measure.how)]
    return Evaluation(
        tuple(rows),
        tuple(_problems(photos, pairing, likeness, (before, after), run)),
        tuple(_notes(photos, described, measure, run)),
        len(photos),
        len(np.unique(truth.subjects)) if truth.named else 0,
        _said(described, measure, rows, all_seen),
        {"fmr": fmr, "replicates": replicates, "seed": seed},
    )


def _check_judgeable(truth: Truth, panel: Panel) -> None:
    """Raise `UsageError` if the photos have no labels that a judge could be checked against."""
    if any(truth.knows(name) for name in ATTRIBUTES):
        return
    judges = ", ".join(panel.components)
    ways = "give --labels CSV, --layout NAME or --people folder"
    if not truth.named:
        raise UsageError(f"none of {judges} can judge here: the photos have no labels and name no people; {ways}")
    photos_each = np.unique(truth.subjects, return_counts=True)[1]
    if len(photos_each) < 2 or photos_each.max() < 2:
        one = "all photos show one person" if len(photos_each) < 2 else "every person has one photo only"
        raise UsageError(f"none of {judges} can judge here: the photos have no labels, and {one}; {ways}")


def _paired(photos: Sequence[Record], originals: Path, protected: Path) -> Pairing:
    """Return the result of `pair`; raises `DataError` if no file pairs."""
    pairing = pair(photos, originals, protected)
    if any(pairing.protected):
        return pairing
    if pairing.ambiguous:
        first, several = next(iter(pairing.ambiguous.items()))
        example = f"{photos[first].name} could be any of {', '.join(several)}"
    else:
        example = f"there is no {photos[0].name}, whatever its suffix"
        example += f", but {pairing.extra[0]}" if pairing.extra else ""
    raise DataError(
        f"{protected}: holds no protected file of any of the {len(photos)} photos of {originals} ({example}); "
        "files pair by their path below the two folders"
    )


def _counts(pairing: Pairing, likeness: Likeness) -> list[Row]:
    """Return the numbers of missing, unreadable, resized and identical protected files."""
    states = likeness.states
    counted = {
        "missing": states.count("missing"),
        "unreadable": states.count("unreadable"),
        "resized": states.count("resized"),
        "identical": int(np.isposinf(likeness.psnr).sum()),
    }
    return [Row(name, unit="photos", after=Estimate(float(count), np.nan, np.nan)) for name, count in counted.items()]


def _quality(likeness: Likeness, how: Resampling) -> list[Row]:
    """Return the mean SSIM, and the mean PSNR over changed photos."""
    rows = []
    psnr = np.where(np.isposinf(likeness.psnr), np.nan, likeness.psnr)
    for name, values, unit in (("ssim", likeness.ssim, "index"), ("psnr", psnr, "dB")):
        row = Row(name, unit=unit)
        known = ~np.isnan(values)
        if not known.any():
            rows.append(replace(row, note="no photo can be compared" if name == "ssim" else "no photo changed"))
            continue

        def mean(w: NDArray[np.float64], v: NDArray[np.float64] = values, k: NDArray[np.bool_] = known) -> Any:
            total = w[:, k].sum(axis=1)
            return np.where(total > 0, w[:, k] @ v[k] / np.where(total > 0, total, 1), np.nan)

        rows.append(how.fill_one(Figure(row, lambda said, w: said), mean))
    return rows


def _problems(
    photos: Sequence[Record],
    pairing: Pairing,
    likeness: Likeness,
    predictions: tuple[Predictions, Predictions],
    run: RunRecord | None,
) -> list[str]:
    """Return one line for each photo or file with a problem; `predictions` are those on originals and protected."""
    recorded: dict[str, str] = {}
    for name, row in (run.rows if run else {}).items():
        if row.status in SAID:
            recorded[str(PurePosixPath(name).with_suffix(""))] = SAID[row.status]
    lines = problems(photos, pairing, likeness, recorded)
    seen = (side["seen"] for side in predictions)
    for record, state, before, after in zip(photos, likeness.states, *seen, strict=True):
        if state in ("ok", "resized") and not before:
            lines.append(f"{record.name}: no face was found in the original")
        elif state in ("ok", "resized") and not after:
            lines.append(f"{record.name}: a face was found in the original, none in its protected file")
    lines += [f"{name}: has no original, and is ignored" for name in pairing.extra]
    names = [record.name for record in photos]
    for side, words in zip(predictions, ("originals", "protected photos"), strict=True):
        lines += [f"{judge}: {text}" for judge, text in not_taken(side, names, words).items()]
    return [*lines, *pairing.unread]


def _notes(
    photos: Sequence[Record], described: Mapping[str, Any], measure: Measure, run: RunRecord | None
) -> list[str]:
    lines = [f"{name} is left out: {why}" for name, why in measure.left_out.items()]
    unfit = [n for n in described if n not in (*measure.attributes, *measure.matchers, *measure.left_out)]
    if unfit:
        lines.append(f"left out because the originals have no labels for them: {', '.join(unfit)}")
    nameless = sum(not record.subject for record in photos)
    if nameless:
        lines.append(
            f"{nameless} of {len(photos)} photos have no person label: no TMR, and in intervals each counts as a person"
        )
    copied = [row.file for row in (run.rows.values() if run else ()) if row.status == "copied"]
    if copied:
        lines.append(f"{len(copied)} files were copied unprotected by their run, first {copied[0]}")
    return lines


def _said(
    described: dict[str, dict[str, Any]], measure: Measure, rows: Sequence[Row], seen: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Add to each judge whether the method was trained against it, whether it counts, and why not."""
    found = {}
    for name, own in described.items():
        doubted: Mapping[str, str] = {row.evaluator: row.note.split(";")[0] for row in rows if not row.counts}
        asked = name in measure.attributes or name in measure.matchers
        note = measure.left_out.get(name) or doubted.get(name, "") or ("" if asked else "no labels for it")
        found[name] = {**own, "seen": name in seen, "counts": not note, "note": note}
    return found
