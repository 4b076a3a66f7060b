"""An attack answers for people it never studied, whatever it tries; what it cannot answer is said."""

import numpy as np
import pytest

from facepriv.attacks.cross_fit import Answers, cross_fit
from facepriv.attacks.rows import adversary_rows, class_eer, class_scores
from facepriv.attacks.run import load_notes
from facepriv.contracts import Attack
from facepriv.errors import PluginError
from facepriv.evaluation.rows import ATTACK, BEST, CHANGED, DETECTION
from facepriv.evaluation.truth import Truth
from facepriv.files import save_arrays

COUNT = 80


class Rote(Attack):
    """Notes the person, and memorises the people of its training; for all others it guesses."""

    needs_originals = True

    def __init__(self, answer=None):
        self.answer, self.asked = answer, []

    def observe(self, images, tools):
        """Note nothing: the notes are made by the tests."""
        return {}

    def learn(self, known, tools):
        """Remember."""
        memory = dict(zip(known.after["who"].tolist(), known.classes.tolist(), strict=True))

        def answer(notes):
            self.asked.append((set(memory), set(notes["who"].tolist())))
            if self.answer is not None:
                return self.answer(notes)
            guess = np.array([memory.get(who, 0.5) for who in notes["who"].tolist()])
            return np.stack([1 - guess, guess], axis=1)

        return answer


