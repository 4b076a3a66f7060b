"""The checks of a `Perturber`. Each is a function that takes a factory and raises if the method does not conform."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import numpy as np

from facepriv.contracts import UNKNOWN, FaceBatch, Images, Perturber
from facepriv.contracts.arrays import check_finite, check_form, check_range
from facepriv.errors import ContractError
from facepriv.schema import ATTRIBUTES, attribute
from facepriv.testing import audit, refusals, side_effects
from facepriv.testing.core import Finding, Make, NotApplicable, require
from facepriv.testing.detail import paste_suits_the_change
from facepriv.testing.running import faces_for, raw, rngs_for, run, same, targets_for

#: Crop sizes that every method must accept, besides its own.
SIZES = (96, 150, 224)


def declarations(make: Make) -> None:
    """The class attributes are legal, and `perturb`, which checks input and output, is the core's own."""
    method = make()
    require(type(method).perturb is Perturber.perturb, "overrides perturb, which is final: write _perturb")
    require(method.attributes, "declares no attribute that it changes")
    for name in method.attributes:
        attribute(name)
    size = method.crop_size
    require(isinstance(size, int) and size >= 0, f"crop_size is {size!r}, expected pixels or 0")
    unknown = set(method.needs) - {"landmarks", "labels"}
    require(not unknown, f"needs unknown things: {', '.join(sorted(unknown))}")
    require(method.paste in ("residual", "replacement"), f"paste is {method.paste!r}, expected residual or replacement")


def info_is_complete(make: Make) -> None:
    """`info` contains version, weights and evaluators seen in training, in JSON types."""
    info = make().info()
    for key, kind in (("version", str), ("weights", str), ("seen", list)):
        require(key in info, f"info() has no '{key}'")
        require(isinstance(info[key], kind), f"info()['{key}'] is {info[key]!r}, expected a {kind.__name__}")
    require(isinstance(info.get("dtype", ""), str), f"info()['dtype'] is {info.get('dtype')!r}, expected a str")
    json.dumps(info)


def works(make: Make) -> None:
    """The method can be built, and changes valid faces without an error."""
    method = make()
    require(isinstance(method, Perturber), f"built a {type(method).__name__}, not a Perturber")
    raw(method)


def shape_and_dtype(make: Make) -> None:
    """The output is float32 of the input's shape; `_perturb` may return other floats."""
    method = make()
    result, given = raw(method)
    check_form(result, given.images.shape, type(method).__name__)
    if (out := _output(method)) is not None:
        require(isinstance(out, np.ndarray), f"returned a {type(out).__name__}, expected an array")
        expected = faces_for(method).images.shape
        require(out.shape == expected, f"shape {out.shape}, expected {expected}")
        require(out.dtype == np.float32, f"dtype {out.dtype}, expected float32")


def values_finite(make: Make) -> None:
    """The output holds no NaN or infinity."""
    method = make()
    check_finite(raw(method)[0], type(method).__name__)
    if (out := _output(method)) is not None:
        require(np.isfinite(out).all(), "output holds NaN or infinity")


def values_in_range(make: Make) -> None:
    """The output lies in [0, 1], and so does what `_perturb` returns, before it is clipped."""
    method = make()
    result, _ = raw(method)
    check_finite(result, type(method).__name__)
    check_range(result, type(method).__name__)
    if (out := _output(method)) is not None:
        require(np.nanmin(out) >= 0 and np.nanmax(out) <= 1, f"values in [{np.nanmin(out):.4g}, {np.nanmax(out):.4g}]")


def _output(method: Perturber) -> Images | None:
    """Return the result of `perturb`; None if it rejects the result of `_perturb`, which has a separate check."""
    try:
        return run(method)
    except ContractError:
        return None


def changes_the_face(make: Make) -> None:
    """At full strength, with its attributes as targets, the method changes every face."""
    method = make()
    faces = faces_for(method)
    moved = np.abs(run(method, faces) - faces.images).max(axis=(1, 2, 3))
    require((moved > 0).all(), f"unchanged faces: {np.flatnonzero(moved == 0).tolist()}")


def input_untouched(make: Make) -> None:
    """The method does not modify its inputs, and does not return the input's memory."""
    method = make()
    faces = faces_for(method)
    given = copy.deepcopy(faces)
    source, target = copy.deepcopy(dict(faces.labels)), targets_for(method, faces)
    wanted = copy.deepcopy(target)
    out = method.perturb(faces, source, target, strength=1.0, rngs=rngs_for(len(faces)))
    require(np.array_equal(faces.images, given.images), "wrote to the images")
    require(np.array_equal(_points(faces), _points(given)), "wrote to the landmarks")
    for name in wanted:
        require(np.array_equal(target[name], wanted[name]), f"wrote to the targets of {name}")
        require(np.array_equal(source[name], given.labels[name]), f"wrote to the labels of {name}")
    require(not np.shares_memory(out, faces.images), "returned the memory of the input")


def _points(faces: FaceBatch) -> np.ndarray:
    return np.zeros(0) if faces.landmarks is None else faces.landmarks


