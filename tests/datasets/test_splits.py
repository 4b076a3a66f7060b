"""The split: disjoint, stratified, the same for ever and in any order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepriv.datasets.splits import TEST, VALIDATION, by_file, by_subject, halves

names = st.lists(st.text("abcdefgh0123456789", min_size=1, max_size=6), min_size=1, max_size=60)


@given(names)
def test_all_photos_of_a_subject_fall_into_one_part(subjects):
    parts = by_subject(subjects)
    assert len(set(zip(subjects, parts.tolist(), strict=True))) == len(set(subjects))


@given(names, st.randoms())
def test_no_split_depends_on_the_order_of_reading(subjects, random):
    shuffled = list(subjects)
    random.shuffle(shuffled)
    assert dict(zip(subjects, by_subject(subjects), strict=True)) == dict(
        zip(shuffled, by_subject(shuffled), strict=True)
    )
    unique, mixed = sorted(set(subjects)), sorted(set(subjects), key=lambda _: random.random())
    strata = {name: (len(name),) for name in unique}
    assert dict(zip(unique, by_file(unique, [strata[n] for n in unique]), strict=True)) == dict(
        zip(mixed, by_file(mixed, [strata[n] for n in mixed]), strict=True)
    )


@pytest.mark.parametrize("split", [by_subject, lambda units: by_file(units, [()] * len(units))])
def test_the_shares_are_fifteen_test_ten_validation_the_rest_train(split):
    parts = Counter(split([f"unit {i}" for i in range(4000)]).tolist())
    assert parts[TEST] / 4000 == pytest.approx(0.15, abs=0.02)
    assert parts[VALIDATION] / 4000 == pytest.approx(0.10, abs=0.02)
    assert sum(parts.values()) == 4000


def test_every_stratum_is_divided_alike_and_a_named_one_by_its_own_share():
    units = [f"file {i}" for i in range(900)]
    strata = [(i % 3,) for i in range(900)]
    parts = by_file(units, strata, test_share={(2,): 1 / 3})
    for stratum, test in (((0,), 45), ((1,), 45), ((2,), 100)):
        inside = Counter(part for part, own in zip(parts.tolist(), strata, strict=True) if own == stratum)
        assert (inside[TEST], inside[VALIDATION]) == (test, 30)


def test_the_split_never_changes():
    # Models were trained on this split: a change here would put their training photos into the test part.
    subjects = [f"celeba/{i}" for i in range(40)]
    assert "".join(str(part)[1] for part in by_subject(subjects)) == SUBJECTS
    files = [f"{i}_0_0_{i}.jpg" for i in range(40)]
    assert "".join(str(part)[1] for part in by_file(files, [(i % 2,) for i in range(40)])) == FILES
    assert "".join(halves(subjects).tolist()) == HALVES


def test_halves_are_disjoint_and_about_equal():
    units = [f"celeba/{i}" for i in range(2000)]
    drawn = halves(units)
    assert set(drawn) == {"a", "b"}
    assert np.mean(drawn == "a") == pytest.approx(0.5, abs=0.04)
    assert np.array_equal(halves(units + units), np.r_[drawn, drawn])


def test_halves_and_parts_are_drawn_independently():
    units = [f"celeba/{i}" for i in range(8000)]
    in_test = by_subject(units) == TEST
    assert np.mean(halves(units)[in_test] == "a") == pytest.approx(0.5, abs=0.05)


# The second letter of each part: e(st), a(lidation), r(ain).
SUBJECTS = "eaeerrarearrrrrearrrrrrrrrrrrrrrrrrrrrrr"
FILES = "rrerrerrrrrerrrrrrarrarrrrerrarrrreerrar"
HALVES = "aababaabaaabbbaaababbbababaabbababaababb"
