"""Draw the pictures of the documentation: the demo's portraits, protected by the installed methods with gender hidden.

python docs/pictures.py
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

import facepriv
from facepriv.evaluation.inspection import window_of
from facepriv.evaluation.pairing import Pixels
from facepriv.faces import find_faces
from facepriv.image import read_image
from facepriv.report.sheet_image import CHANGE_HEAD, amplified_change, cut, draw_sheet
from facepriv.samples import portraits

IMAGES = Path(__file__).parent / "images"
#: Methods of the picture with all methods, in its order, and those with a picture of their own.
TOGETHER = ("privacynet", "baseline-gan", "sim-zhang", "face-mixing", "san", "flow-san")
ALONE = ("privacynet", "baseline-gan", "sim-zhang", "face-mixing", "san", "k-attribute", "pixelate")
_SIDE = 180
_KEY = b"the documentation's pictures"


def protected(photo: Pixels, method: str) -> Pixels:
    """Return the photo with gender hidden; the same bytes every time."""
    result = facepriv.protect(photo, method=method, hide=("gender",), key=_KEY)
    assert isinstance(result, np.ndarray)
    return result


def sheet(columns: Sequence[str], rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Return a row of pictures for each portrait."""
    return Image.open(BytesIO(draw_sheet((), columns, [(pictures, ()) for pictures in rows], (), side=_SIDE)))


def save(name: str, *sheets: Image.Image) -> None:
    """Write sheets of one width, one below the other, as a JPEG file."""
    whole = Image.new("RGB", (sheets[0].width, sum(part.height for part in sheets)))
    top = 0
    for part in sheets:
        whole.paste(part, (0, top))
        top += part.height
    whole.save(IMAGES / f"{name}.jpg", quality=88)


def main() -> None:
    """Write one picture of all methods, and one for each."""
    photos = [read_image(portrait.path).rgb8() for portrait in portraits()]
    windows = [window_of(find_faces(photo)[0], photo.shape) for photo in photos]
    originals = [cut(photo, window, _SIDE) for photo, window in zip(photos, windows, strict=True)]
    heads = {
        method: [cut(protected(photo, method), window, _SIDE) for photo, window in zip(photos, windows, strict=True)]
        for method in dict.fromkeys((*TOGETHER, *ALONE))
    }
    IMAGES.mkdir(exist_ok=True)
    # Few columns, so that a phone shows the faces large enough.
    shown = [
        sheet(
            ("original", *some),
            [[original, *(heads[name][n] for name in some)] for n, original in enumerate(originals)],
        )
        for some in (TOGETHER[:3], TOGETHER[3:])
    ]
    save("methods", *shown)
    for method in ALONE:
        pairs = zip(originals, heads[method], strict=True)
        save(method, sheet(("original", method, CHANGE_HEAD), [(a, b, amplified_change(a, b)) for a, b in pairs]))


if __name__ == "__main__":
    main()
