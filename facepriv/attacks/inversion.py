"""Inversion: run the public generator again to reverse its change.

A method trained with cycle consistency (G of G of a face is the face) has even learnt to undo itself. The attack runs
the method on the protected face with every label. The features are the classifiers' predictions on the results and the
size of each change: a generator changes a face least if it already shows the target class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.evidence import evidence
from facepriv.contracts import Attack, FaceBatch, Images, Notes, Tools
from facepriv.errors import PluginError, one_line
from facepriv.files import content_hash
from facepriv.protection.request import face_rng


class Inversion(Attack):
    """Runs the method on protected faces, once towards each class."""

    uses_method = True

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return the classifiers' evidence on the face and on each of its images, and the size of each change."""
        faces = _batch(images, tools)
        notes = {"as it is": evidence(images, tools.estimators)}
        for wanted in range(tools.classes):
            turned = _towards(wanted, faces, tools)
            notes[f"towards {wanted}"] = evidence(turned, tools.estimators)
            change = np.abs(turned - images).mean(axis=(1, 2, 3))
            notes[f"change towards {wanted}"] = np.log(change + 1e-4)[:, None]
        return notes


def _batch(images: Images, tools: Tools) -> FaceBatch:
    """Return the crops as input to the method, with landmarks and own classes where it needs them."""
    landmarks = None
    if "landmarks" in tools.method.needs:
        from facepriv.faces.detect import landmarks_of_crop

        landmarks = np.stack([landmarks_of_crop(np.rint(image * 255).astype(np.uint8)) for image in images])
    return FaceBatch(images, landmarks, {name: classes(images) for name, classes in tools.labels.items()})


def _towards(wanted: int, faces: FaceBatch, tools: Tools) -> Images:
    """Run the method on every face towards one class, with another class as the own class."""
    source = {name: own.copy() for name, own in faces.labels.items()}
    own = source.get(tools.attribute, np.full(len(faces), -1, np.int64))
    # A method does nothing if the target equals the own class.
    other = (wanted + 1) % tools.classes
    source[tools.attribute] = np.where((own == wanted) | (own < 0), other, own)
    target = {**source, tools.attribute: np.full(len(faces), wanted, np.int64)}
    rngs = [_rng(image) for image in faces.images]
    try:
        return tools.method.perturb(faces, source, target, rngs=rngs)
    except Exception as error:  # a plugin may raise anything
        raise PluginError(f"inversion: the method failed on a protected face: {one_line(error)}") from error


def _rng(image: NDArray[np.float32]) -> np.random.Generator:
    return face_rng(content_hash(image.tobytes()), 0, "inversion", 0)
