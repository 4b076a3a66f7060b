"""dlib's face descriptor (King, 2017) as a matcher: a residual network of 29 layers, 128 numbers a face."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceMatcher, Images
from facepriv.errors import PluginError
from facepriv.faces import models
from facepriv_estimators.chips import dlib_chips

#: The chip that the network was trained on.
CHIP_SIZE, CHIP_PADDING = 150, 0.25
WIDTH = 128
#: The score of two faces at dlib's own threshold, a distance of 0.6: at or above it, dlib calls them one person.
SAME_PERSON = 0.4


class DlibMatcher(FaceMatcher):
    """dlib's 128-d face descriptor; the score is one minus the Euclidean distance, higher = same person.

    It is the same network that ``face_recognition`` uses, and no part of facepriv is trained against it. On one thread
    it takes about a tenth of a second a face. One process must not share it between threads.
    """

    trained_on: ClassVar[str] = (
        "about 3 million faces of 7,485 people: FaceScrub, VGG-Face and photos from the web (Davis King, CC0)"
    )

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Return (N, 128) float32 descriptors of aligned crops (N, S, S, 3) in [0, 1]; every face is acquired."""
        chips = np.rint(dlib_chips(images, CHIP_PADDING, CHIP_SIZE) * 255).astype(np.uint8)
        out = np.empty((len(chips), WIDTH), dtype=np.float32)
        # One by one: a batch is no faster on a CPU, and so nothing can depend on it.
        for n, chip in enumerate(chips):
            out[n] = np.asarray(_network().compute_face_descriptor(chip))
        return out

    def score(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``1 - ||a - b||`` (N,): 1 for the same image, `SAME_PERSON` at dlib's threshold, NaN for NaN."""
        return (1 - np.linalg.norm(a - b, axis=1)).astype(np.float32)


@cache
def _network() -> Any:
    import dlib

    path = models.model_file(models.DESCRIPTOR)
    try:
        return dlib.face_recognition_model_v1(str(path))
    except RuntimeError as error:
        raise PluginError(
            f"{path}: dlib cannot read it ({error}), pip install --force-reinstall face-recognition-models"
        ) from error
