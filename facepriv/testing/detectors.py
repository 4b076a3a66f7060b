"""The checks of face detectors, on scikit-image's astronaut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import Detections, FaceDetector
from facepriv.testing import audit
from facepriv.testing.core import Make, NotApplicable, require

#: Middle of the eyes in the photo, and limits of the width of her face's box.
EYES, WIDTHS = (225.0, 103.5), (55, 130)
#: Tolerance, in pixels.
TOLERANCE = 1e-3


def _photo() -> NDArray[np.uint8]:
    try:
        from skimage.data import astronaut
    except ImportError:
        raise NotApplicable("scikit-image, whose photo is searched, is not installed") from None
    return np.asarray(astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]


def _found(detector: FaceDetector, photo: NDArray[np.uint8], min_face: float = 16.0) -> Detections:
    return detector.detect(photo, min_face)


def _same(a: Detections, b: Detections, what: str) -> None:
    require(len(a) == len(b), f"{what}: {len(a)} faces against {len(b)}")
    for name in ("boxes", "scores", "landmarks"):
        alike = np.allclose(getattr(a, name), getattr(b, name), rtol=0, atol=TOLERANCE)
        require(alike, f"{what}: {name} differ", follows="repeatable")


def works(make: Make) -> None:
    """It can be built, and searches a photo without an error."""
    _found(make(), _photo())


def constructor_reads_nothing(make: Make) -> None:
    """Building it opens no file: weights are read on first use."""
    with audit.no_data_files():
        make()


def declarations(make: Make) -> None:
    """`points` is of a known kind, `sure` lies in [0, 1], and `parts` are detectors."""
    detector = make()
    known = ("eyes-nose-mouth", "eye-corners-nose")
    require(detector.points in known, f"points is {detector.points!r}, expected one of {', '.join(known)}")
    require(0 <= detector.sure <= 1, f"sure is {detector.sure}, expected 0 to 1")
    parts = detector.parts()
    require(parts and all(isinstance(part, FaceDetector) for part in parts), f"parts() returned {parts!r}")


def finds_a_face(make: Make) -> None:
    """It finds the face of the photo once, surely, and with a box of its size."""
    detector = make()
    found = _found(detector, _photo())
    left, top, right, bottom = found.boxes.T
    here = (left < EYES[0]) & (EYES[0] < right) & (top < EYES[1]) & (EYES[1] < bottom)
    here &= found.scores >= detector.sure
    require(here.sum() == 1, f"{here.sum()} sure boxes hold the astronaut's eyes, expected 1")
    width = float((right - left)[here][0])
    require(WIDTHS[0] < width < WIDTHS[1], f"the box is {width:.0f} pixels wide, expected {WIDTHS[0]} to {WIDTHS[1]}")


def landmarks_in_place(make: Make) -> None:
    """The landmarks are those that `points` declares: aligned by them, the face lies where it should."""
    from facepriv.faces.finding import find_with

    found = find_with(make(), _photo())
    faces = found.faces
    require(faces, "no face to align", follows="finds_a_face")
    require(not found.uncertain, "the landmarks do not fit the box, or not the points of a face in their order")
    middle = faces[0].to_photo @ (0.5, 0.35, 1)  # between the eyes, in a crop of side 1
    off = float(np.hypot(*(middle - EYES))) / faces[0].scale
    require(off < 0.06, f"aligned by its landmarks, the face lies {100 * off:.0f} % of the crop away from its place")


def no_face_in_a_flat_photo(make: Make) -> None:
    """It finds nothing in a photo of one colour, in one of a single pixel, and in a thin one."""
    detector = make()
    for shape in ((120, 160, 3), (1, 1, 3), (3, 500, 3)):
        found = _found(detector, np.full(shape, 128, np.uint8))
        require(not (found.scores >= detector.sure).any(), f"found {len(found)} faces in a grey photo {shape}")


def photo_untouched(make: Make) -> None:
    """The photo is not written to."""
    photo = _photo()
    given = photo.copy()
    _found(make(), photo)
    require(np.array_equal(photo, given), "wrote to the photo")


def repeatable(make: Make) -> None:
    """The same photo gives the same faces: in a second call, and in a new instance with another random state."""
    detector = make()
    first = _found(detector, _photo())
    _same(first, _found(detector, _photo()), "a second call")
    with audit.global_seed(1):
        _same(first, _found(make(), _photo()), "a new instance under another global random state")


def views_accepted(make: Make) -> None:
    """A photo whose memory is not contiguous gives the same faces."""
    detector, photo = make(), _photo()
    wide = np.repeat(photo, 2, axis=1)
    _same(_found(detector, photo), _found(detector, wide[:, ::2]), "a view of the photo")


def global_random_state_untouched(make: Make) -> None:
    """Using it leaves the generators of random, numpy and torch as they are."""
    audit.require_random_states_kept(
        make, lambda detector: _found(detector, _photo()), "draw nothing, or from a generator of its own"
    )


def no_network(make: Make) -> None:
    """Building and using it does not access the network."""
    with audit.no_network():
        _found(make(), _photo())


CHECKS: tuple[Callable[[Make], None], ...] = (
    constructor_reads_nothing,
    global_random_state_untouched,
    works,
    declarations,
    finds_a_face,
    landmarks_in_place,
    no_face_in_a_flat_photo,
    photo_untouched,
    repeatable,
    views_accepted,
    no_network,
)
#: Checks whose failures explain other failures, in reading order.
ROOTS: tuple[Callable[[Make], None], ...] = (works, declarations, finds_a_face, repeatable)
