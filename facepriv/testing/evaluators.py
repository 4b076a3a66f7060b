"""The checks of attribute estimators and face matchers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facepriv.contracts import AttributeEstimator, FaceMatcher, Images
from facepriv.schema import attribute
from facepriv.testing import audit
from facepriv.testing.core import Make, NotApplicable, require
from facepriv.testing.faces import specimens

SIZES = (96, 128, 224)
#: Tolerance for one face's result in different batches: libraries reorder sums.
TOLERANCE = 1e-3


def _images(size: int = 128) -> Images:
    return specimens(size, landmarks=False).images


def _answer(judge: Any, images: Images) -> np.ndarray:
    """Return an estimator's predictions or a matcher's embeddings."""
    if isinstance(judge, AttributeEstimator):
        return judge.predict(images)
    what = f"built {type(judge).__name__}, no AttributeEstimator or FaceMatcher"
    require(isinstance(judge, FaceMatcher), what, follows="works")
    return np.asarray(judge.embed(images))


def _same(a: np.ndarray, b: np.ndarray, what: str) -> None:
    require(a.shape == b.shape, f"{what}: shape {a.shape} against {b.shape}")
    scale = max(1.0, float(np.nanmax(np.abs(a), initial=0.0)))
    alike = np.allclose(a, b, rtol=0, atol=TOLERANCE * scale, equal_nan=True)
    require(alike, f"{what}: the answer differs", follows="repeatable")


def works(make: Make) -> None:
    """It can be built, and processes valid faces without an error."""
    _answer(make(), _images())


def constructor_reads_nothing(make: Make) -> None:
    """Building it opens no file: weights are read on first use."""
    with audit.no_data_files():
        make()


def says_what_it_was_trained_on(make: Make) -> None:
    """`trained_on` is stated, so that "unseen" can be checked."""
    require(make().trained_on.strip(), "trained_on is empty")


def input_untouched(make: Make) -> None:
    """The images are not written to."""
    images = _images()
    given = images.copy()
    _answer(make(), images)
    require(np.array_equal(images, given), "wrote to the images")


def repeatable(make: Make) -> None:
    """The same faces give the same result: in a second call, and in a new instance with another global random state."""
    judge = make()
    first = _answer(judge, _images())
    require(np.array_equal(first, _answer(judge, _images()), equal_nan=True), "a second call answers otherwise")
    with audit.global_seed(1):
        _same(first, _answer(make(), _images()), "a fresh instance under another global random state")


def global_random_state_untouched(make: Make) -> None:
    """Using it leaves the generators of random, numpy and torch as they are, at first use too."""
    audit.require_random_states_kept(
        make, lambda judge: _answer(judge, _images()), "draw nothing, or from a generator of its own"
    )


def batch_equals_single(make: Make) -> None:
    """A face's result does not depend on the other faces in the batch."""
    judge = make()
    images = _images()
    together = _answer(judge, images)
    for n in range(len(images)):
        _same(together[n : n + 1], _answer(judge, images[n : n + 1]), f"face {n} alone")
    _same(together[::-1], _answer(judge, images[::-1].copy()), "in reversed order")


def empty_batch(make: Make) -> None:
    """An empty batch gives an empty result of the usual width."""
    judge = make()
    usual = _answer(judge, _images())
    empty = _answer(judge, _images()[:0])
    require(empty.shape == (0, *usual.shape[1:]), f"shape {empty.shape}, expected {(0, *usual.shape[1:])}")


def other_crop_sizes(make: Make) -> None:
    """Crops of any size are accepted."""
    judge = make()
    shapes = {size: _answer(judge, _images(size)).shape for size in SIZES}
    require(len(set(shapes.values())) == 1, f"the shape depends on the size of the crops: {shapes}")


def no_network(make: Make) -> None:
    """Building and using it does not access the network."""
    with audit.no_network():
        _answer(make(), _images())


def torch_module_has_gradients(make: Make) -> None:
    """If it has a torch module, that takes NCHW in [0, 1] and its gradients are finite and not zero."""
    module = make().torch_module()
    if module is None:
        raise NotApplicable("it offers no torch module")
    import torch

    images = torch.from_numpy(_images().transpose(0, 3, 1, 2).copy()).requires_grad_()
    # Squares, because the sum of probabilities is constant.
    (gradient,) = torch.autograd.grad(module(images).square().sum(), images)
    require(bool(torch.isfinite(gradient).all()), "the gradient holds NaN or infinity")
    require(bool((gradient.abs().amax(dim=(1, 2, 3)) > 0).all()), "the gradient of a face is zero")


def estimator_declarations(make: Make) -> None:
    """The attribute is known, and the output is of a known kind."""
    judge = make()
    attribute(judge.attribute)
    require(judge.output in ("probabilities", "years"), f"output is {judge.output!r}, expected probabilities or years")
    if judge.output == "years":
        require(attribute(judge.attribute).thresholds, f"{judge.attribute} is not measured in years")


