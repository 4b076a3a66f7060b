"""Averages of a pack: of enough adults, one photo each, in their mean shape."""

import numpy as np
import pytest
from facepriv_face_mixing import making
from facepriv_face_mixing.mixing import mean_colour

from facepriv.contracts import resize_images
from facepriv.datasets.pack import Pack
from facepriv.errors import DataError
from facepriv.schema import ATTRIBUTES

SIDE = 112


@pytest.fixture(scope="module")
def pack(mixing_faces):
    """Sixty women, the astronaut in sixty tones; twenty men; a second photo of the first woman; a child."""
    two = resize_images(np.stack([mixing_faces[name][0] for name in ("astronaut", "hopper")]), SIDE).clip(0, 1)
    tones = np.linspace(0.6, 1.0, 60, dtype=np.float32)
    crops = [two[0] * tone for tone in tones] + [two[1]] * 20 + [two[1], two[1]]
    count = len(crops)
    columns = {
        "set": ["made"] * count,
        "name": [f"{n}.jpg" for n in range(count)],
        "subject": [f"s{n}" for n in range(60)] + [""] * 20 + ["s0", ""],
        "part": ["train"] * count,
        "half": ["a"] * count,
        "years": ["30"] * 80 + ["30", "4"],
        "gender": ["female"] * 60 + ["male"] * 20 + ["female", "female"],
        "race": ["white"] * count,
        "age": ["young"] * count,
    }
    pixels = np.rint(np.stack(crops) * 255).astype(np.uint8)
    return Pack(pixels, {name: np.array(values) for name, values in columns.items()})


@pytest.fixture(scope="module")
def averages(pack):
    return making.average(pack, size=48)


def test_only_groups_of_enough_people_have_an_average(averages):
    female, white, young = (
        ATTRIBUTES[a].index(c) for a, c in (("gender", "female"), ("race", "white"), ("age", "young"))
    )
    held = {tuple(int(averages.labels[a][n]) for a in ("gender", "race", "age")) for n in range(len(averages))}
    assert held == {(female, -1, -1), (female, white, -1), (female, -1, young), (female, white, young)}
    assert (averages.people == 60).all()  # neither the second photo of the first woman nor the child


def test_the_average_has_the_mean_tone_and_shape(averages, mixing_faces):
    image, points = mixing_faces["astronaut"]
    shape = (points + 0.5) / image.shape[0]
    assert np.linalg.norm(averages.points[0] - shape, axis=1).mean() < 0.01
    np.testing.assert_allclose(averages.tones[0], 0.8 * mean_colour(image, points), atol=0.02)


def test_the_average_of_one_face_is_that_face(averages, mixing_faces):
    image, _ = mixing_faces["astronaut"]
    start, stop = (round(edge * image.shape[0]) for edge in making.WINDOW)
    face = resize_images(image[None, start:stop, start:stop], 48)[0] * 0.8
    assert np.abs(averages.picture(0) - face)[8:-8, 8:-8].mean() < 0.02


def test_progress_ends_when_all_is_done(pack):
    told = []
    making.average(pack, most=55, size=32, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_fewer_people_than_hide_one_another_are_refused(pack):
    with pytest.raises(DataError, match="at least 50"):
        making.average(pack, people=20)


def test_pack_without_a_large_group_is_an_error(pack):
    small = Pack(pack.crops[:40], {name: values[:40] for name, values in pack.columns.items()})
    with pytest.raises(DataError, match="no group"):
        making.average(small)
