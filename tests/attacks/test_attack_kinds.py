"""What each attack notes of a face, and what it recovers where there is something to recover."""

from dataclasses import replace

import numpy as np
import pytest

from facepriv.attacks import inversion
from facepriv.attacks.change import Change
from facepriv.attacks.cross_fit import cross_fit
from facepriv.attacks.detector import Detector
from facepriv.attacks.embedding import Neighbours, Probe
from facepriv.attacks.evidence import evidence, log_odds
from facepriv.attacks.inversion import Inversion
from facepriv.attacks.mismatch import Mismatch
from facepriv.attacks.purify import Purify
from facepriv.attacks.restoration import Restoration
from facepriv.attacks.retrained import Retrained
from facepriv.contracts import Frame, Known, flat, taken
from facepriv.errors import PluginError, UsageError
from facepriv.evaluation.truth import Truth
from facepriv.metrics.attributes import binary_curve, binary_eer


def truth_of(classes, people):
    unknown = np.full(len(classes), -1, np.int64)
    labels = {"gender": classes, "race": unknown, "age": unknown}
    return Truth(people, True, labels, np.full(len(classes), np.nan))


def eer(attack, tools, images, protected, classes, people, model=""):
    before = {**attack.observe(images, tools), "seen": np.ones(len(images), bool)}
    after = {**attack.observe(protected, tools), "seen": np.ones(len(images), bool)}
    known = before if attack.needs_originals else None
    said = cross_fit(attack, tools, known, after, truth_of(classes, people), "gender")[model]
    if said.original is not None:
        scores = np.concatenate([said.original, said.protected])
        return float(binary_eer(scores, np.repeat([False, True], len(images)))[0])
    return float(binary_eer(said.protected[:, 1], classes == 1)[0])


def naive(tools, images, classes):
    return float(binary_eer(tools.estimators["stripes"].predict(images)[:, 1], classes == 1)[0])


ATTRIBUTE_ATTACKS = [Restoration(), Inversion(), Retrained(epochs=0), Purify(steps=2)]


@pytest.mark.parametrize("attack", ATTRIBUTE_ATTACKS, ids=lambda a: type(a).__name__)
def test_where_nothing_was_done_an_attack_tells_what_the_classifier_tells(attack, tools, striped):
    images, classes, people = striped(80)
    assert abs(eer(attack, tools, images, images, classes, people) - naive(tools, images, classes)) <= 0.01


@pytest.mark.parametrize("attack", ATTRIBUTE_ATTACKS, ids=lambda a: type(a).__name__)
def test_a_flip_is_turned_round(attack, tools, striped):
    images, classes, people = striped(80)
    flipped = images.transpose(0, 2, 1, 3).copy()
    assert naive(tools, flipped, classes) > 0.9
    assert eer(attack, tools, images, flipped, classes, people) <= 0.02


def test_faces_are_noted_one_by_one(tools, striped):
    images, *_ = striped(6)
    for attack in (*ATTRIBUTE_ATTACKS, Detector(), Mismatch(), Change(), Neighbours(), Probe()):
        together = attack.observe(images, tools)
        alone = [attack.observe(images[n : n + 1], tools) for n in range(6)]
        for name, rows in together.items():
            assert np.array_equal(rows, np.concatenate([notes[name] for notes in alone])), (attack, name)


def test_the_generator_is_asked_for_every_class_and_from_another(tools, striped):
    images, *_ = striped(4)
    notes = Inversion().observe(images, tools)
    assert type(tools.method).asked == (([1] * 4, [0] * 4), ([0] * 4, [1] * 4))
    # It has least to do where the face shows the class already.
    own = tools.estimators["stripes"].predict(images).argmax(axis=1)
    change = np.concatenate([notes["change towards 0"], notes["change towards 1"]], axis=1)
    assert (change.argmin(axis=1) == own).all()


def test_a_generator_that_fails_is_said_in_one_line(tools, striped, monkeypatch):
    monkeypatch.setattr(type(tools.method), "_perturb", lambda *_: 1 / 0)
    with pytest.raises(PluginError, match="inversion: the method failed on a protected face: ZeroDivisionError"):
        Inversion().observe(striped(2)[0], tools)


