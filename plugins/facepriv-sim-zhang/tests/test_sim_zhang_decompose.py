"""The linear algebra: against dense computations done another way, and what makes attributes independent."""

import numpy as np
import pytest
from facepriv_sim_zhang import decompose
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eigh, subspace_angles

from facepriv.errors import DataError

CLASSES = {"gender": 2, "race": 4, "age": 3}
SMALL = 30


def sample(count=600, seed=0, coupled=0.0):
    """Vectors (count, SMALL) with an additive effect of each class and correlated noise; labels are unbalanced.

    With probability `coupled` a face's race follows its gender.
    """
    rng = np.random.default_rng(seed)
    labels = {
        "gender": rng.choice(2, count, p=[0.4, 0.6]),
        "race": rng.choice(4, count, p=[0.6, 0.1, 0.1, 0.2]),
        "age": rng.choice(3, count, p=[0.5, 0.2, 0.3]),
    }
    follows = rng.random(count) < coupled
    labels["race"] = np.where(follows, labels["gender"] * 3, labels["race"])
    effects = {name: rng.standard_normal((size, SMALL)) for name, size in CLASSES.items()}
    noise = rng.standard_normal((count, SMALL)) @ (rng.standard_normal((SMALL, SMALL)) / 3)
    return sum(effects[name][labels[name]] for name in CLASSES) + noise, labels, effects


def in_chunks(vectors, size=70):
    return lambda: (vectors[start : start + size] for start in range(0, len(vectors), size))


def weighted(labels, balance=0.5, limit=5.0):
    return decompose.class_weights(labels, CLASSES, balance=balance, limit=limit)


def whitening(vectors, weights):
    """Whitened vectors, the principal axes, and the variances along them."""
    mean = decompose.weighted_mean(in_chunks(vectors), weights)
    axes, variances = decompose.principal_axes(in_chunks(vectors), weights, mean, SMALL)
    return ((vectors - mean) @ axes) / np.sqrt(variances), axes, variances


def decomposed(vectors, labels, weights):
    """Axes of each attribute as directions in the vectors' own space, (SMALL, C - 1), and the raw ratios."""
    whitened, axes, variances = whitening(vectors, weights)
    found = {name: decompose.discriminant_axes(whitened, labels[name], weights, size) for name, size in CLASSES.items()}
    return {name: (axes / np.sqrt(variances)) @ own for name, (own, _) in found.items()}, found


def dense(vectors, labels, weights, classes):
    """The generalised eigenproblem of between-class and total scatter, both written out face by face."""
    mean = sum(w * x for w, x in zip(weights, vectors, strict=True))
    total = sum(w * np.outer(x - mean, x - mean) for w, x in zip(weights, vectors, strict=True))
    between = np.zeros_like(total)
    for label in range(classes):
        mass = weights[labels == label].sum()
        centre = sum(w * x for w, x in zip(weights[labels == label], vectors[labels == label], strict=True)) / mass
        between += mass * np.outer(centre - mean, centre - mean)
    ratios, directions = eigh(between, total)
    return ratios[::-1][: classes - 1], directions[:, ::-1][:, : classes - 1]


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_eigen_solution_equals_a_dense_generalised_eigenproblem(balance):
    vectors, labels, _ = sample()
    weights = weighted(labels, balance)
    directions, found = decomposed(vectors, labels, weights)
    for name, classes in CLASSES.items():
        ratios, expected = dense(vectors, labels[name], weights, classes)
        np.testing.assert_allclose(found[name][1], ratios, rtol=1e-3)
        assert subspace_angles(directions[name], expected).max() < 1e-2


def test_whitened_vectors_have_unit_scatter():
    vectors, labels, _ = sample()
    weights = weighted(labels, 0.5)
    whitened, *_ = whitening(vectors, weights)
    np.testing.assert_allclose(whitened.T @ (weights[:, None] * whitened), np.eye(SMALL), atol=1e-3)


def test_randomised_axes_equal_a_dense_eigendecomposition_whatever_the_chunks():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((400, 120)) * 0.8 ** np.arange(120) @ rng.standard_normal((120, 120))
    weights = rng.random(400)
    weights /= weights.sum()
    mean = weights @ vectors
    values, directions = np.linalg.eigh((weights[:, None] * (vectors - mean)).T @ (vectors - mean))
    for size in (400, 33):
        axes, variances = decompose.principal_axes(in_chunks(vectors, size), weights, mean, 8)
        np.testing.assert_allclose(variances, values[::-1][:8], rtol=1e-3)
        assert subspace_angles(axes, directions[:, ::-1][:, :8]).max() < 1e-2


def test_data_is_read_so_often_and_no_more():
    vectors, labels, _ = sample(count=140)
    weights = weighted(labels, 0.0)
    ticks = []
    decompose.principal_axes(in_chunks(vectors), weights, weights @ vectors, 5, tick=lambda: ticks.append(1))
    assert len(ticks) == 2 * decompose.PASSES


def test_fewer_axes_than_asked_for_where_the_data_has_fewer():
    vectors = np.random.default_rng(0).standard_normal((40, 3)) @ np.random.default_rng(1).standard_normal((3, 20))
    weights = np.full(40, 1 / 40)
    axes, variances = decompose.principal_axes(in_chunks(vectors), weights, weights @ vectors, 10)
    assert axes.shape == (20, 3) and variances.shape == (3,)


