"""The method as it is installed: the conformance kit, and what its averages do to a real face."""

import numpy as np
import pytest
from facepriv_face_mixing import gallery
from facepriv_face_mixing.making import FEWEST_PEOPLE
from facepriv_face_mixing.mixing import mean_colour

from facepriv.contracts import FaceBatch
from facepriv.errors import UsageError
from facepriv.registry import registry
from facepriv.schema import ATTRIBUTES
from facepriv.testing import checks
from facepriv.testing.perturbers import batch_equals_single, stochastic_as_declared


@pytest.mark.parametrize("check", checks("face-mixing"), ids=str)
def test_conforms(check):
    check()


@pytest.mark.parametrize("candidate", ["random", "shape", "tone"])
def test_only_a_drawn_candidate_depends_on_chance(candidate):
    stochastic_as_declared(lambda: registry().create("method", "face-mixing", candidate=candidate))


def test_a_drawn_candidate_depends_on_its_own_face_only():
    batch_equals_single(lambda: registry().create("method", "face-mixing", candidate="random"))


def labels(**classes):
    given = {"gender": "female", "race": "white", "age": "young", **classes}
    return {name: np.array([spec.index(given[name])]) for name, spec in ATTRIBUTES.items()}


def mixed(face, strength=1.0, *, options=None, **classes):
    image, points = face
    method = registry().create("method", "face-mixing", **(options or {}))
    batch = FaceBatch(image[None], points[None].astype(np.float32), labels())
    rngs = [np.random.default_rng(0)]
    return method.perturb(batch, labels(), labels(**classes), strength=strength, rngs=rngs)[0]


def test_models_that_took_no_part_are_less_sure_of_the_gender_and_know_the_person(mixing_faces, p_female, match):
    face = mixing_faces["astronaut"]
    before, after = face[0][None], mixed(face, gender="male")[None]
    assert p_female(before) > 0.9
    assert p_female(after) < p_female(before) - 0.2
    assert match(before, after) > 0.5


def test_more_strength_changes_more(mixing_faces):
    face = mixing_faces["astronaut"]
    change = [np.abs(mixed(face, strength, gender="male") - face[0]).mean() for strength in (0.0, 0.3, 0.6, 1.0)]
    assert change[0] == 0
    assert (np.diff(change) > 0.001).all()


def test_the_tone_of_the_skin_stays(mixing_faces):
    face = mixing_faces["astronaut"]
    own, kept, let = (
        mean_colour(image, face[1])
        for image in (face[0], mixed(face, gender="male"), mixed(face, gender="male", options={"match_tone": False}))
    )
    assert np.abs(kept - own).max() < 0.04
    assert np.abs(kept - own).max() < 0.6 * np.abs(let - own).max()


def test_race_and_age_are_not_declared_and_so_refused(mixing_faces):
    for name, wanted in (("race", "black"), ("age", "old")):
        with pytest.raises(UsageError, match=f"cannot change '{name}'"):
            mixed(mixing_faces["astronaut"], **{name: wanted})


@pytest.mark.parametrize("wrong", [{"shape": 1.5}, {"texture": -0.1}, {"candidate": "best"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        registry().create("method", "face-mixing", **wrong)


def test_every_shipped_picture_is_an_average_of_many_people():
    averages = gallery.load(gallery.shipped())
    assert averages.people.min() >= FEWEST_PEOPLE
    assert gallery.shipped().stat().st_size < 700_000


@pytest.mark.parametrize("name", ["race", "age"])
def test_the_shipped_gallery_has_every_class_of_each_gender(name):
    averages = gallery.load(gallery.shipped())
    held = set(zip(averages.labels["gender"].tolist(), averages.labels[name].tolist(), strict=True))
    assert {(g, c) for g in (0, 1) for c in range(len(ATTRIBUTES[name].classes))} <= held


def test_shipped_landmarks_lie_on_their_faces(mixing_faces):
    averages = gallery.load(gallery.shipped())
    jaw = averages.points[:, 16] - averages.points[:, 0]
    assert ((jaw[:, 0] > 0.4) & (jaw[:, 0] < 0.65) & (np.abs(jaw[:, 1]) < 0.03)).all()
    assert (np.abs(averages.points - mixing_faces["astronaut"][1] / 192).max(axis=(1, 2)) < 0.15).all()
