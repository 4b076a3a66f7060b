"""A detector of protection. An adversary that can tell protected photos from originals knows which answers to invert.

Generators and warps leave traces in a photo's frequencies. The crop is divided into blocks of 8 x 8 pixels. The
features are the energies of each frequency for lightness and colour, in the face and around it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facepriv.contracts import Attack, Images, Notes, Tools

_BLOCK = 8
#: Side of the central face region, as a share of the crop's side.
_FACE = 0.6
# ITU-R BT.601: lightness, and the two colour differences.
_YCC = np.array([(0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081)])


class Detector(Attack):
    """Distinguishes protected from original faces by the energy of their frequencies; does not use attributes."""

    asks: ClassVar[Literal["attribute", "protection", "change"]] = "protection"
    needs_originals = True

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return (N, 2, 3, 64): the log energy of 64 frequencies of three planes, in the face and around it."""
        return {"energy": np.stack([_energies(image) for image in images]).astype(np.float32)}


def _energies(image: NDArray[np.float32]) -> NDArray[np.float64]:
    from scipy.fft import dctn

    count = image.shape[0] // _BLOCK
    planes = image[: count * _BLOCK, : count * _BLOCK].astype(np.float64) @ _YCC.T
    blocks = planes.reshape(count, _BLOCK, count, _BLOCK, 3).transpose(0, 2, 4, 1, 3)
    energy = dctn(blocks, axes=(3, 4), norm="ortho").reshape(count, count, 3, _BLOCK**2) ** 2
    place = np.abs((np.arange(count) + 0.5) / count - 0.5) < _FACE / 2
    face = place[:, None] & place[None, :]
    return np.stack([np.log(energy[part].mean(axis=0) + 1e-8) for part in (face, ~face)])