def shares(labels, weights):
    """The weight of each pair of gender and race, (2, 4)."""
    return np.array(
        [[weights[(labels["gender"] == g) & (labels["race"] == r)].sum() for r in range(4)] for g in (0, 1)]
    )


def test_weights_make_coupled_attributes_independent():
    _, labels, _ = sample(count=4000, coupled=0.4)
    plain = shares(labels, np.full(4000, 1 / 4000))
    assert np.abs(plain - np.outer(plain.sum(1), plain.sum(0))).max() > 0.05
    for balance in (0.0, 0.5, 1.0):
        balanced = shares(labels, weighted(labels, balance, 1e9))
        np.testing.assert_allclose(balanced, np.outer(balanced.sum(1), balanced.sum(0)), atol=1e-12)


def test_balance_leads_from_the_shares_in_the_data_to_equal_ones():
    _, labels, _ = sample(count=4000)
    natural, between, equal = (shares(labels, weighted(labels, balance, 1e9)).sum(0) for balance in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(natural, np.bincount(labels["race"]) / 4000)
    np.testing.assert_allclose(equal, 0.25)
    assert natural[0] > between[0] > equal[0] and natural[1] < between[1] < equal[1]


def test_no_face_weighs_more_than_the_limit():
    _, labels, _ = sample(count=500)
    loose, strict = (weighted(labels, 1.0, limit) for limit in (1e9, 2.0))
    assert loose.max() * 500 > 4
    capped = np.minimum(loose * 500, 2.0)
    np.testing.assert_allclose(strict, capped / capped.sum())


def test_a_class_without_a_face_is_refused():
    _, labels, _ = sample()
    labels["race"][labels["race"] == 2] = 0
    with pytest.raises(DataError, match="no face of class 2 of race"):
        weighted(labels, 0.5)


def move_of_race(vectors, labels, effects, weights):
    """How far a change of gender goes in the directions in which races truly differ, as a share of that difference."""
    whitened, axes, variances = whitening(vectors, weights)
    basis = decompose.attribute_bases(whitened, labels, weights, CLASSES)["gender"]
    means = decompose.class_means(whitened, labels["gender"], weights, 2) @ basis
    edit = axes @ (np.sqrt(variances) * (basis @ (means[1] - means[0])))
    true = effects["gender"][1] - effects["gender"][0]
    other = effects["race"][3] - effects["race"][0]
    # Least squares: how much of either difference is in the edit.
    return np.abs(np.linalg.lstsq(np.stack([true, other], 1), edit, rcond=None)[0][1])


def test_weights_keep_a_change_of_gender_from_changing_race():
    vectors, labels, effects = sample(count=4000, coupled=0.6)
    plain = move_of_race(vectors, labels, effects, np.full(4000, 1 / 4000))
    balanced = move_of_race(vectors, labels, effects, weighted(labels, 0.5, 10.0))
    assert plain > 0.2
    assert balanced < 0.1


@given(st.integers(0, 2**32 - 1))
def test_deflated_axes_are_orthonormal_and_independent_of_order_and_basis(seed):
    rng = np.random.default_rng(seed)
    spaces = [np.linalg.qr(rng.standard_normal((12, k)))[0] for k in (1, 3, 2)]
    done = decompose.deflate(spaces)
    joint = np.concatenate(done, axis=1)
    np.testing.assert_allclose(joint.T @ joint, np.eye(6), atol=1e-9)
    again = decompose.deflate(spaces[::-1])[::-1]
    turned = decompose.deflate(
        [space @ np.linalg.qr(rng.standard_normal((space.shape[1],) * 2))[0] for space in spaces]
    )
    for a, b, c in zip(done, again, turned, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        np.testing.assert_allclose(a @ a.T, c @ c.T, atol=1e-6)


def test_deflation_leaves_orthogonal_axes_alone_and_gives_way_on_both_sides():
    eye = np.eye(4)
    for a, b in zip(decompose.deflate([eye[:, :1], eye[:, 1:3]]), (eye[:, :1], eye[:, 1:3]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    slanted = np.array([[0.6], [0.8], [0], [0]])
    first, second = decompose.deflate([eye[:, :1], slanted])
    assert np.abs(first.T @ eye[:, :1]) == pytest.approx(np.abs(second.T @ slanted))


def test_axes_that_coincide_are_refused():
    with pytest.raises(DataError, match="cannot be told apart"):
        decompose.deflate([np.eye(4)[:, :1], np.eye(4)[:, :2]])


def test_identity_residual_is_orthogonal_to_the_attributes_most_variance_first():
    rng = np.random.default_rng(0)
    attributes = np.linalg.qr(rng.standard_normal((20, 6)))[0]
    variances = np.sort(rng.random(20))[::-1]
    axes = decompose.identity_axes(attributes, variances, 8)
    joint = np.concatenate([attributes, axes], axis=1)
    np.testing.assert_allclose(joint.T @ joint, np.eye(14), atol=1e-9)
    kept = ((np.sqrt(variances)[:, None] * axes) ** 2).sum(axis=0)
    assert (np.diff(kept) <= 1e-12).all()
    assert decompose.identity_axes(attributes, variances, 99).shape == (20, 14)
