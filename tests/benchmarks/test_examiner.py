"""What judges said becomes figures by attribute; what a set does not know is not asked of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from before_after import age_figures, binary_figures, matching_figures, race_figures
from examiner import Examiner, strength

from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.datasets.record import Record
from facepriv.evaluation.judges import Judges, fitting
from facepriv.evaluation.truth import Truth
from facepriv.hookspecs import Descriptor
from facepriv.registry import Plugin, Registry


class Guess(AttributeEstimator):
    """An estimator of any attribute; only what it is matters here."""

    def __init__(self, attribute, output="probabilities"):
        self.attribute, self.output = attribute, output

    def predict(self, images):
        """Return nothing useful."""
        return images


class Face(FaceMatcher):
    """A matcher by angle."""

    def embed(self, images):
        """Return nothing useful."""
        return images


@pytest.fixture
def judges():
    found = [
        Descriptor("estimator", name, f"{__name__}:Guess", "a test's", options={"attribute": name})
        for name in ("gender", "race", "age")
    ]
    found[2] = replace(found[2], options={"attribute": "age", "output": "years"})
    found.append(Descriptor("matcher", "face", f"{__name__}:Face", "a test's"))
    return Judges(Registry([Plugin("test", "test", "0", tuple(found))]), ("gender", "race", "age"), ("face",))


def photo(n, subject="", years=None, **labels):
    return Record(Path(f"{n}.jpg"), f"{n}.jpg", subject, "test", labels, years)


@pytest.fixture
def truth():
    rng = np.random.default_rng(0)
    races = ("white", "black", "asian")
    return Truth.of(
        [
            photo(
                n, f"p{n // 2}", float(rng.integers(15, 80)), gender=("male", "female")[n // 2 % 2], race=races[n % 3]
            )
            for n in range(120)
        ]
    )


def predictions(truth, seed):
    rng = np.random.default_rng(seed)

    def guess(attribute, classes):
        p = rng.random((120, classes)) + 2 * np.eye(classes)[truth.classes[attribute]]
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    people = np.unique(truth.subjects, return_inverse=True)[1]
    return {
        "seen": np.ones(120, bool),
        "gender": guess("gender", 2),
        "race": guess("race", 4),
        "age": (truth.years + rng.normal(0, 5, 120)).astype(np.float32),
        "face": (np.eye(60)[people] + rng.normal(0, 0.1, (120, 60))).astype(np.float32),
    }


def test_labels_become_indices_and_what_is_unknown_stays_unknown():
    truth = Truth.of([photo(1, gender="female", age="old"), photo(2, years=20.0, race="indian")])
    assert truth.subjects.tolist() == ["file/1.jpg", "file/2.jpg"] and not truth.named
    some = Truth.of([photo(1, "Ann"), photo(2, "Ann"), photo(3)])
    assert some.subjects.tolist() == ["Ann", "Ann", "file/3.jpg"] and not some.named
    assert truth.classes["gender"].tolist() == [1, -1] and truth.classes["race"].tolist() == [-1, 3]
    assert truth.knows("gender") and truth.knows("race") and truth.knows("age")
    named = Truth.of([photo(1, "Ann", gender="female", age="old")])
    assert named.named and named.subjects.tolist() == ["Ann"]
    # Age is measured in years; a group alone does not do.
    assert not named.knows("age") and not named.knows("race")


def test_a_set_is_shown_to_the_judges_that_it_can_measure(judges, truth):
    assert fitting(truth, judges) == judges
    nameless = fitting(Truth.of([photo(1, gender="male"), photo(2, gender="female")]), judges)
    assert nameless.estimators == ("gender",) and nameless.matchers == ()


def test_figures_are_those_of_the_protocol(judges, truth):
    before, after = predictions(truth, 1), predictions(truth, 2)
    found = Examiner(truth, before, judges, fmr=0.01, replicates=30)()((after, "old"))
    options = {"replicates": 30}
    people = truth.subjects
    female = truth.classes["gender"] == 1
    gender = binary_figures(before["gender"][:, 1], after["gender"][:, 1], female, people, **options)
    assert found["gender"]["gender"] == gender
    race = race_figures(before["race"], after["race"], truth.classes["race"], people, **options)
    assert found["race"]["race"] == race
    age = age_figures(before["age"], after["age"], truth.years, people, target="old", **options)
    assert found["age"]["age"] == age and "shift" in age
    faces = matching_figures(before["face"], after["face"], people.tolist(), Face().score_all, fmr=0.01, **options)
    assert found["matching"]["face"] == faces


def test_too_few_photos_are_said_and_nobody_counts_on_them(judges, truth):
    before = predictions(truth, 1)
    found = Examiner(truth, before, judges, replicates=30)()((before, ""))
    assert "too few" in found["matching"]["face"]["refused"]
    only_men = replace(truth, classes={**truth.classes, "gender": np.zeros(120, np.int64)})
    found = Examiner(only_men, before, judges, fmr=0.01, replicates=30)()((before, ""))
    said = strength(found)
    assert not said["gender"]["counts"] and "no positive" in said["gender"]["note"]
    assert said["race"]["counts"] and said["age"]["counts"] and said["age"]["note"] == ""


def test_an_estimator_that_errs_on_originals_does_not_count_however_it_does_afterwards(judges, truth):
    before, after = predictions(truth, 1), predictions(truth, 2)
    before["gender"][::3] = np.nan
    found = Examiner(truth, before, judges, fmr=0.01, replicates=30)()((after, ""))
    said = strength(found)["gender"]
    assert not said["counts"] and said["on_originals"].value > 0.08 and "errs" in said["note"]
