"""Inversion: run the public generator again to reverse its change.

A method trained with cycle consistency (G of G of a face is the face) has even learnt to undo itself. The attack runs
the method on the protected face with every label. The features are the classifiers' predictions on the results and the
size of each change: a generator changes a face least if it already shows the target class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.evidence import evidence
from facepriv.contracts import STANDARD, Attack, FaceBatch, Frame, Images, Notes, Perturber, Tools
from facepriv.errors import PluginError, one_line
from facepriv.faces import crop_face, paste
from facepriv.faces.align import TEMPLATE, Face
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
            notes[f"towards {wanted}"] = evidence(
                _standard(images, faces.images, turned, tools.method), tools.estimators
            )
            change = np.abs(turned - faces.images).mean(axis=(1, 2, 3))
            notes[f"change towards {wanted}"] = np.log(change + 1e-4)[:, None]
        return notes


def _batch(images: Images, tools: Tools) -> FaceBatch:
    """Return the crops as input to the method, with landmarks and own classes where it needs them."""
    landmarks = None
    if "landmarks" in tools.method.needs:
        from facepriv.faces.detect import landmarks_of_crop

        landmarks = np.stack([landmarks_of_crop(_pixels(image)) for image in images])
    labels = {name: classes(images) for name, classes in tools.labels.items()}
    return FaceBatch(_framed(images, tools.method.frame), landmarks, labels)


def _framed(images: Images, frame: Frame) -> Images:
    """Return crops (N, S, S, 3) of another frame, cut out of standard ones, whose border is repeated beyond them."""
    if frame == STANDARD:
        return images
    face = _face(images.shape[1]).framed(frame)
    return np.stack([crop_face(_pixels(image), face, images.shape[1]) for image in images])


def _standard(images: Images, before: Images, after: Images, method: Perturber) -> Images:
    """Return standard crops into which changed crops of the method's frame are pasted, as into a photo."""
    if method.frame == STANDARD:
        return after
    face, photos = _face(images.shape[1]).framed(method.frame), [_pixels(image) for image in images]
    for photo, one, other in zip(photos, before, after, strict=True):
        paste(photo, face, one, other, method.paste)
    return np.stack(photos).astype(np.float32) / np.float32(255)


def _face(size: int) -> Face:
    """Return the face that a standard crop shows, in the crop."""
    return Face((0.0, 0.0, float(size), float(size)), TEMPLATE * size)


def _pixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(image * 255).astype(np.uint8)


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
