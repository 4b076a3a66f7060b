"""MTCNN finds faces of all sizes, at the border, in the dark and on their side, and none where there is none."""

import numpy as np
import pytest
from PIL import Image

from facepriv.faces import mtcnn, networks
from facepriv.faces.mtcnn import find

# dlib's box of the face in the file, and the centres of her eyes.
BOX = np.array((179.0, 83.0, 267.0, 171.0))
EYES = np.array([(204.0, 102.0), (246.0, 105.0)])


@pytest.fixture(scope="module")
def astronaut(astronaut_file):
    with Image.open(astronaut_file) as image:
        return image.convert("RGB")


def sure(photo, min_face=16):
    boxes, scores, points = find(np.asarray(photo), min_face)
    return boxes[scores > 0.7], points[scores > 0.7]


@pytest.mark.parametrize("times", [0.25, 0.5, 1, 2])
@pytest.mark.parametrize("kind", ["as it is", "dark", "pale", "mirrored"])
def test_a_face_of_any_size_is_found_with_its_eyes(astronaut, times, kind):
    photo = astronaut.resize((round(512 * times),) * 2, Image.Resampling.BICUBIC)
    eyes = EYES * times
    if kind == "dark":
        photo = photo.point(lambda v: v // 5)
    elif kind == "pale":
        photo = photo.point(lambda v: 150 + v // 5)
    elif kind == "mirrored":
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        eyes = (eyes * (-1, 1) + (photo.width, 0))[::-1]
    boxes, points = sure(photo)
    here = [n for n, box in enumerate(boxes) if (box[:2] < eyes.min(0)).all() and (box[2:] > eyes.max(0)).all()]
    assert len(here) == 1
    assert points[here[0], :2] == pytest.approx(eyes, abs=max(1.5, 5 * times))
    assert 0.6 < (boxes[here[0], 2] - boxes[here[0], 0]) / (88 * times) < 1.2


def test_a_face_of_sixteen_pixels_is_found_in_a_large_photo(astronaut):
    times = 16 / 78
    small = astronaut.resize((round(512 * times),) * 2, Image.Resampling.BOX)
    photo = Image.new("RGB", (1500, 1100), (120, 130, 110))
    photo.paste(small, (1300, 900))
    boxes, _ = sure(photo)
    middle = EYES.mean(0) * times + (1300, 900)
    assert any((box[:2] < middle).all() and (middle < box[2:]).all() for box in boxes)
    assert not len(sure(photo, min_face=60)[0])


def test_a_face_at_the_border_is_found(astronaut):
    cut = astronaut.crop((190, 80, 400, 300))  # her forehead and one cheek lie outside
    boxes, _ = sure(cut)
    assert len(boxes) == 1 and boxes[0, 0] < 15 and boxes[0, 1] < 15


@pytest.mark.parametrize("size", [(1, 1), (5, 3000), (12, 12), (79, 900), (300, 400)])
def test_nothing_is_found_in_a_flat_photo(size):
    boxes, scores, points = find(np.full((*size, 3), 128, np.uint8), 16)
    assert boxes.shape == (0, 4) and scores.shape == (0,) and points.shape == (0, 5, 2)


def test_noise_holds_no_face():
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    assert not len(sure(noise)[0])


def test_the_tiles_do_not_show(astronaut, monkeypatch):
    """A window is scored alike whichever tile holds it."""
    copy = np.asarray(astronaut.resize((160, 160), Image.Resampling.BILINEAR))
    boxes, scores = mtcnn._scan(copy, 1.0, 2.0)
    monkeypatch.setattr(mtcnn, "_ROWS", 7)
    monkeypatch.setattr(mtcnn, "_COLUMNS", 11)
    others, again = mtcnn._scan(copy, 1.0, 2.0)
    order, other = np.lexsort(boxes.T), np.lexsort(others.T)
    assert len(boxes) > 0
    assert boxes[order] == pytest.approx(others[other], abs=1e-3)
    assert scores[order] == pytest.approx(again[other], abs=1e-3)


def test_a_photo_without_a_sure_face_is_searched_again_with_care(astronaut, monkeypatch):
    asked, careful = [], mtcnn.search_carefully
    monkeypatch.setattr(mtcnn, "search_carefully", lambda photo, size: asked.append(size) or careful(photo, size))
    sure(astronaut)
    assert not asked
    sure(astronaut.rotate(180))
    assert asked == [16]


def test_patches_of_many_boxes_are_not_in_memory_together(astronaut, monkeypatch):
    """A photo may be made to look like a face everywhere."""
    counts, second = [], mtcnn.second
    monkeypatch.setattr(mtcnn, "second", lambda patches: counts.append(len(patches)) or second(patches))
    grid = np.stack(np.meshgrid(np.arange(40.0), np.arange(30.0)), -1).reshape(-1, 2) * 8
    everywhere = np.concatenate((grid, grid + 12), 1)
    monkeypatch.setattr(mtcnn, "proposals", lambda copy, least: (everywhere, np.ones(len(everywhere))))
    sure(astronaut.resize((640, 480)), 16)
    assert sum(counts) > 1000 and max(counts) <= 16


def test_boxes_that_shifts_turn_inside_out_are_dropped(astronaut, monkeypatch):
    """Shifts have no bounds, and photos may be made for them."""

    def third(patches):
        count = len(patches)
        return np.tile((2.0, 0, -2.0, 0), (count, 1)), np.full(count, 9.0), np.zeros((count, 5, 2))

    monkeypatch.setattr(mtcnn, "third", third)
    assert find(np.asarray(astronaut), 16)[0].shape == (0, 4)


def test_patches_are_interpolated_and_the_border_is_repeated():
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (60, 60, 3))
    boxes = np.array([(10.0, 10, 58, 58), (-24.0, 0, 24, 48), (10.5, 10.5, 58.5, 58.5)])
    ((inside, beyond, half),) = mtcnn.Candidates([ramp], boxes).run(lambda patches: patches[..., 0], 48)
    assert inside[5] == pytest.approx(ramp[0, 10:58, 0])
    assert (beyond[:, :24] == 0).all() and beyond[3, 24:] == pytest.approx(ramp[0, :24, 0])
    assert half[5] == pytest.approx(ramp[0, 10:58, 0] + 2)


def test_patches_come_from_the_coarsest_copy_that_fills_them_with_the_contrast_given():
    copies = [np.full((side, side, 3), value, np.uint8) for side, value in ((96, 10), (48, 20), (24, 30), (1, 40))]
    boxes = np.array([(0.0, 0, 12, 12), (0, 0, 45, 45), (0, 0, 90, 90), (0, 0, 5000, 5000)])
    contrast = 255 - np.arange(256, dtype=np.uint8)
    (patches,) = mtcnn.Candidates(copies, boxes, contrast).run(lambda patches: patches, 24)
    assert patches.shape == (4, 24, 24, 3)
    assert [np.unique(patch).tolist() for patch in patches] == [[245], [235], [225], [215]]


def test_a_batch_of_patches_gives_what_each_gives_alone():
    patches = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3)).astype(np.float32)
    together = networks.third(patches)
    for n in range(5):
        for whole, one in zip(together, networks.third(patches[n : n + 1]), strict=True):
            assert one[0] == pytest.approx(whole[n], abs=1e-3)