def predictions_valid(make: Make) -> None:
    """Probabilities are (N, K) and sum to 1, years are (N,) and a human age; both are float32."""
    judge = make()
    out = _answer(judge, _images())
    require(out.dtype == np.float32, f"dtype {out.dtype}, expected float32")
    require(np.isfinite(out).all(), "holds NaN or infinity")
    if judge.output == "years":
        require(out.shape == (3,), f"shape {out.shape}, expected (3,)")
        require(out.min() >= 0 and out.max() <= 120, f"years from {out.min():.4g} to {out.max():.4g}")
        return
    expected = (3, len(attribute(judge.attribute).classes))
    require(out.shape == expected, f"shape {out.shape}, expected {expected}")
    require(out.min() >= 0 and out.max() <= 1, f"probabilities from {out.min():.4g} to {out.max():.4g}")
    require(np.allclose(out.sum(axis=1), 1, atol=1e-3), f"probabilities sum to {out.sum(axis=1)}")


def classes_valid(make: Make) -> None:
    """`classes` gives known class indices."""
    judge = make()
    out = judge.classes(_images())
    require(out.shape == (3,) and out.dtype == np.int64, f"{out.dtype} {out.shape}, expected int64 (3,)")
    count = len(attribute(judge.attribute).classes)
    require(out.min() >= 0 and out.max() < count, f"classes from {out.min()} to {out.max()}, there are {count}")


def embeddings_valid(make: Make) -> None:
    """Embeddings are float32 (N, D), each row finite or all NaN, and a real face is acquired."""
    out = _answer(make(), _images())
    require(out.ndim == 2 and len(out) == 3, f"shape {out.shape}, expected (3, D)")
    require(out.dtype == np.float32, f"dtype {out.dtype}, expected float32")
    whole = np.isfinite(out).all(axis=1) | np.isnan(out).all(axis=1)
    require(whole.all(), "a row is neither finite nor all NaN")
    require(np.isfinite(out[0]).all(), "the first face, a real one, was not acquired")


def scores_valid(make: Make) -> None:
    """Scores are (N,), symmetric, NaN for a face that was not acquired, and highest for a face with itself.

    `score_all` gives the same score as `score` for every pair.
    """
    judge = make()
    first, other = _answer(judge, _images())[:2]
    missing = np.full_like(first, np.nan)
    a, b = np.stack([first, first, first]), np.stack([first, np.nan_to_num(other), missing])
    scores = judge.score(a, b)
    require(scores.shape == (3,), f"shape {scores.shape}, expected (3,)")
    require(np.allclose(scores, judge.score(b, a), atol=TOLERANCE, equal_nan=True), "score(a, b) is not score(b, a)")
    require(np.isnan(scores[2]), f"a face that was not acquired scores {scores[2]:.4g}, expected NaN")
    require(scores[0] > scores[1], f"a face scores {scores[0]:.4g} with itself and {scores[1]:.4g} with another")
    every = judge.score_all(a[:2], b)
    require(every.shape == (2, 3), f"score_all: shape {every.shape} of two with three, expected (2, 3)")
    # Rounding matters most for a distance near 0.
    same = np.allclose(every[0, 1:], scores[1:], atol=TOLERANCE, equal_nan=True)
    require(same, "score_all differs from score")


def threshold_valid(make: Make) -> None:
    """A published threshold is a finite number, and a face with itself scores at or above it."""
    judge = make()
    if judge.threshold is None:
        raise NotApplicable("it publishes no threshold")
    require(
        isinstance(judge.threshold, int | float) and np.isfinite(judge.threshold), f"threshold is {judge.threshold!r}"
    )
    face = _answer(judge, _images())[:1]
    own = float(judge.score(face, face)[0])
    require(own >= judge.threshold, f"a face scores {own:.4g} with itself, below the threshold {judge.threshold:.4g}")


_COMMON: tuple[Callable[[Make], None], ...] = (
    constructor_reads_nothing,
    # Early, because a judge may cache what it loads, and then a later instance has no real first use.
    global_random_state_untouched,
    works,
    says_what_it_was_trained_on,
    input_untouched,
    repeatable,
    batch_equals_single,
    empty_batch,
    other_crop_sizes,
    no_network,
    torch_module_has_gradients,
)
ESTIMATOR_CHECKS = (*_COMMON, estimator_declarations, predictions_valid, classes_valid)
MATCHER_CHECKS = (*_COMMON, embeddings_valid, scores_valid, threshold_valid)
#: Checks whose failures explain other failures, in reading order.
ROOTS: tuple[Callable[[Make], None], ...] = (works, estimator_declarations, predictions_valid, repeatable)
