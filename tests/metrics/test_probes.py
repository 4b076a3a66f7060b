"""The vote of neighbours, the small network, and the people that they are tested on."""

import numpy as np
import pytest

from facepriv.metrics.folds import first_faces, held_out, people_folds, trainable
from facepriv.metrics.logistic import fit_logistic
from facepriv.metrics.probes import fit_neighbours, fit_network


def cosine(a, b):
    units = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (a, b)]
    return units[0] @ units[1].T


@pytest.fixture
def crossed():
    """Descriptors of 300 people whose class is where two columns have one sign: no line tells it."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (300, 6))
    return x, ((x[:, 0] > 0) == (x[:, 1] > 0)).astype(np.int64), np.array([f"p{n}" for n in range(300)])


def test_a_network_learns_what_no_line_tells(crossed):
    x, classes, people = crossed
    right = {
        f: (held_out(f, x, classes, people, 2).argmax(axis=1) == classes).mean() for f in (fit_logistic, fit_network)
    }
    assert right[fit_logistic] < 0.62 and right[fit_network] > 0.8


def test_neighbours_vote_by_similarity_and_a_rare_class_is_not_outvoted():
    rng = np.random.default_rng(0)
    classes = (np.arange(200) % 10 == 0).astype(np.int64)
    x = np.where(classes[:, None] == 1, (1.0, 0.25), (1.0, -0.25)) + rng.normal(0, 0.12, (200, 2))
    people = np.array([f"p{n}" for n in range(200)])
    vote = held_out(lambda *given: fit_neighbours(*given, score=cosine), x, classes, people, 2)
    assert np.allclose(vote.sum(axis=1), 1)
    assert all((vote.argmax(axis=1) == classes)[classes == c].mean() > 0.8 for c in (0, 1))
    # Fewer known faces than voters.
    few = fit_neighbours(x[:4], classes[:4], people[:4], 2, score=cosine)(x)
    assert few.shape == (200, 2) and np.isfinite(few).all()


def test_a_face_without_a_descriptor_is_neither_used_nor_predicted(crossed):
    x, classes, people = crossed
    x[:3] = np.nan
    p = held_out(fit_logistic, x, classes, people, 2)
    assert np.isnan(p[:3]).all() and np.isfinite(p[3:]).all()


def test_nobody_is_predicted_by_a_model_that_knew_them():
    people = np.repeat([f"p{n}" for n in range(30)], 4)
    classes = np.repeat(np.arange(30) % 2, 4)
    names = np.unique(people, return_inverse=True)[1].astype(float)[:, None]

    def fit(x, classes, subjects, count):
        seen = set(x[:, 0])
        return lambda asked: np.repeat([[float(n in seen)] for n in asked[:, 0]], count, axis=1)

    assert (held_out(fit, names, classes, people, 2) == 0).all()


def test_the_first_faces_are_of_few_people_of_all_classes():
    people = np.repeat([f"p{n}" for n in range(60)], 5)
    classes = np.repeat((np.arange(60) % 6 == 0).astype(np.int64), 5)
    rows = first_faces(people, classes, 40)
    assert len(rows) == 40 and len(set(people[rows])) == 8 and classes[rows].mean() == 0.5
    assert set(first_faces(people, classes, 20)) < set(rows)
    assert len(first_faces(people, classes, 1000)) == 300
    shuffled = np.random.default_rng(0).permutation(300)
    assert set(people[shuffled][first_faces(people[shuffled], classes[shuffled], 40)]) == set(people[rows])


def test_each_part_needs_faces_of_two_classes():
    people = np.array([f"p{n}" for n in range(20)])
    classes = np.arange(20) % 2
    folds = people_folds(people, classes, 2)
    assert trainable(classes, folds) and not trainable(classes * 0, folds) and trainable(classes * 0, folds, 1)
    assert not trainable(classes[:18], folds[:18])
