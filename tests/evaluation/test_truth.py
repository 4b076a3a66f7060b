"""Labels of photos become arrays; what a set does not name is not asked of it."""

from pathlib import Path

import pytest

from facepriv.datasets.record import Record
from facepriv.evaluation.judges import fitting
from facepriv.evaluation.truth import Truth


@pytest.fixture
def judges(made_up_judges):
    return made_up_judges({"gender": "gender", "race": "race", "age": "age"}, "face")


def photo(n, subject="", years=None, **labels):
    return Record(Path(f"{n}.jpg"), f"{n}.jpg", subject, "test", labels, years)


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


def test_a_set_is_shown_to_the_judges_that_it_can_measure(judges):
    everything = Truth.of([photo(n, f"p{n}", 20.0 + n, gender="male", race="white") for n in range(4)])
    assert fitting(judges, everything) == (judges, {})
    nameless, left_out = fitting(judges, Truth.of([photo(1, gender="male"), photo(2, gender="female")]))
    assert nameless.estimators == ("gender",) and nameless.matchers == () and left_out.keys() == {"race", "age", "face"}
