"""Prototypes: averages of enough people, each person once, and the ones that a face is shown."""

import numpy as np
import pytest
from click.testing import CliRunner
from facepriv_san import prototypes
from facepriv_san.family import PUBLISHED, prototypes_path
from facepriv_san.prototypes import FEWEST, SIZE, Prototypes, average, nearest

from facepriv.cli import main
from facepriv.contracts import STANDARD
from facepriv.datasets.pack import Pack
from facepriv.errors import DataError
from facepriv.weights import Provenance


def pack(rows):
    """A pack of even pictures; `rows` of (grey value, subject, gender, age group, race, years)."""
    values, subjects, genders, ages, races, years = (np.array(column) for column in zip(*rows, strict=True))
    crops = np.broadcast_to(values[:, None, None, None], (len(rows), 128, 128, 3)).astype(np.uint8)
    names = np.array([f"{n}.jpg" for n in range(len(rows))])
    columns = {"name": names, "subject": subjects, "gender": genders, "age": ages, "race": races, "years": years}
    return Pack(crops, {**columns, "part": np.array(["train"] * len(rows)), "set": np.array(["made"] * len(rows))})


def people(count, value, gender, age="", race="", years=""):
    return [(value, "", gender, age, race, years) for _ in range(count)]


def test_an_average_counts_every_person_once():
    busy = [(200, "busy", "male", "", "", "")] * 70
    found = average(pack([*busy, *people(FEWEST, 100, "male"), *people(FEWEST, 50, "female")]))
    assert found.people[("male",)] == FEWEST + 1
    assert found.images[("male",)].shape == (SIZE, SIZE, 3)
    expected = round((200 + 100 * FEWEST) / (FEWEST + 1))
    assert (found.images[("male",)] == expected).all() and (found.images[("female",)] == 50).all()


def test_groups_that_are_too_small_have_no_average_and_a_coarser_one_stands_in():
    found = average(
        pack(
            [
                *people(FEWEST, 10, "male", "old", "black"),
                *people(FEWEST - 1, 20, "male", "young", "black"),
                *people(FEWEST, 30, "female"),
            ]
        )
    )
    assert found.finest("male", "old", "black") == ("male", "old", "black")
    assert found.finest("male", "young", "black") == ("male", "black")
    assert found.finest("male", "young", "white") == ("male",)
    assert found.finest("female", "old", "black") == ("female",)
    assert min(found.people.values()) >= FEWEST


def test_too_few_people_of_a_gender_is_an_error():
    with pytest.raises(DataError, match="fewer than 50 people labelled female"):
        average(pack([*people(FEWEST, 10, "male"), *people(FEWEST - 1, 10, "female")]))


def test_children_and_other_parts_are_left_out():
    made = pack([*people(FEWEST, 10, "male"), *people(9, 99, "male", "young", "", "7"), *people(FEWEST, 30, "female")])
    assert (average(made).images[("male",)] == 10).all()
    made.columns["part"][:5] = "validation"
    with pytest.raises(DataError, match="labelled male"):
        average(made)


def test_neutral_is_the_mean_by_how_common_the_genders_are():
    def even(value):
        return np.full((SIZE, SIZE, 3), value, np.uint8)

    made = Prototypes({("male",): even(0), ("female",): even(200)}, {("male",): 100, ("female",): 300})
    one, diverse = made.sets(diverse=False), made.sets(diverse=True)
    assert one.shape == (1, 3, SIZE, SIZE, 3) and diverse.shape == (12, 3, SIZE, SIZE, 3)
    np.testing.assert_allclose(one[0, 2], 150 / 255, atol=1e-6)


def test_a_face_is_shown_the_set_whose_prototype_of_its_gender_is_most_like_it(averages):
    sets = averages.sets(diverse=True)
    assert nearest(sets[:, 0], np.zeros(12, np.int64), sets[:, :]).tolist() == first_alike(sets[:, 0])
    assert nearest(sets[:, 1], np.ones(12, np.int64), sets).tolist() == first_alike(sets[:, 1])
    assert nearest(sets[:5, 1], np.ones(5, np.int64), averages.sets(diverse=False)).tolist() == [0] * 5


def first_alike(images):
    """The first of equal images, for each: where a group is too small, sets share a coarser one."""
    return [next(k for k, other in enumerate(images) if np.array_equal(image, other)) for image in images]


def test_a_file_of_prototypes_comes_back(tmp_path, averages):
    path = tmp_path / "again.safetensors"
    prototypes.save(path, averages, Provenance("a", "b", "c"))
    again = prototypes.load(path)
    assert again.people == averages.people
    assert all(np.array_equal(again.images[group], image) for group, image in averages.images.items())
    assert again.frame == STANDARD


@pytest.mark.parametrize("frame", [STANDARD, PUBLISHED])
def test_what_is_shipped_shows_nobody_and_is_small(frame):
    path = prototypes_path(frame)
    shipped = prototypes.load(path)
    assert shipped.frame == frame and path.stat().st_size < 600_000
    assert {("male",), ("female",)} <= set(shipped.images) and len(shipped.images) > 15
    assert set(shipped.images) == set(shipped.people) and min(shipped.people.values()) >= 50
    # An average of many has no texture: neighbouring pixels are alike.
    for image in shipped.images.values():
        assert np.abs(np.diff(image.astype(float), axis=0)).mean() < 8


def test_the_command_says_what_it_needs(tmp_path):
    result = CliRunner().invoke(main, ["train", "san-prototypes", str(tmp_path / "none"), "-o", str(tmp_path)])
    assert result.exit_code != 0 and "no training pack" in result.stderr