def test_a_method_of_another_frame_gets_its_frame_and_its_result_is_judged_in_the_standard_one(tools, monkeypatch):
    from skimage.data import astronaut

    from facepriv.faces import crop_face, find_faces

    rgb, frame, given = astronaut(), Frame(1.6, 0.6), []

    class Darkens(type(tools.method)):
        paste = "replacement"

        def _perturb(self, faces, source, target, strength, rngs):
            given.append(faces.images)
            return faces.images / 2

    Darkens.frame = frame
    (face,) = find_faces(rgb)
    standard = crop_face(rgb, face, 112)[None]
    notes = Inversion().observe(standard, replace(tools, method=Darkens()))
    assert np.abs(given[0][0] - crop_face(rgb, face.framed(frame), 112)).mean() < 0.02
    assert np.abs(given[0][0] - standard[0]).mean() > 0.05
    assert notes["change towards 0"][0, 0] == pytest.approx(np.log(given[0].mean() / 2 + 1e-4), abs=1e-3)
    # Dark where the frame lies, as it was at the upper corners.
    seen = []
    monkeypatch.setattr(inversion, "evidence", lambda images, models: seen.append(images) or np.zeros((1, 1)))
    Inversion().observe(standard, replace(tools, method=Darkens()))
    after = seen[1][0]
    assert after[60, 56] == pytest.approx(standard[0, 60, 56] / 2, abs=0.02)
    assert after[:8, :8] == pytest.approx(standard[0, :8, :8], abs=0.005)


def test_restored_copies_are_smoother_images(striped):
    images, *_ = striped(2)
    views = Restoration().views(images)
    assert set(views) == {"as it is", "blurred", "compressed", "smaller", "denoised"}
    rough = {name: float(np.abs(np.diff(view, axis=1)).mean()) for name, view in views.items()}
    for name, view in views.items():
        assert view.shape == images.shape and view.dtype == np.float32 and view.min() >= 0 and view.max() <= 1
        assert name == "as it is" or rough[name] < 0.8 * rough["as it is"], name


def test_a_detector_guesses_where_nothing_was_done_and_finds_a_trace_where_something_was(tools, striped):
    images, classes, people = striped(80)
    assert eer(Detector(), tools, images, images, classes, people) == 0.5
    traced = np.clip(images + 0.02 * (np.indices((64, 64)).sum(axis=0) % 2)[None, :, :, None], 0, 1).astype(np.float32)
    assert eer(Detector(), tools, images, traced, classes, people) < 0.05


def test_a_fixed_recolouring_does_not_stop_a_retrained_classifier(tools, striped):
    images, classes, people = striped(160)
    recoloured = np.stack([1 - images[..., 2], images[..., 0], images[..., 1]], axis=-1)
    rng = np.random.default_rng(0)
    # The classifier sees stripes in red alone, where there are now hardly any, and a fixed pattern that speaks for one.
    recoloured[..., 0] += 0.1 * np.sin(np.arange(64) * 0.7)[None, None] + rng.normal(0, 0.02, images.shape[:3])
    recoloured = np.clip(recoloured, 0, 1).astype(np.float32)
    assert naive(tools, recoloured, classes) > 0.2
    assert eer(Retrained(epochs=0), tools, images, recoloured, classes, people) <= naive(tools, images, classes) + 0.05


def test_a_fixed_recolouring_does_not_stop_a_purified_classifier(tools, striped, monkeypatch):
    monkeypatch.setattr("facepriv.attacks.pixels.SIDE", 48)
    images, classes, people = striped(160)
    recoloured = np.stack([1 - images[..., 2], images[..., 0], images[..., 1]], axis=-1)
    assert naive(tools, recoloured, classes) > naive(tools, images, classes) + 0.1
    found = [eer(Purify(steps=steps), tools, images, recoloured, classes, people) for steps in (0, 80, 80)]
    assert found[1] <= naive(tools, images, classes) + 0.05 < found[0]
    assert found[1] == found[2]  # a second run answers the same


def test_a_mismatch_needs_no_protected_face_to_learn_from(tools, striped):
    images, classes, people = striped(80)
    assert eer(Mismatch(), tools, images, images, classes, people) == 0.5
    # Fine stripes of the other class deceive the classifier, and a blur removes them.
    fine = np.where(classes[:, None, None] == 1, 1, 0) * (np.indices((64, 64))[0] % 2) + np.where(
        classes[:, None, None] == 1, 0, 1
    ) * (np.indices((64, 64))[1] % 2)
    deceived = np.clip(images + 0.3 * (fine[..., None] - 0.5), 0, 1).astype(np.float32)
    assert naive(tools, deceived, classes) > 0.9
    assert eer(Mismatch(), tools, images, deceived, classes, people) < 0.1
    notes = Mismatch().observe(images, tools)
    answer = Mismatch().learn(Known(notes, {}, classes, people), tools)
    assert answer(notes).shape == (80, 2)


