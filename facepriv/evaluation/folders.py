"""Evaluate a folder of protected photos against a folder of originals: the core of ``facepriv evaluate``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facepriv import __version__
from facepriv.datasets.readers import csvfolder
from facepriv.datasets.record import Record
from facepriv.errors import DataError, UsageError
from facepriv.evaluation.attributes import Resampling, weighted_mean
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.measure import Measure
from facepriv.evaluation.pairing import Likeness, Pairing, measure_likeness, pair, problems
from facepriv.evaluation.predictions import Predictions, PredictionStore, predict_photos, unprocessed
from facepriv.evaluation.results import by_figure, to_dataframe
from facepriv.evaluation.rows import Row
from facepriv.evaluation.setup import NoProgress, Progress
from facepriv.evaluation.truth import Truth
from facepriv.evaluation.verdict import verdict
from facepriv.metrics.bootstrap import REPLICATES, Estimate
from facepriv.protection.inputs import discover
from facepriv.protection.manifest import RunRecord, read_run

#: Status of a photo in the manifest of a run -> its words in a problem.
_STATUSES = {"failed": "it failed", "no-face": "no face was found", "copied": "copied unprotected, no face was found"}


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
    settings : dict
        ``fmr``, ``replicates``, ``seed``.
    verdict : tuple of str
        The main figures in sentences, see `facepriv.evaluation.verdict`.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    photos: int
    people: int
    judges: dict[str, dict[str, Any]]
    settings: dict[str, float]
    verdict: tuple[str, ...]

    def __getitem__(self, figure: str) -> dict[str, Row]:
        """Return evaluator -> row of a figure, see `by_figure`; raises `KeyError` if there is none."""
        return by_figure(self.rows)[figure]

    def to_dataframe(self) -> Any:
        """Return every row as a pandas DataFrame; raises `PluginError` where pandas is not installed."""
        return to_dataframe(({}, row) for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict."""
        return {
            "facepriv": __version__,
            "verdict": self.verdict,
            "photos": self.photos,
            "people": self.people or None,
            "judges": self.judges,
            "settings": self.settings,
            "rows": [row.plain() for row in self.rows],
            "problems": self.problems,
            "notes": self.notes,
        }


def folder_photos(
    folder: Path, labels: Path | None, *, people_by_folder: bool = False, protected: Path | None = None
) -> list[Record]:
    """Return the photos of a folder: those listed in a table, or all photos if there is no table.

    Parameters
    ----------
    folder : Path
    labels : Path or None
        A table as `facepriv.datasets.readers.csvfolder` reads it.
    people_by_folder : bool
        Take the photo's parent folder as its person; a photo directly in `folder` is an error.
    protected : Path, optional
        The folder of the protected photos. It may lie inside `folder`; its files are no originals.

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
        found = discover([str(folder)], out=protected)
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
    judges: Judges,
    *,
    seen: Collection[str] = (),
    age: str = "",
    store: PredictionStore | None = None,
    workers: int = 1,
    fmr: float = 0.001,
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare protected files with their originals, using the predictions of independent models on both.

    Photos without labels have the rows of `facepriv.evaluation.changes`; labels add those that need them.

    Parameters
    ----------
    photos : sequence of Record
        The originals, below `originals`.
    originals, protected : Path
        The two folders.
    judges : Judges
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
    progress : Progress, optional

    Raises
    ------
    FaceprivError
        If a folder, a judge or a label is missing or wrong.
    """
    # Report usage errors before any model is loaded or photo is read.
    truth = Truth.of(photos)
    run = find_run(protected)
    all_seen = judges.among({*seen, *(run.seen if run else ())})
    pairing = paired(photos, originals, protected)
    _check_people(truth, judges)
    described = judges.describe()
    store, progress = store or PredictionStore(), progress or NoProgress()
    paths = [record.path for record in photos]
    advance = progress.stage("files compared", len(paths))
    likeness = measure_likeness(paths, pairing.protected, store, workers=workers, progress=advance)
    files = {"originals": likeness.usable("original", paths)}
    files["protected photos"] = likeness.usable("protected", pairing.protected)
    # Both sides in one call: starting a process and its models takes longer than judging a hundred small photos.
    advance = progress.stage("photos looked at", 2 * len(paths))
    both = predict_photos([*chain(*files.values())], judges, store, workers=workers, progress=advance)
    predictions = {
        words: {judge: values[n * len(paths) : (n + 1) * len(paths)] for judge, values in both.items()}
        for n, words in enumerate(files)
    }
    advance = progress.stage("figures", 1)
    measure = Measure(truth, predictions["originals"], judges, fmr=fmr, replicates=replicates, seed=seed)
    rows = measure.rows(predictions["protected photos"], seen=all_seen, age=age)
    advance(1)
    rows = [*_counts(pairing, likeness), *rows, *_quality(likeness, measure.how)]
    return Evaluation(
        tuple(rows),
        tuple(_problems(photos, pairing, likeness, predictions, run)),
        tuple(_notes(photos, measure.left_out, run)),
        len(photos),
        len(np.unique(truth.subjects)) if truth.named else 0,
        _judged(described, measure.left_out, rows, all_seen),
        {"fmr": fmr, "replicates": replicates, "seed": seed},
        verdict(rows, len(photos), truth.named, fmr),
    )


