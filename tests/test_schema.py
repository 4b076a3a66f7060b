import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepriv.errors import UsageError
from facepriv.schema import AGE, ATTRIBUTES, GENDER, RACE, RACE_PAIRS, Attribute, attribute, nearest, selections


def test_age_groups_are_the_papers_and_their_upper_edges_inclusive():
    years = [0, 30, 30.01, 31, 45, 45.01, 46, 116]
    names = [AGE.classes[i] for i in AGE.bin(np.array(years))]
    assert names == ["young", "young", "middle", "middle", "middle", "old", "old", "old"]


def test_an_unknown_age_is_an_unknown_group():
    index = AGE.bin(np.array([np.nan, 20.0]))
    assert index.tolist() == [-1, 0]
    assert index.dtype == np.int64


@given(st.lists(st.floats(allow_nan=False), max_size=20))
def test_binning_is_monotone_and_gives_known_classes(years):
    index = AGE.bin(np.sort(np.array(years, dtype=float)))
    assert (np.diff(index) >= 0).all()
    assert ((index >= 0) & (index < len(AGE.classes))).all()


@pytest.mark.parametrize("spec", ATTRIBUTES.values(), ids=lambda spec: spec.name)
def test_index_is_the_place_among_the_classes(spec):
    assert [spec.index(name) for name in spec.classes] == list(range(len(spec.classes)))


def test_an_unknown_class_names_it_and_the_known_ones():
    with pytest.raises(UsageError, match="unknown gender class 'women': one of male, female"):
        GENDER.index("women")


def test_an_unknown_attribute_names_the_nearest_and_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown attribute 'gendre' \(did you mean 'gender'\?\): known are gender"):
        attribute("gendre")
    with pytest.raises(UsageError, match="unknown attribute 'hat': known are hat colour"):
        attribute("hat", {"hat colour": Attribute("hat colour", ("red",))})


def test_nothing_near_gives_no_hint():
    assert nearest("xyzzy", ATTRIBUTES) == ""


def test_thresholds_are_one_fewer_than_the_classes_of_an_ordered_attribute():
    assert len(AGE.thresholds) == len(AGE.classes) - 1
    assert not GENDER.thresholds and not RACE.thresholds


def test_race_pairs_turn_every_class_into_another_and_back():
    assert set(RACE_PAIRS) == set(RACE.classes)
    for own, other in RACE_PAIRS.items():
        assert other != own
        assert RACE_PAIRS[other] == own


def test_selections_are_all_non_empty_sets_smallest_first():
    found = selections()
    assert found[:3] == [("gender",), ("race",), ("age",)]
    assert found[-1] == ("gender", "race", "age")
    assert len(found) == len(set(found)) == 7


def test_the_papers_fifteen_outputs_come_from_the_selections():
    # Binary gender and race give one other class each, age gives any of three: (2 x 2 x 4) - 1.
    choices = {"gender": 1, "race": 1, "age": 3}
    assert sum(int(np.prod([choices[name] for name in chosen])) for chosen in selections()) == 15
