"""What is proposed holds the faces, whatever their size; the networks compute what they say."""

import numpy as np
import pytest
import torch
from PIL import Image

from facepriv.faces import networks
from facepriv.faces import propose as proposals
from facepriv.faces.boxes import overlap, shared_of_smaller, suppress
from facepriv.faces.propose import propose
from facepriv.weights import load_weights


@pytest.fixture(scope="module")
def astronaut(astronaut_file):
    with Image.open(astronaut_file) as image:
        return image.convert("RGB")


# dlib's box of the face in the file.
ASTRONAUT = np.array((179.0, 83.0, 267.0, 171.0))


@pytest.mark.parametrize("times", [1, 1.7, 3, 6])
@pytest.mark.parametrize("kind", ["as it is", "grey", "dark", "pale", "mirrored"])
def test_a_face_of_any_size_is_proposed_as_a_square_first(astronaut, times, kind):
    photo = astronaut.resize((round(512 * times), round(512 * times)), Image.Resampling.BICUBIC)
    face = ASTRONAUT * times
    if kind == "grey":
        photo = photo.convert("L").convert("RGB")
    elif kind == "dark":
        photo = photo.point(lambda v: v // 3)
    elif kind == "pale":
        photo = photo.point(lambda v: 150 + v // 5)
    elif kind == "mirrored":
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        face = np.array((photo.width - face[2], face[1], photo.width - face[0], face[3]))
    found = propose(np.asarray(photo))
    assert found.dtype == np.float64 and found.shape[1] == 4
    assert found[:, 2] - found[:, 0] == pytest.approx(found[:, 3] - found[:, 1])
    assert overlap(face, found)[0] > 0.5
    assert 1 <= (found[0, 2] - found[0, 0]) / (face[2] - face[0]) < 1.45


def test_twelve_faces_are_proposed_once_each(astronaut):
    group = Image.new("RGB", (2400, 930), (90, 90, 90))
    person = astronaut.crop((100, 0, 350, 250))
    for n in range(12):
        group.paste(person, (20 + n % 6 * 395, 60 + n // 6 * 440))
    found = propose(np.asarray(group))
    faces = [
        ASTRONAUT[[0, 1, 0, 1]] - (100, 0, 100, 0) + (0, 0, 88, 88) + (x, y, x, y)
        for x, y in ((20 + n % 6 * 395, 60 + n // 6 * 440) for n in range(12))
    ]
    assert [int((overlap(face, found) > 0.45).sum()) for face in faces] == [1] * 12


@pytest.mark.parametrize("size", [(1, 1), (3000, 5), (900, 79), (700, 900)])
def test_nothing_is_proposed_where_nothing_is(size):
    assert propose(np.full((*size, 3), 128, np.uint8)).shape == (0, 4)


def test_the_same_photo_gives_the_same_proposals(astronaut):
    rgb = np.asarray(astronaut)
    assert np.array_equal(propose(rgb), propose(rgb))


@pytest.mark.parametrize(("rows", "some"), [(0.8, True), (1.3, False)])
def test_of_an_overexposed_photo_nothing_is_proposed(astronaut, rows, some):
    photo = np.minimum(astronaut, 240)
    photo[: round(rows * proposals.BURNT * 512)] = 255
    assert (len(propose(photo)) > 0) == some


def test_a_box_that_a_shift_turns_inside_out_is_dropped(astronaut, monkeypatch):
    """Shifts have no bounds, and photos may be made for them."""
    monkeypatch.setattr(
        proposals,
        "second",
        lambda patches: (np.tile((2.0, 0, -2.0, 0), (len(patches), 1)), np.full(len(patches), 9)),
    )
    assert propose(np.asarray(astronaut)).shape == (0, 4)


def test_a_layer_is_a_correlation_and_a_prelu(monkeypatch):
    rng = np.random.default_rng(0)
    shapes = {"weight": (4, 3, 3, 3), "bias": (4,), "slope": (4,)}
    layer = {part: rng.normal(size=shape).astype(np.float32) for part, shape in shapes.items()}
    tensors = {f"layer.{part}": torch.from_numpy(values) for part, values in layer.items()}
    monkeypatch.setattr(networks, "weights", lambda: tensors)
    x = rng.normal(size=(2, 3, 6, 8)).astype(np.float32)
    out = networks.convolve(torch.from_numpy(x), "layer").numpy()
    assert out.shape == (2, 4, 4, 6)
    for n, o, row, column in np.ndindex(out.shape):
        there = (x[n, :, row : row + 3, column : column + 3] * layer["weight"][o]).sum() + layer["bias"][o]
        expected = there if there > 0 else there * layer["slope"][o]
        assert out[n, o, row, column] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_patches_are_cut_from_their_copies_and_the_border_is_continued():
    fine = np.arange(48 * 48 * 3, dtype=np.uint32).reshape(48, 48, 3).astype(np.uint8)
    coarse = fine[::2, ::2]
    boxes = np.array([(12.0, 6.0, 36.0, 30.0), (-12.0, -12.0, 12.0, 12.0)])
    patches = proposals._patches([fine, coarse], np.array([0, 1]), boxes)
    assert np.array_equal(patches[0], fine[6:30, 12:36])
    assert np.array_equal(patches[1, 12:, 12:], coarse[:12, :12])
    assert (patches[1, :12, :12] == coarse[0, 0]).all()


def test_overlap_is_the_intersection_over_the_union():
    box = np.array((0.0, 0.0, 2.0, 2.0))
    others = np.array([(0.0, 0.0, 2.0, 2.0), (1.0, 0.0, 3.0, 2.0), (5.0, 5.0, 6.0, 6.0), (2.0, 0.0, 4.0, 2.0)])
    assert overlap(box, others) == pytest.approx([1, 1 / 3, 0, 0])


def test_of_boxes_that_overlap_the_best_is_kept():
    boxes = np.array([(0.0, 0.0, 10.0, 10.0), (1.0, 0.0, 11.0, 10.0), (20.0, 0.0, 30.0, 10.0)])
    assert suppress(boxes, np.array((0.5, 0.9, 0.1)), 0.5) == [1, 2]
    assert suppress(boxes, np.array((0.5, 0.9, 0.1)), 0.9) == [1, 0, 2]
    assert suppress(boxes[:0], np.zeros(0), 0.5) == []


def test_boxes_are_suppressed_as_if_each_were_compared_with_every_other():
    rng = np.random.default_rng(0)
    low, sides = rng.uniform(0, 200, (400, 2)), rng.uniform(5, 60, (400, 2))
    boxes, scores = np.concatenate((low, low + sides), 1), rng.normal(size=400)
    for measure in (overlap, shared_of_smaller):
        expected: list[int] = []
        for n in np.argsort(-scores):
            if not expected or (measure(boxes[n], boxes[expected]) <= 0.3).all():
                expected.append(n)
        assert suppress(boxes, scores, 0.3, measure) == expected


def test_the_weights_say_whose_they_are():
    held = load_weights(networks.WEIGHTS, architecture=networks.ARCHITECTURE)
    assert "Kaipeng Zhang" in held.metadata.provenance.licence
    assert sum(array.size for array in held.tensors.values()) == 6_632 + 100_178 + 389_040
    licence = networks.WEIGHTS.with_name("mtcnn-LICENSE.txt").read_text()
    assert "Kaipeng Zhang" in licence and "Permission is hereby granted" in licence


def test_percentiles_of_counts_are_those_of_the_values():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(0, rng.integers(2, 257), tuple(rng.integers(1, 30, 2))).astype(np.uint8)
        counts = np.bincount(values.ravel(), minlength=256)
        assert proposals._percentiles(counts, (1, 99)) == pytest.approx(np.percentile(values, (1, 99)))
