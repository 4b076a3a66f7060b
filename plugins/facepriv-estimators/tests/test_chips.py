"""Windows of our crop: dlib's chip as dlib cuts it, ArcFace's square where ArcFace wants the eyes."""

import dlib
import numpy as np
import pytest
from facepriv_estimators.chips import arcface_chips, arcface_window, cut, dlib_chips

from facepriv.errors import ContractError
from facepriv.faces import crop_faces, find_faces
from facepriv.faces.align import TEMPLATE


@pytest.mark.parametrize(("padding", "size"), [(0.25, 150), (0.2, 64), (0.2, 32)])
def test_chip_is_the_one_that_dlib_cuts_out_of_the_photo(portraits, dlib_shape, padding, size):
    for rgb in portraits:
        face = find_faces(rgb)[0]
        theirs = dlib.get_face_chip(rgb, dlib_shape(rgb, face), size=size, padding=padding).astype(np.float32)
        for crop_size in (112, 128, 224):
            ours = dlib_chips(crop_faces(rgb, [face], crop_size), padding, size)[0] * 255
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98
            # In place to well under a pixel: a shift by one is clearly worse, whichever way.
            shifted = [np.abs(np.roll(ours, by, axis) - theirs).mean() for by in (-1, 1) for axis in (0, 1)]
            assert min(shifted) > 1.35 * np.abs(ours - theirs).mean()


def test_arcface_square_puts_the_eyes_where_arcface_wants_them():
    size = 224
    crop = np.zeros((1, size, size, 3), np.float32)
    eyes = [TEMPLATE[2:4].mean(axis=0), TEMPLATE[0:2].mean(axis=0)]
    for channel, (x, y) in enumerate(eyes):
        column, row = (int(v * size) for v in (x, y))
        crop[0, row - 2 : row + 3, column - 2 : column + 3, channel] = 1
    chip = arcface_chips(crop)[0]
    for channel, wanted in enumerate([(38.29, 51.70), (73.53, 51.50)]):
        weight = chip[:, :, channel] / chip[:, :, channel].sum()
        at = (weight.sum(axis=0) @ np.arange(112), weight.sum(axis=1) @ np.arange(112))
        assert at == pytest.approx(wanted, abs=0.5)


def test_what_lies_above_the_crop_repeats_its_border():
    left, top, right, bottom = arcface_window()
    assert top < 0 <= left < right <= 1 and bottom < 1
    crop = np.zeros((1, 128, 128, 3), np.float32)
    crop[:, 0] = 1
    assert arcface_chips(crop)[0, 0] == pytest.approx(1)


def test_the_whole_window_is_the_crop_itself(portrait_crops):
    assert np.array_equal(cut(portrait_crops, (0, 0, 1, 1), 128), portrait_crops)


def test_chips_stay_in_range_and_do_not_depend_on_the_batch(portrait_crops):
    checks = np.indices((128, 128)).sum(axis=0) // 4 % 2
    images = np.concatenate([portrait_crops, np.broadcast_to(checks[None, :, :, None], (1, 128, 128, 3))], axis=0)
    images = images.astype(np.float32)
    for chips in (dlib_chips(images, 0.25, 150), arcface_chips(images)):
        assert chips.dtype == np.float32
        assert chips.min() >= 0 and chips.max() <= 1
    together = dlib_chips(images, 0.2, 32)
    assert all(np.array_equal(together[n], dlib_chips(images[n : n + 1], 0.2, 32)[0]) for n in range(3))


def test_no_face_gives_no_chip_and_bytes_are_refused():
    assert dlib_chips(np.zeros((0, 128, 128, 3), np.float32), 0.2, 32).shape == (0, 32, 32, 3)
    with pytest.raises(ContractError, match="expected float32, got uint8"):
        dlib_chips(np.zeros((1, 128, 128, 3), np.uint8), 0.2, 32)
