"""What a change of one attribute does to the others in a finished photo, and the small step that takes it back.

The axes stand at right angles, but a photo is no vector: colours clip, and landmarks found anew in a changed face are
not where the edit had moved them. On average that moves the other attributes' coordinates a little. It is measured on
faces of the fit, all the way through a changed photo, and taken off by an opposite step along the others' axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.pack import Pack
from facepriv.faces import feather_mask
from facepriv.faces.detect import landmarks_of_crop
from facepriv.schema import ATTRIBUTES
from facepriv_sim_zhang.model import Model

Float = NDArray[np.float64]


def photo_moves(
    model: Model,
    pack: Pack,
    rows: NDArray[np.int64],
    points: NDArray[np.float32],
    name: str,
    tick: Callable[[], None],
) -> tuple[Float, Float]:
    """Change one attribute of faces to the next class; return what was asked of the coordinates, and what came.

    Parameters
    ----------
    rows : ndarray
        (N,) rows of the pack, of known class.
    points : ndarray
        (N, 68, 2) their landmarks, in pixels of the crops.

    Returns
    -------
    asked, moved : ndarray
        (N, K) changes of coordinates; ``moved`` is read in the 8-bit crop, its landmarks found anew.
    """
    mask = feather_mask(pack.crops.shape[1])[:, :, None]
    own_columns, means = model.columns[name], model.classes[name]
    asked = np.zeros((len(rows), model.analysis.shape[1]))
    moved = np.zeros_like(asked)
    for n, row in enumerate(rows):
        image = np.asarray(pack.crops[row], dtype=np.float32) / np.float32(255)
        own = model.coordinates(model.encoding.encode(image, points[n]))
        label = (pack.labels[name][row] + 1) % len(ATTRIBUTES[name].classes)
        asked[n, own_columns] = means[label] - own[own_columns]
        changed = model.encoding.add(image, points[n], model.edit(asked[n].astype(np.float32)))
        pasted = np.rint(np.clip(image + mask * (changed - image), 0, 1) * 255).astype(np.uint8)
        seen = pasted.astype(np.float32) / np.float32(255)
        moved[n] = model.coordinates(model.encoding.encode(seen, landmarks_of_crop(pasted))) - own
        tick()
    return asked, moved


def without_leak(model: Model, name: str, asked: Float, moved: Float) -> Model:
    """Return the model whose change of one attribute takes back what it did to the other attributes, on average.

    Parameters
    ----------
    asked, moved : ndarray
        (N, K) as `photo_moves` gives them; a straight line through the origin is laid through them.
    """
    own = model.columns[name]
    leak = np.linalg.lstsq(asked[:, own], moved, rcond=None)[0]  # (axes of the attribute, K)
    synthesis = model.synthesis.copy()
    for columns in (model.columns[other] for other in model.classes if other != name):
        synthesis[:, own] -= model.synthesis[:, columns] @ leak[:, columns].T.astype(np.float32)
    return replace(model, synthesis=synthesis)
