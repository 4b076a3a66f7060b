"""What votes and probes read off embeddings, of protected faces and of unprotected ones."""

import numpy as np
import pytest

from facepriv.attacks.cross_fit import cross_fit
from facepriv.attacks.embedding import Neighbours, Probe
from facepriv.evaluation.truth import Truth
from facepriv.metrics.attributes import binary_eer

PROBES = {f"{name}, {model}" for name in ("texture", "mean", "joined") for model in ("linear", "network")}


def answers(attack, tools, images, classes, people):
    unknown = np.full(len(classes), -1, np.int64)
    truth = Truth(people, True, {"gender": classes, "race": unknown, "age": unknown}, np.full(len(classes), np.nan))
    notes = {**attack.observe(images, tools), "seen": np.ones(len(images), bool)}
    return cross_fit(attack, tools, None, notes, truth, "gender")


def eers(attack, tools, images, classes, people):
    said = answers(attack, tools, images, classes, people)
    return {name: float(binary_eer(one.protected[:, 1], classes == 1)[0]) for name, one in said.items()}


@pytest.mark.parametrize("attack", [Neighbours(), Probe()], ids=lambda a: type(a).__name__)
def test_an_embedding_that_tells_the_class_gives_it_away_whatever_a_classifier_says(attack, matched, striped):
    images, classes, people = striped(160)
    flipped = images.transpose(0, 2, 1, 3).copy()
    recoloured = np.stack([1 - images[..., 2], images[..., 0], images[..., 1]], axis=-1)
    for made in (images, flipped, recoloured):
        found = eers(attack, matched, made, classes, people)
        assert set(found) == ({"texture", "mean"} if isinstance(attack, Neighbours) else PROBES)
        assert all(error <= 0.05 for name, error in found.items() if not name.startswith("mean")), found
        assert all(error > 0.25 for name, error in found.items() if name.startswith("mean")), found


@pytest.mark.parametrize("attack", [Neighbours(), Probe()], ids=lambda a: type(a).__name__)
def test_a_second_run_answers_the_same(attack, matched, striped):
    images, classes, people = striped(80)
    first, second = (answers(attack, matched, images, classes, people) for _ in range(2))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name].protected, second[name].protected) for name in first)


def test_one_matcher_has_nothing_to_join_and_none_has_no_answer(matched, tools, striped):
    images, classes, people = striped(80)
    assert set(eers(Probe(), tools, images, classes, people)) == {"mean, linear", "mean, network"}
    tools.matchers.clear()
    assert answers(Probe(), tools, images, classes, people) == {}
