"""The checks that a method rejects invalid input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np

from facepriv.contracts import FaceBatch, Images
from facepriv.errors import ContractError, UsageError
from facepriv.schema import ATTRIBUTES
from facepriv.testing.core import Make, NotApplicable
from facepriv.testing.running import faces_for, refused, rngs_for, run


def bad_images_refused(make: Make) -> None:
    """Invalid face arrays raise `ContractError`, even if they bypass the check of `FaceBatch`."""
    method = make()
    faces = faces_for(method)
    good = faces.images
    nan = good.copy()
    nan[0, 0, 0, 0] = np.nan
    for what, bad in {
        "float64 images": good.astype(np.float64),
        "uint8 images": (good * 255).astype(np.uint8),
        "images with NaN": nan,
        "images above 1": good + np.float32(1),
        "images below 0": good - np.float32(1),
        "images that are not square": good[:, :-1],
        "images without channels": good[..., 0],
        "images of NCHW order": good.transpose(0, 3, 1, 2),
    }.items():
        batch = copy.copy(faces)
        object.__setattr__(batch, "images", bad)
        refused(what, ContractError, partial(run, method, batch))
    refused(
        "an array in place of a FaceBatch",
        ContractError,
        partial(method.perturb, good, faces.labels, faces.labels, rngs=rngs_for(3)),
    )
    if "landmarks" in method.needs:
        bare = FaceBatch(good, None, faces.labels)
        refused("no landmarks, which it needs", ContractError, partial(run, method, bare))


def bad_arguments_refused(make: Make) -> None:
    """Labels, generators and strengths that break the contract raise `ContractError`."""
    method = make()
    faces = faces_for(method)
    name = method.attributes[0]

    def labelled(values: np.ndarray) -> Callable[[], Images]:
        return partial(run, method, faces, target={**faces.labels, name: values})

    refused("too few rngs", ContractError, partial(run, method, faces, rngs=rngs_for(2)))
    refused("too many rngs", ContractError, partial(run, method, faces, rngs=rngs_for(4)))
    refused("seeds in place of rngs", ContractError, partial(run, method, faces, rngs=[1, 2, 3]))
    refused("targets of another number", ContractError, labelled(np.zeros(2, np.int64)))
    refused("targets of dtype float", ContractError, labelled(np.zeros(3)))
    refused("a target that is no class", ContractError, labelled(np.full(3, 99)))
    for strength in (-0.1, 1.1, float("nan")):
        refused(f"strength {strength}", ContractError, partial(run, method, faces, strength=strength))


def unknown_attribute_refused(make: Make) -> None:
    """An attribute that facepriv does not know raises `UsageError`."""
    method = make()
    faces = faces_for(method)
    labels = {"no such attribute": np.zeros(3, np.int64)}
    refused(
        "an unknown attribute",
        UsageError,
        partial(method.perturb, faces, labels, {k: v + 1 for k, v in labels.items()}, rngs=rngs_for(3)),
    )


def undeclared_change_refused(make: Make) -> None:
    """A request to change an attribute that the method does not declare raises `UsageError`."""
    method = make()
    others = [name for name in ATTRIBUTES if name not in method.attributes]
    if not others:
        raise NotApplicable("it changes every attribute")
    faces = faces_for(method)
    for name in others:
        target = {**faces.labels, name: (faces.labels[name] + 1) % len(ATTRIBUTES[name].classes)}
        refused(f"a change of {name}", UsageError, partial(run, method, faces, target=target))


CHECKS: tuple[Callable[[Make], None], ...] = (
    bad_images_refused,
    bad_arguments_refused,
    unknown_attribute_refused,
    undeclared_change_refused,
)
