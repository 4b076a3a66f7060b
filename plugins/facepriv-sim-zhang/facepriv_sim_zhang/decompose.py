"""Multimodal discriminant analysis: split whitened vectors into one subspace per attribute and an identity residual.

After Sim, Zhang, Li and Chen (ICCV 2009). In the whitened space, whose total scatter is the identity, the axes of an
attribute are the leading eigenvectors of the scatter between its classes. Axes of different attributes are orthogonal
if the attributes are independent in the data; `class_weights` makes them so, and `deflate` removes sampling effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import DataError

Float = NDArray[np.float64]
Labels = Mapping[str, NDArray[np.int64]]
#: Yields the vectors in chunks (n, D), the same ones in the same order at every call.
Chunks = Callable[[], Iterator[NDArray[np.floating]]]

_OVERSAMPLING = 20
#: Number of passes of `principal_axes` over the data.
PASSES = 5


def class_weights(labels: Labels, classes: Mapping[str, int], *, balance: float, limit: float) -> Float:
    """Return weights (N,), summing to 1, under which the attributes are independent of each other.

    A crossed class (for example, old Asian women) has the product of its attributes' shares as weight, divided equally
    among its faces. An attribute's class of n faces has a share in proportion to n ** (1 - balance).

    Parameters
    ----------
    labels : mapping
        Attribute -> (N,) class index.
    classes : mapping
        Attribute -> number of its classes.
    balance : float
        0: classes as frequent as in the data; 1: equal shares for all classes of an attribute.
    limit : float
        Largest weight of a face, in multiples of the average: a crossed class of three faces generalises poorly.

    Raises
    ------
    DataError
        If a class has no face.
    """
    cell = np.zeros(len(next(iter(labels.values()))), dtype=np.int64)
    share = np.ones(len(cell))
    for name, values in labels.items():
        counts = np.bincount(values, minlength=classes[name])
        if not counts.all():
            raise DataError(f"no face of class {int(np.argmin(counts))} of {name}: nothing can be learnt of it")
        wanted = counts.astype(np.float64) ** (1 - balance)
        share *= (wanted / wanted.sum())[values]
        cell = cell * classes[name] + values
    weights = share / np.bincount(cell)[cell]
    weights = np.minimum(weights / weights.mean(), limit)
    return weights / weights.sum()


def principal_axes(
    chunks: Chunks, weights: Float, mean: Float, count: int, *, seed: int = 0, tick: Callable[[], None] | None = None
) -> tuple[NDArray[np.float32], Float]:
    """Return the leading eigenvectors and eigenvalues of the weighted total scatter, by randomised subspace iteration.

    Parameters
    ----------
    chunks : callable
        The vectors; read once per pass, so that they need not fit in memory.
    weights : ndarray
        (N,) summing to 1.
    mean : ndarray
        (D,) their weighted mean.
    count : int
        Number of axes; fewer are returned if the data has fewer.
    tick : callable, optional
        Called after every chunk in each of `PASSES` passes.

    Returns
    -------
    axes : ndarray
        (D, K) float32, orthonormal.
    variances : ndarray
        (K,), descending.
    """
    width = min(count + _OVERSAMPLING, len(mean), len(weights))
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((len(mean), width), dtype=np.float32)
    for last in (False,) * (PASSES - 1) + (True,):
        basis = np.linalg.qr(basis)[0]
        product = np.zeros_like(basis)
        scatter = np.zeros((width, width))
        for rows, part in _weighted(chunks, weights):
            centred = part - mean.astype(np.float32)
            projected = centred @ basis
            scaled = projected * rows[:, None].astype(np.float32)
            if last:
                scatter += projected.T.astype(np.float64) @ scaled
            else:
                product += centred.T @ scaled
            if tick:
                tick()
        basis = basis if last else product
    variances, turn = np.linalg.eigh(scatter)
    order = np.argsort(variances)[::-1][:count]
    order = order[variances[order] > 1e-9 * variances.max()]
    return basis @ turn[:, order].astype(np.float32), variances[order]


def weighted_mean(chunks: Chunks, weights: Float) -> Float:
    """Return the mean (D,) of the vectors."""
    return np.sum([rows @ part.astype(np.float64) for rows, part in _weighted(chunks, weights)], axis=0)


def _weighted(chunks: Chunks, weights: Float) -> Iterator[tuple[Float, NDArray[np.float32]]]:
    start = 0
    for part in chunks():
        yield weights[start : start + len(part)], np.asarray(part, dtype=np.float32)
        start += len(part)


def class_means(whitened: Float, labels: NDArray[np.int64], weights: Float, classes: int) -> Float:
    """Return the weighted mean of each class, (classes, K)."""
    member = np.eye(classes)[labels] * weights[:, None]
    return (member.T @ whitened) / member.sum(axis=0)[:, None]


def discriminant_axes(whitened: Float, labels: NDArray[np.int64], weights: Float, classes: int) -> tuple[Float, Float]:
    """Return one attribute's axes in the whitened space, and their share of between-class scatter.

    Returns
    -------
    axes : ndarray
        (K, classes - 1), orthonormal: the leading eigenvectors of the between-class scatter.
    ratios : ndarray
        (classes - 1,) eigenvalues in [0, 1], descending: 1 means no variance within the classes.
    """
    means = class_means(whitened, labels, weights, classes)
    mass = np.bincount(labels, weights, minlength=classes)
    # The scatter between C classes is of rank C - 1: the eigenvectors of a small matrix give those of the large one.
    roots = np.sqrt(mass)[:, None] * (means - mass @ means / mass.sum())
    left, singular, _ = np.linalg.svd(roots.T, full_matrices=False)
    return left[:, : classes - 1], singular[: classes - 1] ** 2


def deflate(axes: Sequence[Float]) -> list[Float]:
    """Return the subspaces made mutually orthogonal simultaneously: no attribute has priority.

    The result is the orthonormal set nearest to the given one (Löwdin's). It does not depend on the order of the
    attributes, nor on the choice of axes within a subspace.
    """
    joint = np.concatenate(axes, axis=1)
    left, singular, right = np.linalg.svd(joint, full_matrices=False)
    if singular[-1] < 1e-6:
        raise DataError("the attributes cannot be told apart in this data: their axes coincide")
    return np.split(left @ right, np.cumsum([a.shape[1] for a in axes])[:-1], axis=1)


def identity_axes(attributes: Float, variances: Float, count: int) -> Float:
    """Return axes (K, count) of the identity residual: orthogonal to the attributes', by descending variance.

    Parameters
    ----------
    attributes : ndarray
        (K, A) the orthonormal axes of all attributes in the whitened space.
    variances : ndarray
        (K,) the variances used in whitening.
    """
    complement = np.linalg.svd(attributes, full_matrices=True)[0][:, attributes.shape[1] :]
    turn = np.linalg.eigh(complement.T @ (variances[:, None] * complement))[1][:, ::-1]
    return complement @ turn[:, :count]


def attribute_bases(whitened: Float, labels: Labels, weights: Float, classes: Mapping[str, int]) -> dict[str, Float]:
    """Return attribute -> (K, classes - 1) axes, orthonormal and orthogonal to those of all other attributes."""
    own = [discriminant_axes(whitened, labels[name], weights, classes[name])[0] for name in labels]
    return dict(zip(labels, deflate(own), strict=True))
