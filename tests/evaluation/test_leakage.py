"""What a matcher's embedding gives away: the floor on the originals, and what is left on protected photos."""

import numpy as np
import pytest

from facepriv.attacks.cross_fit import cross_fit
from facepriv.attacks.embedding import Neighbours, Probe
from facepriv.contracts import FaceMatcher, Tools
from facepriv.evaluation.attributes import Resampling
from facepriv.evaluation.leakage import FIGURES, Leakage
from facepriv.evaluation.truth import Truth
from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.logistic import fit_logistic

PHOTOS = 160


class Cosine(FaceMatcher):
    """Never runs: the descriptors are made by the tests."""

    trained_on = "nothing"

    def embed(self, images):
        """Return nothing."""
        raise NotImplementedError


@pytest.fixture
def truth():
    people = np.repeat([f"p{n}" for n in range(PHOTOS // 2)], 2)
    gender = np.repeat(np.arange(PHOTOS // 2) % 2, 2).astype(np.int64)
    years = np.full(PHOTOS, np.nan)
    years[:4] = 9  # children are in no figure of an attribute
    unknown = np.full(PHOTOS, -1, np.int64)
    return Truth(people, True, {"gender": gender, "race": unknown, "age": unknown}, years)


def described(truth, tell, seed=0):
    x = np.random.default_rng(seed).normal(0, 1, (PHOTOS, 16)).astype(np.float32)
    x[:, 0] += tell * truth.classes["gender"]
    return x


def rows(truth, before, after):
    how = Resampling(truth.subjects, {"replicates": 40})
    return {row.figure: row for row in Leakage("cosine", Cosine(), before, truth, how).rows(after)}


def test_the_floor_is_on_the_originals_and_what_is_left_on_the_protected(truth):
    found = rows(truth, described(truth, 6.0), described(truth, 0.0, 1))
    assert tuple(found) == FIGURES and all(row.evaluator == "cosine" for row in found.values())
    for row in found.values():
        assert row.before.value < 10 and 30 < row.after.value < 70
        assert row.after.low < row.after.value < row.after.high and row.change.value > 20
    assert found["gender_probe"].words == "gender EER of a linear probe of the matcher's embedding"


def test_a_face_without_a_descriptor_is_an_error(truth):
    before = described(truth, 20.0)
    after = before.copy()
    after[10:26] = np.nan
    assert rows(truth, before, after)["gender_probe"].change.value == pytest.approx(10.3, abs=1.5)


def test_it_is_what_the_attacks_answer(truth):
    x = described(truth, 1.5)
    truth.years[:] = np.nan
    tools = Tools("gender", None, {}, {"cosine": Cosine()}, {}, fit_logistic)
    notes = {"cosine": x, "seen": np.ones(PHOTOS, bool)}
    found = rows(truth, x, x)
    for attack, model, figure in ((Neighbours(), "cosine", FIGURES[0]), (Probe(), "cosine, linear", FIGURES[1])):
        said = cross_fit(attack, tools, None, notes, truth, "gender")[model].protected[:, 1]
        assert found[figure].after.value == pytest.approx(100 * binary_eer(said, truth.classes["gender"] == 1)[0])


def test_too_few_faces_are_a_reason_and_no_label_is_no_row(truth):
    truth.classes["gender"][8:] = -1
    found = rows(truth, described(truth, 1.0), described(truth, 1.0))
    assert all("too few faces to learn gender from" in row.note and row.after is None for row in found.values())
    truth.classes["gender"][:] = -1
    assert rows(truth, described(truth, 1.0), described(truth, 1.0)) == {}
