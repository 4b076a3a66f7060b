"""Where a model gives no number for a face, it gives none at all for that face, and the face is counted."""

import numpy as np
import pytest

from facepriv.attacks.base import evidence
from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.evaluation.answers import judged, not_taken

FACES = np.zeros((3, 8, 8, 3), dtype=np.float32)


class Fixed(FaceMatcher):
    """Gives what it was built with."""

    def __init__(self, said):
        self.said = np.array(said, dtype=np.float32)

    def embed(self, images):
        """Return it."""
        return self.said


class FixedGuess(AttributeEstimator):
    """Gives what it was built with."""

    attribute = "gender"

    def __init__(self, said):
        self.said = np.array(said, dtype=np.float32)

    def predict(self, images):
        """Return it."""
        return self.said


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_no_number_makes_the_whole_answer_none(bad):
    said = judged(Fixed([[1, 2], [bad, 3], [4, 5]]), FACES)
    assert np.array_equal(said, [[1, 2], [np.nan, np.nan], [4, 5]], equal_nan=True)
    said = judged(FixedGuess([[0.5, 0.5], [bad, 0], [1, 0]]), FACES)
    assert np.array_equal(said, [[0.5, 0.5], [np.nan, np.nan], [1, 0]], equal_nan=True)
    assert np.array_equal(judged(FixedGuess([30, bad, 40]), FACES), [30, np.nan, 40], equal_nan=True)


def test_answers_that_are_numbers_are_what_the_model_gave():
    model = Fixed([[1, 2], [0, 3], [4, 5]])
    assert judged(model, FACES) is model.said


def test_faces_that_a_model_could_not_take_are_counted_and_the_first_is_named():
    predictions = {
        "seen": np.array([True, False, True, True]),
        "good": np.array([[1.0], [np.nan], [1.0], [1.0]]),
        "bad": np.array([[1.0], [np.nan], [np.nan], [np.nan]]),
        "years": np.array([np.nan, np.nan, 3, 4]),
    }
    assert not_taken(predictions, ["a", "b", "c", "d"], "originals") == {
        "bad": "gave NaN or infinity for 2 of 3 originals, first c",
        "years": "gave NaN or infinity for 1 of 3 originals, first a",
    }


def test_an_adversary_is_given_numbers_alone():
    said = evidence(FACES, {"guess": FixedGuess([[0.5, 0.5], [np.nan, 0], [np.inf, 0]])})
    assert said.shape == (3, 1) and np.array_equal(said[1:], np.zeros((2, 1)))