def _check_people(truth: Truth, judges: Judges) -> None:
    """Raise `UsageError` if there is no judge, or there are too few people for an interval."""
    if not judges.kinds:
        raise UsageError("no estimator and no matcher is installed: install facepriv-estimators, or name --estimator")
    if len(np.unique(truth.subjects)) < 2:
        if len(truth.subjects) == 1:
            raise UsageError("there is one photo only, and intervals need two: add photos, or use facepriv sheet")
        one = "all photos show one person, and intervals need two people"
        raise UsageError(f"{one}: add photos, or evaluate without labels of people")


def recorded_statuses(run: RunRecord | None) -> dict[str, str]:
    """Return the name of each photo without its suffix -> what its run says about it, if anything but success."""
    return {
        str(PurePosixPath(name).with_suffix("")): _STATUSES[row.status]
        for name, row in (run.rows if run else {}).items()
        if row.status in _STATUSES
    }


def paired(photos: Sequence[Record], originals: Path, protected: Path) -> Pairing:
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
    psnr = np.where(np.isposinf(likeness.psnr), np.nan, likeness.psnr)
    rows = []
    for row, values, refusal in (
        (Row("ssim", unit="index"), likeness.ssim, "no photo can be compared"),
        (Row("psnr", unit="dB"), psnr, "no photo changed"),
    ):
        known = ~np.isnan(values)
        if known.any():
            rows.append(how.fill_one(row, lambda w, v=values, k=known: weighted_mean(v[k], w[:, k])))
        else:
            rows.append(replace(row, note=refusal))
    return rows


def _problems(
    photos: Sequence[Record],
    pairing: Pairing,
    likeness: Likeness,
    predictions: Mapping[str, Predictions],
    run: RunRecord | None,
) -> list[str]:
    """Return one line for each photo or file with a problem; `predictions`: on originals, then on protected photos."""
    lines = problems(photos, pairing, likeness, recorded_statuses(run))
    seen = (side["seen"] for side in predictions.values())
    for record, state, before, after in zip(photos, likeness.states, *seen, strict=True):
        if state in ("ok", "resized") and not before:
            lines.append(f"{record.name}: no face was found in the original")
        elif state in ("ok", "resized") and not after:
            lines.append(f"{record.name}: a face was found in the original, none in its protected file")
    lines += [f"{name}: has no original, and is ignored" for name in pairing.extra]
    names = [record.name for record in photos]
    for words, side in predictions.items():
        lines += [f"{judge}: {text}" for judge, text in unprocessed(side, names, words).items()]
    return [*lines, *pairing.unread]


def _notes(photos: Sequence[Record], left_out: Mapping[str, str], run: RunRecord | None) -> list[str]:
    """Return what is left out; `left_out` are the judges without the labels that they need, with reasons."""
    if any(record.labels or record.years is not None for record in photos):
        without: dict[str, list[str]] = {}
        for name, why in left_out.items():
            without.setdefault(why, []).append(name)
        lines = [f"no error rates of {', '.join(names)}, only changes: {why}" for why, names in without.items()]
    else:
        more = "error rates, and how well the judges work on these photos, need --labels CSV or --layout NAME"
        lines = [f"the photos have no labels, so only changes are measured; {more}"]
    nameless = sum(not record.subject for record in photos)
    if nameless:
        lines.append(
            f"{nameless} of {len(photos)} photos have no person label: no TMR, and in intervals each counts as a person"
            "; people come from --labels CSV or --people folder"
        )
    copied = [row.file for row in (run.rows.values() if run else ()) if row.status == "copied"]
    if copied:
        lines.append(f"{len(copied)} files were copied unprotected by their run, first {copied[0]}")
    return lines


def _judged(
    described: Mapping[str, dict[str, Any]], left_out: Mapping[str, str], rows: Sequence[Row], seen: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Add to each judge whether the method was trained against it, whether it counts, and what to know about it."""
    doubts = {row.evaluator: row.note.split(";")[0] for row in rows if not row.counts}
    return {
        name: {
            **own,
            "seen": name in seen,
            "counts": name not in doubts,
            "note": doubts.get(name, left_out.get(name, "")),
        }
        for name, own in described.items()
    }