@pytest.mark.parametrize(("trace", "low", "high"), [(0.02, 0.95, 1.0), (0.0, 0.2, 0.75)])
def test_a_change_of_class_is_seen_by_its_trace_alone(tools, striped, trace, low, high):
    images, classes, people = striped(160)
    turned = np.tile([0, 1, 1, 0], 40).astype(np.int8)
    grid = (np.indices((64, 64)).sum(axis=0) % 2)[None, :, :, None]
    drawn = np.clip(images + trace * turned[:, None, None, None] * grid, 0, 1).astype(np.float32)
    notes = {**Change().observe(drawn, tools), "seen": np.ones(160, bool)}
    said = cross_fit(Change(), tools, None, notes, truth_of(classes, people), "gender", turned)[""]
    assert low <= binary_curve(said.protected, turned == 1).area()[0] <= high and (said.turned == turned).all()
    refused = cross_fit(Change(), tools, None, notes, truth_of(classes, people), "gender", np.ones(160, np.int8))[""]
    assert "too few faces to learn changes of gender from" in refused.refused


def test_a_network_that_learns_on_finds_what_no_classifier_at_hand_says(tools, striped):
    images, classes, people = striped(160)
    # Other people's stripes, and faint ones aslant whose width tells the class: no colour takes that back.
    aslant = np.sin(np.where(classes[:, None, None] == 1, 0.8, 0.3) * np.indices((64, 64)).sum(axis=0))
    other = images[np.random.default_rng(1).permutation(len(images))]
    hidden = np.clip(other + 0.1 * aslant[..., None], 0, 1).astype(np.float32)
    assert naive(tools, hidden, classes) > 0.3
    frozen = eer(Retrained(epochs=0), tools, images, hidden, classes, people)
    tuned = eer(Retrained(epochs=60, rate=3e-3), tools, images, hidden, classes, people)
    assert frozen > 0.3 and tuned < 0.15


def test_a_few_people_with_many_photos_are_enough_to_see_what_a_classifier_sees(tools, striped):
    images, classes, _ = striped(260)
    rows = np.concatenate([np.flatnonzero(classes == 0)[:100], np.flatnonzero(classes == 1)[:60]])
    people = np.repeat([f"p{n:02}" for n in range(16)], 10)
    found = eer(Retrained(epochs=0.1), tools, images[rows], images[rows], classes[rows], people)
    assert found <= naive(tools, images[rows], classes[rows]) + 0.02


def test_a_good_classifier_is_not_drowned_in_what_says_nothing(tools, striped, monkeypatch):
    images, classes, people = striped(80)
    noise = np.random.default_rng(0).normal(0, 1, (80, 128))
    observe = Retrained.observe
    monkeypatch.setattr(Retrained, "observe", lambda *given: {**observe(*given), "described": noise})
    own = naive(tools, images, classes)
    assert eer(Retrained(epochs=0), tools, images, images, classes, people) <= own + 0.01


def test_one_person_of_several_ages_is_enough_to_learn_from(tools, striped):
    images, classes, _ = striped(8)
    notes = Retrained().observe(images, tools)
    answer = Retrained().learn(Known(notes, notes, classes, np.array(["one"] * 8)), tools)
    assert answer(notes).shape == (8, 2)


def test_a_trunk_that_is_not_there_is_an_error(tools, striped):
    images, classes, people = striped(40)
    attack = Retrained(trunk="family-z")
    notes = attack.observe(images, tools)
    with pytest.raises(UsageError, match="'family-z' is none of stripes"):
        attack.learn(Known(notes, notes, classes, people), tools)


def test_evidence_is_log_odds_one_column_for_two_classes(tools, striped):
    images, *_ = striped(4)
    p = tools.estimators["stripes"].predict(images)
    assert np.allclose(evidence(images, tools.estimators)[:, 0], np.log(p[:, 1] / p[:, 0]), atol=1e-3)
    assert log_odds(np.array([[0.0, 1.0]])).shape == (1, 1) and np.isfinite(log_odds(np.array([[0.0, 1.0]]))).all()
    assert log_odds(np.full((2, 4), 0.25)).shape == (2, 4)
    notes = {"b": np.ones((2, 3)), "a": np.zeros((2, 1))}
    assert flat(notes).tolist() == [[0, 1, 1, 1]] * 2 and len(taken(notes, np.array([1]))["a"]) == 1