@pytest.fixture
def truth():
    classes = np.repeat(np.arange(COUNT // 2) % 2, 2).astype(np.int64)
    years = np.random.default_rng(0).uniform(15, 80, COUNT)
    race = np.repeat(np.arange(COUNT // 2) // 2 % 3, 2).astype(np.int64)
    people = np.repeat([f"p{n}" for n in range(COUNT // 2)], 2)
    return Truth(people, True, {"gender": classes, "race": race, "age": np.full(COUNT, -1, np.int64)}, years)


@pytest.fixture
def notes(truth):
    who = np.unique(truth.subjects, return_inverse=True)[1]
    return {"who": who, "seen": np.ones(COUNT, bool)}


def answered(attack, tools, before, after, truth):
    (said,) = cross_fit(attack, tools, before, after, truth, "gender").values()
    return said


def test_whom_it_studied_it_is_never_asked_about(truth, notes, tools):
    attack = Rote()
    said = answered(attack, tools, notes, notes, truth)
    assert len(attack.asked) == 2 and all(not (studied & asked) for studied, asked in attack.asked)
    assert (said.protected == 0.5).all()  # what it memorised was of no use


def test_a_face_that_was_not_found_is_neither_studied_nor_answered(truth, notes, tools):
    lost = {**notes, "seen": np.arange(COUNT) >= 4}
    attack = Rote()
    said = answered(attack, tools, notes, lost, truth)
    assert np.isnan(said.protected[:4]).all() and not np.isnan(said.protected[4:]).any()
    assert all(not ({0, 1} & (studied | asked)) for studied, asked in attack.asked)


def test_a_label_that_is_not_known_is_not_studied_but_answered(truth, notes, tools):
    truth.classes["gender"][:2] = -1
    attack = Rote()
    said = answered(attack, tools, notes, notes, truth)
    assert not np.isnan(said.protected).any() and not any(0 in studied for studied, _ in attack.asked)


def test_fewer_labelled_photos_are_models_of_their_own(truth, notes, tools):
    class Counting(Rote):
        sizes = (10, 30, 1000)

        def learn(self, known, tools):
            counts.append((len(known.classes), known.classes.mean()))
            return {"one": super().learn(known, tools), "other": super().learn(known, tools)}

    counts = []
    said = cross_fit(Counting(), tools, notes, notes, truth, "gender")
    assert list(said) == ["one", "other", "one, 10 photos", "other, 10 photos", "one, 30 photos", "other, 30 photos"]
    assert counts == [(40, 0.5), (10, 0.6), (30, 8 / 15)] * 2 or {count for count, _ in counts} == {40, 10, 30}
    assert all((answers.protected == 0.5).all() for answers in said.values())


def test_too_few_faces_are_a_reason_and_not_a_guess(truth, notes, tools):
    truth.classes["gender"][:] = 0
    said = answered(Rote(), tools, notes, notes, truth)
    assert "too few faces to learn gender from" in said.refused and np.isnan(said.protected).all()


@pytest.mark.parametrize(
    "answer",
    [lambda notes: np.ones(len(notes["who"])), lambda notes: np.full((len(notes["who"]), 2), np.nan), lambda n: 1 / 0],
)
def test_an_answer_that_is_none_is_the_plugins_error(answer, truth, notes, tools):
    with pytest.raises(PluginError, match="attack"):
        cross_fit(Rote(answer), tools, notes, notes, truth, "gender")


def test_the_error_over_two_classes_is_the_eer_and_years_speak_for_groups():
    rng = np.random.default_rng(0)
    classes, weights = rng.integers(0, 2, 200), np.ones((1, 200))
    p = np.clip(classes + rng.normal(0, 0.7, 200), 0, 1)
    assert class_eer(np.stack([1 - p, p], axis=1), classes, weights) == pytest.approx(
        class_eer(np.stack([-p, p], axis=1), classes, weights)
    )
    scores = class_scores("age", np.array([20.0, 38.0, 70.0]))
    assert scores.argmax(axis=0).tolist() == [0, 1, 2]
    assert class_scores("gender", np.eye(2)).tolist() == np.eye(2).tolist()


def test_the_strongest_adversary_is_marked_and_compared_with_the_best_classifier(truth):
    rng = np.random.default_rng(0)
    right = np.eye(2)[truth.classes["gender"]]

    def predictions(noise, turned=False):
        p = np.clip((1 - right if turned else right) + rng.normal(0, noise, (COUNT, 2)), 0.01, None)
        return p / p.sum(axis=1, keepdims=True)

    before = {"good": predictions(0.3), "bad": predictions(1.0)}
    after = {"good": predictions(0.6, turned=True), "bad": predictions(1.5, turned=True)}
    answers = {
        "clever": Answers(predictions(0.35)),
        "mute": Answers(np.full((COUNT, 2), np.nan), refused="too few faces"),
        "finder": Answers(right[:, 0] * 0.2, 0.1 + 0 * right[:, 0]),
    }
    rows = adversary_rows("gender", truth, before, after, ["good", "bad"], answers, replicates=30)
    by_name = {row.evaluator: row for row in rows}
    classifiers = {"good", "good, turned round", "bad", "bad, turned round"}
    assert set(by_name) == classifiers | {"attack: clever", "attack: mute", "attack: finder"}
    assert [row.evaluator for row in rows if row.note == BEST] == ["attack: clever"]
    assert by_name["attack: mute"].note == "too few faces" and by_name["attack: mute"].after is None
    assert by_name["attack: finder"].figure == DETECTION and by_name["good"].figure == ATTACK
    clever = by_name["attack: clever"]
    assert clever.before == by_name["bad"].before  # one reference for all
    assert clever.change.value == pytest.approx(clever.after.value - clever.before.value)
    assert by_name["good"].after.value > 80 > 20 > by_name["good, turned round"].after.value


def test_the_floor_is_what_an_attack_on_embeddings_is_compared_with(truth):
    rng = np.random.default_rng(0)
    right = np.eye(2)[truth.classes["gender"]]

    def near(noise):
        return np.clip(right + rng.normal(0, noise, (COUNT, 2)), 0.01, None)

    answers = {"probe, dlib": Answers(near(1.5)), "other": Answers(near(1.0))}
    rows = adversary_rows(
        "gender",
        truth,
        {"g": near(0.1)},
        {"g": near(0.1)},
        ["g"],
        answers,
        {"probe, dlib": Answers(near(0.6))},
        replicates=20,
    )
    by_name = {row.evaluator: row for row in rows}
    probe, other = by_name["attack: probe, dlib"], by_name["attack: other"]
    assert probe.before != other.before == by_name["g"].before
    assert 0 < probe.before.value < probe.after.value
    assert probe.change.value == pytest.approx(probe.after.value - probe.before.value)


def test_changes_of_class_have_an_area_under_the_curve(truth):
    turned = np.tile([0, 1], COUNT // 2).astype(np.int8)
    said = np.where(turned == 1, 0.9, 0.1)
    said[:2] = np.nan
    turned[2:4] = -1
    answers = {"change": Answers(said, turned=turned), "blind": Answers(said, turned=turned * 0)}
    rows = {row.evaluator: row for row in adversary_rows("gender", truth, {}, {}, [], answers, replicates=20)}
    row = rows["attack: change"]
    assert row.figure == CHANGED and 97 < row.after.value < 100 and row.before is None and row.note == ""
    assert rows["attack: blind"].after is None and rows["attack: blind"].note


def test_children_are_no_more_judged_by_an_adversary_than_by_a_classifier(truth, tools):
    truth.years[:10] = 7
    said = np.stack([1.0 - truth.classes["gender"], truth.classes["gender"]], axis=1)
    wrong = said.copy()
    wrong[:10] = 1 - said[:10]
    rows = adversary_rows("gender", truth, {"g": said}, {"g": wrong}, ["g"], {}, replicates=20)
    assert next(row for row in rows if row.evaluator == "g").after.value == 0


def test_outputs_without_a_single_face_are_refused_and_stop_nobody(truth, tools, tmp_path):
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for file in files:
        save_arrays(file, {"seen": np.zeros(COUNT // 2, bool)})
    nobody = load_notes(files)
    said = answered(Rote(), tools, nobody, nobody, truth)
    assert "too few faces to learn gender from" in said.refused and np.isnan(said.protected).all()
