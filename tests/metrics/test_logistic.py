"""The regression that attacks end with, and the folds of people."""

import numpy as np
import pytest

from facepriv.metrics.logistic import balance, fit_logistic, people_folds


@pytest.fixture
def planted():
    """Notes of 300 photos of 100 people, three of whose 40 columns tell the class, which is rare."""
    rng = np.random.default_rng(0)
    people = np.repeat([f"p{n}" for n in range(100)], 3)
    classes = np.repeat((np.arange(100) % 4 == 0).astype(np.int64), 3)
    x = rng.normal(0, 1, (300, 40)) + 1.2 * classes[:, None] * (np.arange(40) < 3)
    return x, classes, people


def test_it_learns_what_is_planted_and_answers_for_others(planted):
    x, classes, people = planted
    study = people_folds(people, classes, 2) == 0
    said = fit_logistic(x[study], classes[study], people[study], 2)(x[~study])
    right = (said.argmax(axis=1) == classes[~study]).astype(float)
    assert said.shape == (150, 2) and np.allclose(said.sum(axis=1), 1)
    # Who knew the three columns would be right 85 % of the time; a guess, 50 %. The rare class must not pay.
    recalls = [right[classes[~study] == c].mean() for c in (0, 1)]
    assert np.mean(recalls) > 0.72 and min(recalls) > 0.6


def test_more_notes_than_faces_do_not_drown_the_signal(planted):
    x, classes, people = planted
    noisy = np.concatenate([x, np.random.default_rng(1).normal(0, 1, (300, 600))], axis=1)
    study = people_folds(people, classes, 2) == 0
    said = fit_logistic(noisy[study], classes[study], people[study], 2)(noisy[~study])
    assert (said.argmax(axis=1) == classes[~study]).mean() > 0.7


def test_what_is_the_same_of_all_faces_says_nothing_and_a_missing_class_gets_hardly_anything(planted):
    x, classes, people = planted
    x = np.concatenate([x, np.full((300, 1), 7.0)], axis=1)
    said = fit_logistic(x, classes, people, 4)
    assert np.allclose(said(x), said(np.concatenate([x[:, :-1], np.full((300, 1), -50.0)], axis=1)))
    assert said(x)[:, 2:].max() < 0.02


def test_nobody_is_on_both_sides_and_each_side_has_its_share_of_a_class(planted):
    _, classes, people = planted
    folds = people_folds(people, classes, 2)
    assert all(len(set(folds[people == person])) == 1 for person in set(people))
    shares = [classes[folds == fold].mean() for fold in (0, 1)]
    assert abs(shares[0] - shares[1]) < 0.05
    shuffled = np.random.default_rng(0).permutation(300)
    assert (people_folds(people[shuffled], classes[shuffled], 2) == folds[shuffled]).all()


def test_every_class_that_is_there_weighs_the_same():
    assert balance(np.array([0, 0, 0, 2]), 3).tolist() == [1 / 6, 1 / 6, 1 / 6, 1 / 2]
