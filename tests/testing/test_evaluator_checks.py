"""The checks of estimators and matchers pass one that is right and fail one that is wrong in just that point."""

import random
import re
import socket
from contextlib import suppress
from itertools import count

import numpy as np
import pytest
from kit_methods.right import variant

from facepriv.contracts import AttributeEstimator, FaceMatcher, resize_images
from facepriv.errors import UsageError
from facepriv.testing import checks, run_checks
from facepriv.testing.evaluators import ESTIMATOR_CHECKS, MATCHER_CHECKS


class Brightness(AttributeEstimator):
    """An estimator that conforms: gender by brightness."""

    attribute = "gender"
    trained_on = "nothing"

    def predict(self, images):
        bright = images.mean(axis=(1, 2, 3), dtype=np.float64)
        return np.stack([bright, 1 - bright], axis=1).astype(np.float32)


class Years(Brightness):
    attribute, output = "age", "years"

    def predict(self, images):
        return super().predict(images)[:, 0] * np.float32(100)


class Learnable(Brightness):
    weight = 1.0

    def torch_module(self):
        import torch

        class Net(torch.nn.Module):
            def forward(_, images):
                bright = images.mean(dim=(1, 2, 3)) * self.weight
                return torch.stack([bright, 1 - bright], dim=1)

        return Net()


class Thumbnail(FaceMatcher):
    """A matcher that conforms: the face at 8 pixels."""

    trained_on = "nothing"

    def embed(self, images):
        small = resize_images(images, 8).reshape(len(images), 192)
        return small - 0.5


@pytest.mark.parametrize("judge", [Brightness, Years, Learnable], ids=lambda judge: judge.__name__)
def test_an_estimator_that_is_right_passes_every_check(judge):
    if judge is Learnable:
        pytest.importorskip("torch")
    results = run_checks(judge, "estimator")
    assert [r.name for r in results] == [check.__name__ for check in ESTIMATOR_CHECKS]
    assert [r for r in results if not r.passed] == []


def test_a_matcher_that_is_right_passes_every_check():
    results = run_checks(Thumbnail, "matcher")
    assert [r.name for r in results] == [check.__name__ for check in MATCHER_CHECKS]
    assert [r for r in results if not r.passed] == []


def changed(name, base, method, change):
    """Return a subclass of `base` in which a method returns `change(result)`."""
    return variant(name, base, **{method: lambda self, *given: change(getattr(base, method)(self, *given))})


class Reads(Brightness):
    def __init__(self):
        with open("/dev/null", "rb") as file:
            file.read()


Raises = variant("Raises", Brightness, predict=lambda self, images: images.brightness)
Silent = variant("Silent", Brightness, trained_on=" ")


class Writes(Brightness):
    def predict(self, images):
        images *= np.float32(0.5)
        return super().predict(images)


class Counting(Brightness):
    calls = count(2)

    def predict(self, images):
        return super().predict(images / np.float32(next(self.calls)))


class GlobalNoise(Brightness):
    def __init__(self):
        state = np.random.get_state()
        self.factor = np.float32(np.random.random())
        np.random.set_state(state)

    def predict(self, images):
        return super().predict(images * self.factor)


class MovesRandom(Brightness):
    def predict(self, images):
        random.random()
        return super().predict(images)


class BatchNorm(Brightness):
    def predict(self, images):
        return super().predict(images / max(images.max(initial=0), 1e-6) * images.mean() if images.size else images)


class NoEmpty(Brightness):
    def predict(self, images):
        return np.stack([super(NoEmpty, self).predict(image[None])[0] for image in images])


WidthByCount = changed("WidthByCount", Brightness, "predict", lambda out: out[:, : len(out)])


class OneSize(Brightness):
    def predict(self, images):
        return super().predict(images * np.ones((128, 1, 1), np.float32))


WidthBySize = variant("WidthBySize", Thumbnail, embed=lambda self, images: images.reshape(len(images), -1))


class AsksTheNetwork(Brightness):
    def predict(self, images):
        with suppress(OSError), socket.create_connection(("192.0.2.1", 80), timeout=0.01):
            pass
        return super().predict(images)


NoGradient = variant("NoGradient", Learnable, weight=0.0)
NanGradient = variant("NanGradient", Learnable, weight=float("nan"))
UnknownAttribute = variant("UnknownAttribute", Brightness, attribute="hair")
OddOutput = variant("OddOutput", Brightness, output="logits")
GenderInYears = variant("GenderInYears", Years, attribute="gender")
Doubles = changed("Doubles", Brightness, "predict", lambda out: out.astype(np.float64))
Nan = changed("Nan", Brightness, "predict", lambda out: out * np.float32(np.nan))
ThreeClasses = changed("ThreeClasses", Brightness, "predict", lambda out: out[:, [0, 1, 1]])
Logits = changed("Logits", Brightness, "predict", lambda out: out * np.float32(2) - np.float32(1))
Unnormalised = changed("Unnormalised", Brightness, "predict", lambda out: out * np.float32(0.7))
Ancient = changed("Ancient", Years, "predict", lambda out: out + np.float32(300))
YearsInColumns = changed("YearsInColumns", Years, "predict", lambda out: out[:, None])
SmallClasses = changed("SmallClasses", Brightness, "classes", lambda out: out.astype(np.int32))
UnknownClasses = changed("UnknownClasses", Brightness, "classes", lambda out: out + 2)
FlatEmbedding = changed("FlatEmbedding", Thumbnail, "embed", lambda out: out[0])
DoubleEmbedding = changed("DoubleEmbedding", Thumbnail, "embed", lambda out: out.astype(np.float64))


