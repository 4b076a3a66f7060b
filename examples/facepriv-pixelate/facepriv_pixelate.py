"""The method pixelate, a facepriv plugin in one module.

It turns the face into a mosaic. To make another method, change `_perturb`.
"""

import numpy as np

from facepriv.contracts import Perturber
from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2  # the version of facepriv's plugin contract
CELLS = 8  # cells along a side of the crop at full strength


@hookimpl
def facepriv_components():
    return [
        Descriptor(
            kind="method",
            name="pixelate",
            target="facepriv_pixelate:Pixelate",
            summary="a mosaic: an example, not protection",
            attributes=Pixelate.attributes,
        )
    ]


class Pixelate(Perturber):
    """Replaces every block of the crop by its mean; `strength` sets the size of the blocks."""

    attributes = ("gender", "race", "age")
    paste = "replacement"  # a residual would leave the photo's fine detail in place

    def _perturb(self, faces, source, target, strength, rngs):
        size = faces.images.shape[1]
        # Equal steps of strength divide the number of cells by equal factors.
        cells = max(1, round(size * (min(CELLS, size) / size) ** strength))
        edges = np.linspace(0, size, cells + 1).round().astype(int)
        sides = np.diff(edges)
        rows = np.add.reduceat(faces.images, edges[:-1], axis=1)
        sums = np.add.reduceat(rows, edges[:-1], axis=2)
        means = sums / np.outer(sides, sides)[:, :, None]
        return means.repeat(sides, axis=1).repeat(sides, axis=2)
