"""Look through a folder of protected photos and its originals before publishing: which photos need a look, worst first.

Faces are searched in both files of each photo. No judge takes part: what counts is whether a face was found, whether it
is still found, and how much it changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np

from facepriv.contracts import FaceDetector
from facepriv.errors import one_line
from facepriv.evaluation.folders import find_run, folder_photos, paired, recorded_statuses
from facepriv.evaluation.pairing import Pixels, State, problem, read_both
from facepriv.evaluation.setup import NoProgress, Progress
from facepriv.faces import Face
from facepriv.faces.finding import MIN_FACE, Found, find_with
from facepriv.pool import spread
from facepriv.registry import build_detector

#: Mean change of a face, in grey levels of 255, up to which it counts as unchanged: encoding a JPEG or a WebP again
#: with its own settings moves the pixels of a face by up to 1.5.
UNCHANGED = 2.0
# Half the side of the square that shows a face with its hair, in sides of the aligned crop.
_REACH = 0.7

#: (left, top, right, bottom) in pixels.
Box = tuple[float, float, float, float]
#: What a photo is filed under, the worst first.
Kind = Literal["no face found", "face no longer found", "face unchanged", "not comparable", "changed"]
#: Kinds of the same rank are sorted by their change.
RANKS: dict[Kind, int] = {
    "no face found": 0,
    "face no longer found": 0,
    "face unchanged": 1,
    "not comparable": 1,
    "changed": 2,
}


# Kind -> its words after a number of photos.
_COUNTED: dict[Kind, str] = {
    "no face found": "without a face found",
    "face no longer found": "with a face no longer found",
    "face unchanged": "with a face unchanged or nearly",
    "not comparable": "missing or not comparable",
    "changed": "with every face changed",
}


@dataclass(frozen=True)
class InspectedFace:
    """A face of an original.

    Parameters
    ----------
    box, window : Box
        The detector's box, and the square that shows the face with its hair; in pixels of the original.
    change : float
        Mean absolute change within the box, in grey levels of 255; NaN where the two files cannot be compared.
    lost : bool
        Whether no face was found at this place of the protected file.
    """

    box: Box
    window: Box
    change: float = float("nan")
    lost: bool = False

    @property
    def unchanged(self) -> bool:
        """Whether the face changed as little as encoding a file again changes it."""
        return self.change <= UNCHANGED

    @property
    def badness(self) -> tuple[bool, bool, float]:
        """The sort key of the faces of a photo; the worst is the largest."""
        return self.lost, self.unchanged, self.change


@dataclass(frozen=True)
class InspectedPhoto:
    """A photo and its protected file.

    Parameters
    ----------
    name : str
    original : Path
    protected : Path or None
    state : State
        See `facepriv.evaluation.pairing`.
    problem : str
        In words, empty if there is none.
    faces : tuple of InspectedFace
        The faces found in the original, the worst first.
    whole_change : float
        Mean absolute change of the whole photo, in grey levels of 255; NaN where the two cannot be compared.
    """

    name: str
    original: Path
    protected: Path | None
    state: State
    problem: str
    faces: tuple[InspectedFace, ...] = ()
    whole_change: float = float("nan")

    @cached_property
    def kind(self) -> Kind:
        """What the photo is filed under."""
        judged = self.state in ("ok", "resized")
        if judged and not self.faces:
            return "no face found"
        if judged and any(face.lost for face in self.faces):
            return "face no longer found"
        if any(face.unchanged for face in self.faces):
            return "face unchanged"
        return "changed" if self.state == "ok" else "not comparable"

    @property
    def change(self) -> float:
        """The largest change of a face, or without a face the change of the whole photo; NaN if not comparable."""
        return max((face.change for face in self.faces), default=self.whole_change)

    @property
    def words(self) -> str:
        """What was found, in one sentence without its full stop."""
        lost, unchanged = sum(face.lost for face in self.faces), sum(face.unchanged for face in self.faces)
        parts = [self.problem] if self.problem else []
        if self.kind == "no face found" and not self.problem:
            parts.append("no face was found, so none is protected")
        if lost and self.protected:
            parts.append(f"{self._of_faces(lost)} no longer found")
        if unchanged:
            parts.append(f"{self._of_faces(unchanged)} unchanged, or nearly")
        if self.whole_change == 0:
            parts.append("both files show the same pixels")
        elif not np.isnan(self.change):
            what = "largest change of a face" if self.faces else "change"
            parts.append(f"{what}: {self.change:.1f} of 255")
        return "; ".join(parts)

    def _of_faces(self, count: int) -> str:
        if len(self.faces) == 1:
            return "its face is"
        return f"{count} of {len(self.faces)} faces {'is' if count == 1 else 'are'}"


@dataclass(frozen=True)
class Inspection:
    """The photos of two folders, the worst first, and one line for each file that is none of them or has a problem."""

    photos: tuple[InspectedPhoto, ...]
    problems: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The number of photos of each kind, in words."""
        return f"{_photos(len(self.photos))}: " + ", ".join(f"{n} {_COUNTED[kind]}" for kind, n in self.counts.items())

    def shown(self, count: int) -> str:
        """Return in words that the first `count` photos are shown."""
        if count == len(self.photos):
            return "Shown: all, the worst first"
        return f"Shown: {count} of {len(self.photos)}, the worst first; --limit N shows more"

    @property
    def counts(self) -> dict[Kind, int]:
        """Kind -> number of its photos, the worst first, without zeros."""
        counted = Counter(photo.kind for photo in self.photos)
        return {kind: counted[kind] for kind in RANKS if counted[kind]}


