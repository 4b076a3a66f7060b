"""dlib's face descriptor (King, 2017) as a matcher: a residual network of 29 layers, 128 numbers per face."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import FaceMatcher, Images
from facepriv.faces import models
from facepriv_estimators.chips import dlib_chips

if TYPE_CHECKING:
    from facepriv_estimators.dlib_network import DlibResNet

#: dlib's padding of the training chips.
CHIP_PADDING = 0.25


class DlibMatcher(FaceMatcher):
    """dlib's 128-d face descriptor; the score is one minus the Euclidean distance, higher = same person.

    The package ``face_recognition`` uses the same network. No part of facepriv is trained against it.
    """

    trained_on: ClassVar[str] = (
        "about 3 million faces of 7,485 people: FaceScrub, VGG-Face and photos from the web, none of the people in LFW"
        " (Davis King, public domain)"
    )
    #: The score at dlib's own threshold, a distance of 0.6.
    threshold: ClassVar[float | None] = 0.4

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Return (N, 128) float32 descriptors of aligned crops (N, S, S, 3) in [0, 1]; every face is acquired."""
        from facepriv_estimators.dlib_network import CHIP_SIZE, WIDTH
        from facepriv_estimators.torch_models import run_each

        chips = dlib_chips(images, CHIP_PADDING, CHIP_SIZE)
        return run_each(_network(), chips * np.float32(255), WIDTH)

    def score(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``1 - ||a - b||`` (N,): 1 for the same image, `threshold` at dlib's threshold, NaN for NaN."""
        return (1 - np.linalg.norm(a - b, axis=1)).astype(np.float32)

    def score_all(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `score` (N, M) of every row of `a` with every row of `b`."""
        squares = [np.square(side).sum(axis=1) for side in (a, b)]
        apart = squares[0][:, None] + squares[1] - 2 * (a @ b.T)
        return (1 - np.sqrt(np.maximum(apart, 0))).astype(np.float32)


@cache
def _network() -> DlibResNet:
    from facepriv_estimators.dlib_network import load

    return load(models.model_file(models.DESCRIPTOR))
