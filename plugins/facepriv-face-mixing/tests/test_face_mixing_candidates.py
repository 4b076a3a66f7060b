"""Which face is mixed in: classes first, then shape, tone, the mean, or chance."""

import numpy as np
import pytest
from facepriv_face_mixing import candidates
from facepriv_face_mixing.gallery import Gallery, load, save, shipped
from facepriv_face_mixing.mixing import mean_colour

from facepriv.errors import DataError

MALE, FEMALE = 0, 1
WHITE, BLACK, ASIAN = 0, 1, 2
YOUNG, OLD = 0, 2


@pytest.fixture(scope="module")
def made(mixing_faces):
    """Five faces made of one: two men, two women and a woman of any race and age; each of its own shape and tone."""
    image, points = mixing_faces["astronaut"]
    shape = (points + 0.5) / image.shape[0]
    wide = [0.9, 1.0, 1.1, 0.95, 1.05]
    tones = [1.0, 0.5, 0.8, 0.6, 0.9]
    return Gallery(
        np.stack([np.rint(image * tone * 255).astype(np.uint8) for tone in tones]),
        np.stack([0.5 + (shape - 0.5) * (w, 1) for w in wide]).astype(np.float32),
        {
            "gender": np.array([MALE, MALE, FEMALE, FEMALE, FEMALE]),
            "race": np.array([WHITE, BLACK, WHITE, BLACK, -1]),
            "age": np.array([YOUNG, YOUNG, OLD, YOUNG, -1]),
        },
        np.array([1, 3, 1, 1, 2]),
    )


def face(gender=-1, race=-1, age=-1):
    return {"gender": gender, "race": race, "age": age}


@pytest.mark.parametrize(
    "own, wanted, expected",
    [
        (face(MALE, WHITE, OLD), face(FEMALE, WHITE, OLD), [2, 3, 4]),
        (face(MALE, WHITE, OLD), face(MALE, BLACK, OLD), [1]),
        (face(), face(FEMALE), [2, 3, 4]),
        (face(), face(), [0, 1, 2, 3, 4]),
        (face(FEMALE, BLACK, YOUNG), face(FEMALE, BLACK, OLD), [2]),
        (face(MALE, WHITE, OLD), face(FEMALE, BLACK, OLD), [3]),
        (face(MALE, WHITE, OLD), face(FEMALE, ASIAN, OLD), [4]),  # nearest to it: a woman of all races
    ],
)
def test_classes_that_change_must_be_had_and_gender_always(made, own, wanted, expected):
    assert candidates.matching(made, own, wanted).tolist() == expected


@pytest.mark.parametrize(
    "own, wanted, named",
    [
        (face(FEMALE, WHITE, YOUNG), face(MALE, WHITE, OLD), "gender male, age old"),
        (face(FEMALE, WHITE, YOUNG), face(FEMALE, WHITE, 1), "gender female, age middle"),
    ],
)
def test_a_class_that_nobody_has_is_an_error_that_names_it(made, own, wanted, named):
    with pytest.raises(DataError, match=named):
        candidates.matching(made, own, wanted)


@pytest.mark.parametrize(
    "wanted, expected",
    [
        (face(FEMALE, WHITE, OLD), [2]),
        (face(FEMALE, BLACK, OLD), [3]),  # race before age
        (face(FEMALE, 2, 1), [4]),  # who stands for all is nearer than who is another
        (face(FEMALE), [2, 3, 4]),
    ],
)
def test_kept_classes_are_kept_where_the_gallery_can(made, wanted, expected):
    assert candidates.closest(made, np.array([2, 3, 4]), wanted).tolist() == expected


def test_nearest_shape_is_the_one_with_these_landmarks(made):
    found = np.arange(5)
    for n in found:
        assert candidates.nearest_shape(made, found, made.points[n] + 0.001) == n


def test_nearest_tone_is_the_one_with_this_colour(made, mixing_faces):
    image, points = mixing_faces["astronaut"]
    for n, tone in enumerate([1.0, 0.5, 0.8, 0.6, 0.9]):
        # Each face's landmarks lie a little elsewhere, hence not quite the same mean.
        assert candidates.nearest_tone(made, np.arange(5), (image * tone).astype(np.float32), points) == n


def test_prototype_is_the_mean_by_people(made):
    image, points = candidates.prototype(made, np.array([0, 1]))
    np.testing.assert_allclose(points, 0.25 * made.points[0] + 0.75 * made.points[1], atol=1e-6)
    colour = mean_colour(image, made.in_window(points))
    expected = 0.25 * made.tones[0] + 0.75 * made.tones[1]
    np.testing.assert_allclose(colour, expected, atol=0.02)


def test_a_gallery_is_the_same_when_read_again(made, tmp_path):
    from facepriv.weights import Provenance

    path = tmp_path / "made.safetensors"
    save(path, made, Provenance("the test", "the test", "2026-01-01"))
    again = load(path)
    np.testing.assert_array_equal(again.images, made.images)
    np.testing.assert_array_equal(again.points, made.points)
    assert {k: v.tolist() for k, v in again.labels.items()} == {k: v.tolist() for k, v in made.labels.items()}
    assert again.window == made.window


def test_positions_in_a_window_are_those_of_the_crop():
    averages = load(shipped())
    start, stop = averages.window
    middle = averages.in_window(np.array([(start + stop) / 2] * 2))
    np.testing.assert_allclose(middle, (averages.images.shape[1] - 1) / 2)