def _photos(count: int) -> str:
    return f"{count} photo{'s' * (count != 1)}"


def inspect_folders(
    originals: Path, protected: Path, *, detector: str = "auto", workers: int = 1, progress: Progress | None = None
) -> Inspection:
    """Pair the files of two folders, search faces in both, and sort the photos.

    The worst come first: no face found or a face no longer found; then unchanged faces and files that are missing,
    unreadable or of another size; then the rest. Within each of the three, a larger change comes first.

    Parameters
    ----------
    originals, protected : Path
        The two folders; files pair as `facepriv.evaluation.pairing.pair` says.
    detector : str
        Name of the face detector.
    workers : int
        Number of processes; 0 runs in the current one.
    progress : Progress, optional

    Raises
    ------
    FaceprivError
        If a folder is missing or holds no photo, no file pairs, or the detector cannot be built.
    """
    photos = folder_photos(originals, None, protected=protected)
    pairing = paired(photos, originals, protected)
    recorded = recorded_statuses(find_run(protected))
    advance = (progress or NoProgress()).stage("photos looked at", len(photos))
    tasks = [(record.path, file) for record, file in zip(photos, pairing.protected, strict=True)]
    found, problems = [], []
    for n, (record, seen) in enumerate(zip(photos, spread(partial(_looker, detector), tasks, workers), strict=True)):
        state, faces, change, failure = seen
        text = problem(record, state, pairing.ambiguous.get(n, ()), recorded) or failure
        found.append(InspectedPhoto(record.name, *tasks[n], state, text, faces, change))
        problems += [f"{record.name}: {text}"] if text else []
        advance(1)
    found.sort(key=lambda photo: (RANKS[photo.kind], -np.nan_to_num(photo.change), photo.name))
    extra = [f"{name}: has no original, and is not shown" for name in pairing.extra]
    return Inspection(tuple(found), (*problems, *extra, *pairing.unread))


_Seen = tuple[State, tuple[InspectedFace, ...], float, str]


def _looker(detector: str) -> Callable[[tuple[Path, Path | None]], _Seen]:
    """Build the detector; returns a function that looks at the two files of a photo."""
    built = build_detector(detector)

    def look(task: tuple[Path, Path | None]) -> _Seen:
        state, before, after = read_both(*task)
        if before is None:
            return state, (), float("nan"), ""
        try:
            return state, _faces(built, before, after), _change(before, after), ""
        except Exception as error:  # a detector may raise anything; the other photos are still looked at
            return state, (), _change(before, after), f"faces cannot be searched ({one_line(error)})"

    return look


def _faces(detector: FaceDetector, before: Pixels, after: Pixels | None) -> tuple[InspectedFace, ...]:
    """Return the faces of the original, the worst first; `after` may be missing or of another size."""
    seen = find_with(detector, before, min_face=MIN_FACE).faces
    still = Found() if after is None else find_with(detector, after, min_face=MIN_FACE)
    scale = np.ones(4) if after is None else np.tile(np.divide(after.shape[1::-1], before.shape[1::-1]), 2)
    faces = [
        InspectedFace(
            face.box,
            window_of(face, before.shape),
            _change(before, after, face.box),
            lost=after is not None and not still.knows(np.array(face.box) * scale),
        )
        for face in seen
    ]
    return tuple(sorted(faces, key=lambda face: face.badness, reverse=True))


def window_of(face: Face, shape: tuple[int, ...]) -> Box:
    """Return the square around a face with its hair, within a photo of `shape` (H, W, ...)."""
    matrix = face.to_photo
    x, y = (float(v) for v in matrix[:, :2] @ (0.5, 0.5) + matrix[:, 2])
    reach = _REACH * face.scale
    height, width = shape[:2]
    return max(0.0, x - reach), max(0.0, y - reach), min(float(width), x + reach), min(float(height), y + reach)


def _change(before: Pixels, after: Pixels | None, box: Box | None = None) -> float:
    """Return the mean absolute change of a box, or of the whole photo; NaN if the two have no common size."""
    if after is None or before.shape != after.shape:
        return float("nan")
    left, top, right, bottom = (max(0, round(v)) for v in box or (0, 0, *before.shape[1::-1]))
    a, b = (rgb[top:bottom, left:right] for rgb in (before, after))
    return float((np.maximum(a, b) - np.minimum(a, b)).mean()) if a.size else float("nan")