def same_seed_same_bytes(make: Make) -> None:
    """The same face and generator give the same bytes: in a second call, in a new instance, for any global state."""
    method = make()
    first = run(method)
    _repeats(first, run(method), "a second call", "draw from rngs, and keep nothing between calls")
    for seed in (1, 2):
        with audit.global_seed(seed):
            again, what = run(make()), "a fresh instance under another global random state"
            _repeats(first, again, what, "draw from rngs, not from the global generator of random, numpy or torch")


def _repeats(first: Images, again: Images, what: str, fix: str) -> None:
    if not np.array_equal(first, again):
        # If the method changes the global generator, that is the cause.
        differs = f"{what}: differs by up to {np.abs(first - again).max():.3g}: {fix}"
        raise Finding(differs, follows="global_random_state_untouched")


def stochastic_as_declared(make: Make) -> None:
    """Other generators change the result if, and only if, the method declares itself stochastic."""
    method = make()
    faces = faces_for(method)
    equal = np.array_equal(run(method, faces), run(method, faces, rngs=rngs_for(len(faces), seed=1)))
    require(not (method.stochastic and equal), "declares stochastic = True, but other rngs give the same bytes")
    other = "declares stochastic = False, but other rngs give other bytes"
    require(method.stochastic or equal, other, follows="same_seed_same_bytes")


def batch_equals_single(make: Make) -> None:
    """A face alone gives the same bytes as in a batch, and in batches of any size."""
    method = make()
    faces = faces_for(method)
    together = run(method, faces)
    for n in range(len(faces)):
        alone = run(method, faces.take([n]), rngs=[rngs_for(len(faces))[n]])
        same(together[n : n + 1], alone, f"face {n} alone against in a batch of {len(faces)}")
    many = faces.take([0, 1, 2] * 3)
    same(
        np.tile(together, (3, 1, 1, 1)),
        run(method, many, rngs=[*rngs_for(3), *rngs_for(3), *rngs_for(3)]),
        "a batch of 9 against one of 3",
    )


def order_does_not_matter(make: Make) -> None:
    """The faces in another order give the same bytes in that order."""
    method = make()
    faces = faces_for(method)
    turned = run(method, faces.take([2, 0, 1]), rngs=[rngs_for(3)[n] for n in (2, 0, 1)])
    same(run(method, faces)[[2, 0, 1]], turned, "in another order")


def empty_batch(make: Make) -> None:
    """An empty batch gives an empty result."""
    method = make()
    faces = faces_for(method).take([])
    out = run(method, faces)
    require(out.shape == faces.images.shape, f"shape {out.shape}, expected {faces.images.shape}")
    require(out.dtype == np.float32, f"dtype {out.dtype}, expected float32")


def strength_zero_is_identity(make: Make) -> None:
    """At strength 0 the faces are returned unchanged."""
    method = make()
    faces = faces_for(method)
    same(faces.images, run(method, faces, strength=0.0), "at strength 0")


def every_strength_works(make: Make) -> None:
    """Between 0 and 1 the output is as valid as at 1."""
    method = make()
    faces = faces_for(method)
    for strength in (0.01, 0.5):
        out = run(method, faces, strength=strength)
        valid = out.shape == faces.images.shape and np.isfinite(out).all() and out.min() >= 0 and out.max() <= 1
        require(valid, f"invalid output at strength {strength}")


def other_crop_sizes(make: Make) -> None:
    """Crops of other sizes than the method's own are returned at their size."""
    method = make()
    for size in SIZES:
        out = run(method, faces_for(method, size))
        require(out.shape == (3, size, size, 3), f"crops of {size} pixels came back as {out.shape}")
        require(np.isfinite(out).all(), f"crops of {size} pixels came back with NaN or infinity")


def unknown_labels_work(make: Make) -> None:
    """A method that does not need the faces' own classes, or is blind to them, works without: -1, or only one label."""
    method = make()
    if "labels" in method.needs and not method.blind:
        raise NotApplicable("it needs the faces' own classes")
    faces = faces_for(method)
    name, unknown = method.attributes[0], np.full(len(faces), UNKNOWN)
    wanted = {name: np.zeros(len(faces), np.int64)}
    source = dict.fromkeys(ATTRIBUTES, unknown)
    for labels, target in (({name: unknown}, wanted), (source, {**source, **wanted})):
        out = run(method, FaceBatch(faces.images, faces.landmarks, labels), target=target)
        require(np.isfinite(out).all(), "output holds NaN or infinity where labels are unknown")


CHECKS: tuple[Callable[[Make], None], ...] = (
    # First, because a method may cache what it loads, and then a later instance has no real first use.
    *side_effects.CHECKS,
    declarations,
    info_is_complete,
    works,
    shape_and_dtype,
    values_finite,
    values_in_range,
    changes_the_face,
    paste_suits_the_change,
    input_untouched,
    same_seed_same_bytes,
    stochastic_as_declared,
    batch_equals_single,
    order_does_not_matter,
    empty_batch,
    strength_zero_is_identity,
    every_strength_works,
    other_crop_sizes,
    unknown_labels_work,
    *refusals.CHECKS,
)
#: Checks whose failures explain other failures, in reading order.
ROOTS: tuple[Callable[[Make], None], ...] = (
    works,
    declarations,
    shape_and_dtype,
    values_finite,
    values_in_range,
    side_effects.global_random_state_untouched,
    same_seed_same_bytes,
)
