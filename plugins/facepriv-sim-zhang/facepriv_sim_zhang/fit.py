"""Fits the decomposition to a pack. The vectors go to a file and are read in chunks: they need not fit in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.datasets.pack import Pack
from facepriv.errors import DataError
from facepriv.faces.detect import landmarks_of_crop
from facepriv.schema import ATTRIBUTES
from facepriv_sim_zhang import calibrate, decompose
from facepriv_sim_zhang.encoding import Encoding, face_region, rescaled
from facepriv_sim_zhang.model import Model
from facepriv_sim_zhang.recipe import Recipe

_CHUNK = 256
#: The calibrated attribute. Race is left out: its rare classes have too few faces for leaks that hold for others.
CALIBRATED = "gender"
Labels = dict[str, NDArray[np.int64]]
Rows = NDArray[np.int64]


def usable(pack: Pack, part: str, recipe: Recipe) -> Rows:
    """Return the rows of a part with all attributes known and at least the recipe's age."""
    rows = pack.where(part=part)
    known = np.all([pack.labels[name][rows] >= 0 for name in ATTRIBUTES], axis=0)
    rows = rows[known & ~(pack.years[rows] < recipe.min_age)]
    if len(rows) < 2 * len(ATTRIBUTES):
        raise DataError(f"{len(rows)} faces of the pack's {part} part have gender, race and age: too few for a fit")
    return rows


def landmarks(pack: Pack, rows: Rows, tick: Callable[[], None]) -> NDArray[np.float32]:
    """Return the landmarks (N, 68, 2) of rows of a pack, in pixels of its crops."""
    found = np.empty((len(rows), 68, 2), dtype=np.float32)
    for n, row in enumerate(rows):
        found[n] = landmarks_of_crop(np.asarray(pack.crops[row]))
        tick()
    return found


def write_vectors(
    path: Path, pack: Pack, rows: Rows, points: NDArray[np.float32], encoding: Encoding, tick: Callable[[], None]
) -> NDArray[np.float16]:
    """Encode rows of a pack into a file; return its memory map, (N, D) float16."""
    vectors = np.lib.format.open_memmap(path, "w+", np.float16, (len(rows), encoding.length))
    for n, row in enumerate(rows):
        image = np.asarray(pack.crops[row], dtype=np.float32) / np.float32(255)
        vectors[n] = encoding.encode(image, points[n])
        tick()
    return vectors


def steps(count: int, recipe: Recipe) -> int:
    """Return the number of calls of `tick` in `fit` for `count` faces."""
    return 2 * count + decompose.PASSES * -(-count // _CHUNK) + min(count, recipe.calibration)


def fit(pack: Pack, recipe: Recipe, work: Path, tick: Callable[[], None]) -> Model:
    """Fit a model to the training part of a pack.

    Parameters
    ----------
    work : Path
        Folder for the vectors, two bytes per number; they are removed afterwards.
    tick : callable
        Called `steps` times, for a progress bar.

    Raises
    ------
    DataError
        If too few faces have all labels, or a class has none.
    """
    rows = usable(pack, "train", recipe)
    labels = {name: pack.labels[name][rows] for name in ATTRIBUTES}
    side = pack.crops.shape[1]
    points = landmarks(pack, rows, tick)
    mean_shape = rescaled(points.mean(axis=0), side, recipe.size)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        plain = Encoding(mean_shape, face_region(mean_shape, recipe.size), 1.0)
        vectors = write_vectors(Path(folder) / "vectors.npy", pack, rows, points, plain, tick)
        model = fit_vectors(vectors, labels, plain, recipe, tick)
    some = np.linspace(0, len(rows) - 1, min(len(rows), recipe.calibration)).astype(int)
    asked, moved = calibrate.photo_moves(model, pack, rows[some], points[some], CALIBRATED, tick)
    return calibrate.without_leak(model, CALIBRATED, asked, moved)


def fit_vectors(
    vectors: NDArray[np.floating], labels: Labels, plain: Encoding, recipe: Recipe, tick: Callable[[], None]
) -> Model:
    """Fit a model to vectors (N, D), encoded with a shape weight of 1, and their labels."""
    weights = decompose.class_weights(
        labels, {name: len(ATTRIBUTES[name].classes) for name in labels}, balance=recipe.balance, limit=recipe.limit
    )
    encoding = replace(plain, shape_weight=balanced_shape_weight(vectors, plain.colours))

    def chunks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(vectors), _CHUNK):
            part = np.asarray(vectors[start : start + _CHUNK], dtype=np.float32)
            part[:, plain.colours :] *= encoding.shape_weight
            yield part

    mean = decompose.weighted_mean(chunks, weights)
    axes, variances = decompose.principal_axes(chunks, weights, mean, recipe.axes, tick=tick)
    offset = mean.astype(np.float32)
    projected = np.concatenate([(part - offset) @ axes for part in chunks()]).astype(np.float64)
    whitened = projected / np.sqrt(variances)
    bases = decompose.attribute_bases(whitened, labels, weights, {n: len(ATTRIBUTES[n].classes) for n in labels})
    joint = np.concatenate(list(bases.values()), axis=1)
    joint = np.concatenate([joint, decompose.identity_axes(joint, variances, recipe.identity_axes)], axis=1)
    classes = {
        name: (decompose.class_means(whitened, labels[name], weights, basis.shape[1] + 1) @ basis).astype(np.float32)
        for name, basis in bases.items()
    }
    roots = np.sqrt(variances)[:, None]
    return Model(
        encoding,
        mean=offset,
        analysis=axes @ (joint / roots).astype(np.float32),
        synthesis=axes @ (joint * roots).astype(np.float32),
        classes=classes,
    )


def balanced_shape_weight(vectors: NDArray[np.floating], appearance: int, sample: int = 500) -> float:
    """Return the weight that equalises the total variances of landmarks and appearance, on an even face sample."""
    some = np.asarray(vectors[:: max(1, len(vectors) // sample)], dtype=np.float32)
    return float(np.sqrt(some[:, :appearance].var(axis=0).sum() / some[:, appearance:].var(axis=0).sum()))


def held_out_accuracy(model: Model, pack: Pack, recipe: Recipe) -> dict[str, float]:
    """Return the accuracy of the nearest class mean, on an attribute's own axes, on the validation part.

    Attribute -> share, balanced over its classes; empty if the pack has no validation part.
    """
    if not len(pack.where(part="validation")):
        return {}
    rows = usable(pack, "validation", recipe)
    vectors = [encode_row(model.encoding, pack, int(row)) for row in rows]
    coordinates = np.stack([model.coordinates(vector) for vector in vectors])
    figures = {}
    for name, means in model.classes.items():
        own, truth = coordinates[:, model.columns[name]], pack.labels[name][rows]
        right = ((own[:, None] - means) ** 2).sum(axis=2).argmin(axis=1) == truth
        figures[name] = round(float(np.mean([right[truth == label].mean() for label in np.unique(truth)])), 4)
    return figures


def encode_row(encoding: Encoding, pack: Pack, row: int) -> NDArray[np.float32]:
    """Return the vector of one row of a pack."""
    crop = np.asarray(pack.crops[row])
    return encoding.encode(crop.astype(np.float32) / np.float32(255), landmarks_of_crop(crop))