class HalfNan(Thumbnail):
    def embed(self, images):
        out = super().embed(images)
        out[1:, 0] = np.nan
        return out


AcquiresNobody = changed("AcquiresNobody", Thumbnail, "embed", lambda out: out * np.float32(np.nan))
Distance = variant("Distance", Thumbnail, score=lambda self, a, b: np.linalg.norm(a - b, axis=1))
OneScore = changed("OneScore", Thumbnail, "score", lambda out: out.mean())
Lopsided = variant("Lopsided", Thumbnail, score=lambda self, a, b: (a * b).sum(axis=1) / np.linalg.norm(a, axis=1))
ScoresTheMissing = changed("ScoresTheMissing", Thumbnail, "score", lambda out: np.nan_to_num(out))
NoNumber = variant("NoNumber", Thumbnail, threshold="0.4")
MatchesNobody = variant("MatchesNobody", Thumbnail, threshold=1.5)

BROKEN = [
    ("works", Raises, r"AttributeError: .* 'brightness' \(test_evaluator_checks.py, line \d+\)"),
    ("constructor_reads_nothing", Reads, "opened /dev/null"),
    ("says_what_it_was_trained_on", Silent, "trained_on is empty"),
    ("input_untouched", Writes, "wrote to the images"),
    ("repeatable", Counting, "a second call answers otherwise"),
    ("repeatable", GlobalNoise, "under another global random state: the answer differs"),
    ("global_random_state_untouched", MovesRandom, "moves the global random state of random"),
    ("batch_equals_single", BatchNorm, "face 0 alone: the answer differs"),
    ("empty_batch", NoEmpty, "need at least one array"),
    ("empty_batch", WidthByCount, r"shape \(0, 0\), expected \(0, 2\)"),
    ("other_crop_sizes", OneSize, "ValueError: operands could not be broadcast"),
    ("other_crop_sizes", WidthBySize, "the shape depends on the size of the crops"),
    ("no_network", AsksTheNetwork, "accessed the network: socket.getaddrinfo '192.0.2.1'"),
    ("torch_module_has_gradients", NoGradient, "the gradient of a face is zero"),
    ("torch_module_has_gradients", NanGradient, "the gradient holds NaN"),
    ("estimator_declarations", UnknownAttribute, "unknown attribute 'hair'"),
    ("estimator_declarations", OddOutput, "output is 'logits'"),
    ("estimator_declarations", GenderInYears, "gender is not measured in years"),
    ("predictions_valid", Doubles, "dtype float64"),
    ("predictions_valid", Nan, "holds NaN"),
    ("predictions_valid", ThreeClasses, r"shape \(3, 3\), expected \(3, 2\)"),
    ("predictions_valid", Logits, "probabilities from -"),
    ("predictions_valid", Unnormalised, "probabilities sum to"),
    ("predictions_valid", Ancient, "years from 3"),
    ("predictions_valid", YearsInColumns, r"shape \(3, 1\), expected \(3,\)"),
    ("classes_valid", SmallClasses, "int32 .*expected int64"),
    ("classes_valid", UnknownClasses, "there are 2"),
    ("embeddings_valid", FlatEmbedding, r"shape \(192,\), expected \(3, D\)"),
    ("embeddings_valid", DoubleEmbedding, "dtype float64"),
    ("embeddings_valid", HalfNan, "neither finite nor all NaN"),
    ("embeddings_valid", AcquiresNobody, "was not acquired"),
    ("scores_valid", Distance, "a face scores 0 with itself"),
    ("scores_valid", OneScore, r"shape \(\), expected \(3,\)"),
    ("scores_valid", Lopsided, r"score\(a, b\) is not score\(b, a\)"),
    ("scores_valid", ScoresTheMissing, "was not acquired scores 0, expected NaN"),
    ("threshold_valid", NoNumber, "threshold is '0.4'"),
    ("threshold_valid", MatchesNobody, "with itself, below the threshold 1.5"),
]


@pytest.mark.parametrize(("name", "judge", "detail"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_check_fails_the_judge_that_breaks_it_and_says_why(name, judge, detail):
    if name == "torch_module_has_gradients":
        pytest.importorskip("torch")
    kind = "matcher" if issubclass(judge, FaceMatcher) else "estimator"
    result = next(check for check in checks(judge, kind) if check.name == name).result()
    assert not result.passed
    assert re.search(detail, result.detail), result.detail


def test_no_check_is_without_a_judge_that_fails_it():
    assert {name for name, _, _ in BROKEN} == {check.__name__ for check in (*ESTIMATOR_CHECKS, *MATCHER_CHECKS)}


def test_an_estimator_is_no_matcher():
    result = next(check for check in checks(object, "matcher") if check.name == "empty_batch").result()
    assert result.detail == "built object, no AttributeEstimator or FaceMatcher"


def test_there_are_no_checks_for_a_trainer():
    with pytest.raises(UsageError, match="no conformance checks for a 'trainer': one of method, estimator, matcher"):
        checks(object, "trainer")
