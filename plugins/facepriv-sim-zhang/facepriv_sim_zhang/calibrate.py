"""Measure the effect of one attribute's change on the others in a finished photo, and compensate it.

The axes are orthogonal, but a photo does not follow the linear model exactly: colours clip, and landmarks detected
again in a changed face are not where the edit moved them. On average this moves the other attributes' coordinates
slightly. The shift is measured on changed photos of faces of the fit. An opposite step along the others' axes then
compensates it.
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
    model: Model, pack: Pack, rows: NDArray[np.int64], points: NDArray[np.float32], name: str, tick: Callable[[], None]
) -> tuple[Float, Float]:
    """Change one attribute of faces to the next class; return requested and measured changes of coordinates.

    Parameters
    ----------
    rows : ndarray
        (N,) rows of the pack, of known class.
    points : ndarray
        (N, 68, 2) their landmarks, in pixels of the crops.

    Returns
    -------
    asked, moved : ndarray
        (N, K) changes of coordinates; ``moved`` is measured in the 8-bit crop with its own landmarks.
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
    """Return the model with a change of one attribute that compensates its average effect on the others.

    Parameters
    ----------
    asked, moved : ndarray
        (N, K) from `photo_moves`; a straight line through the origin is fitted to them.
    """
    own = model.columns[name]
    leak = np.linalg.lstsq(asked[:, own], moved, rcond=None)[0]  # (axes of the attribute, K)
    synthesis = model.synthesis.copy()
    for columns in (model.columns[other] for other in model.classes if other != name):
        synthesis[:, own] -= model.synthesis[:, columns] @ leak[:, columns].T.astype(np.float32)
    return replace(model, synthesis=synthesis)
