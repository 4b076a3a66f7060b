"""A changed crop goes back without seam, and outside its mask every pixel stays as it was."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from facepriv.faces import Face, crop_face, feather_mask, find_faces, paste
from facepriv.faces.align import TEMPLATE, invert
from facepriv.faces.paste import emphasis

MODES = ["residual", "replacement"]


def face_at(scale, angle, middle):
    """A face whose square crop has that side, turn in degrees and middle (x, y) in the photo."""
    turn = np.deg2rad(angle)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = np.asarray(middle, float) - linear @ (0.5, 0.5)
    return Face((0.0, 0.0, 1.0, 1.0), TEMPLATE @ linear.T + shift)


def inside(face, shape, reach=0.0):
    """Where a photo's pixels lie in the crop's square, less a rim of `reach` of its side: (H, W) bool."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    inverse = invert(face.to_photo)
    crop = np.stack([x, y], axis=2) @ inverse[:, :2].T + inverse[:, 2]
    return ((crop >= reach) & (crop <= 1 - reach)).all(axis=2)


@pytest.fixture(params=["rgb", "grey", "deep"])
def photo(request):
    """Noise around mid-grey, so that no change is clipped: RGB, grey, 16-bit grey."""
    rng = np.random.default_rng(1)
    if request.param == "deep":
        return rng.integers(20_000, 40_000, (300, 260), dtype=np.uint16)
    return rng.integers(80, 150, (300, 260, 3) if request.param == "rgb" else (300, 260), dtype=np.uint8)


def crops(size, change):
    """A mid-grey crop, and the same changed by a constant."""
    before = np.full((size, size, 3), 0.5, np.float32)
    return before, before + np.float32(change)


@pytest.mark.parametrize("mode", MODES)
def test_equal_crops_leave_the_photo_untouched(photo, mode):
    before, after = crops(64, 0.0)
    kept = photo.copy()
    paste(photo, face_at(150, 10, (130, 150)), before, after, mode)
    assert np.array_equal(photo, kept)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("angle", [0, 33, -90, 180])
def test_outside_the_crop_every_pixel_is_bit_identical(photo, mode, angle):
    before, after = crops(64, 0.2)
    face, kept = face_at(150, angle, (130, 150)), photo.copy()
    paste(photo, face, before, after, mode)
    different = (photo != kept).reshape(*photo.shape[:2], -1).any(axis=2)
    assert not (different & ~inside(face, photo.shape)).any()
    assert different[inside(face, photo.shape, 0.2)].mean() > 0.95


@pytest.mark.parametrize("size", [32, 64, 224])
@pytest.mark.parametrize("scale", [90, 200])
@pytest.mark.parametrize("change", [0.1, -0.2])
def test_a_residual_changes_the_inside_by_what_was_asked(photo, size, scale, change):
    before, after = crops(size, change)
    face, kept = face_at(scale, 12, (130, 150)), photo.astype(float)
    paste(photo, face, before, after)
    core = inside(face, photo.shape, 0.3)
    moved = (photo - kept)[core] / np.iinfo(photo.dtype).max
    assert moved.mean() == pytest.approx(change, abs=0.003)
    assert moved.std() < 0.003  # the photo's own detail is all there


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("angle", [0, 33, -90])
def test_a_face_far_larger_than_its_crop_is_pasted_by_samples_and_looks_the_same(photo, mode, angle, monkeypatch):
    """Between samples it is linear: the rim stays exact, and the inside is what all pixels sampled would be."""
    rng = np.random.default_rng(0)
    before = np.full((48, 48, 3), 0.5, np.float32)
    change = Image.fromarray(rng.uniform(-60, 60, (9, 9)).astype(np.float32)).resize((48, 48), Image.Resampling.BICUBIC)
    after = before + (np.asarray(change) / 255)[:, :, None]
    photo = np.concatenate([np.concatenate([photo, photo])] * 2, axis=1)
    face, kept, dense = face_at(420, angle, (260.3, 300.8)), photo.copy(), photo.copy()
    paste(photo, face, before, after, mode)
    different = (photo != kept).reshape(*photo.shape[:2], -1).any(axis=2)
    assert different.any() and not (different & ~inside(face, photo.shape)).any()
    monkeypatch.setattr(sys.modules[paste.__module__], "_SAMPLES", {"residual": 1000, "replacement": 1000})
    paste(dense, face, before, after, mode)
    apart = np.abs(photo.astype(float) - dense) / np.iinfo(photo.dtype).max * 255
    assert 0 < apart.max() < 6 and apart.mean() < 0.5


def test_a_residual_adds_up_to_the_mask(photo):
    before, after = crops(100, 0.2)
    face, kept = face_at(200, 0, (130, 150)), photo.astype(float)
    paste(photo, face, before, after)
    expected = 0.2 * np.asarray(Image.fromarray(feather_mask(100)).resize((200, 200), Image.Resampling.BICUBIC))
    moved = (photo - kept).reshape(*photo.shape[:2], -1)[50:250, 30:230] / np.iinfo(photo.dtype).max
    assert np.abs(moved - expected[:, :, None]).max() < 0.006


def test_a_replacement_shows_the_changed_crop(photo):
    before, after = crops(64, 0.2)
    face = face_at(150, 12, (130, 150))
    paste(photo, face, before, after, "replacement")
    core = photo[inside(face, photo.shape, 0.3)] / np.iinfo(photo.dtype).max
    assert np.abs(core - 0.7).max() < 0.004


def test_a_replacement_leaves_the_photo_alone_where_the_crop_was_left_alone(photo):
    before, after = crops(64, 0.0)
    after[20:44, 20:44] += np.float32(0.3)
    face, kept = face_at(150, 0, (130, 150)), photo.copy()
    paste(photo, face, before, after, "replacement")
    different = (photo != kept).reshape(*photo.shape[:2], -1).any(axis=2)
    assert different[inside(face, photo.shape, 0.36)].mean() > 0.95
    assert not different[~inside(face, photo.shape, 0.25)].any()  # two pixels of the crop for resampling


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("scale", "angle"), [(40, 33), (150, -10), (700, 0), (700, 25)])
def test_where_nothing_can_change_nothing_is_computed(photo, mode, scale, angle, monkeypatch):
    """The result is that of computing the whole square, apart from rounding of its coordinates."""
    before, after = crops(64, 0.0)
    after[5:30, 35:50] += np.random.default_rng(0).uniform(-0.2, 0.2, (25, 15, 3)).astype(np.float32)
    part, whole, face = photo.copy(), photo.copy(), face_at(scale, angle, (130, 150))
    paste(part, face, before, after, mode)
    module, sizes = sys.modules["facepriv.faces.paste"], []
    region = module._region

    def unbounded(shape, face, planes, samples):
        found = [region(shape, face, each, samples) for each in (planes, np.ones_like(planes))]
        sizes.extend(np.prod([s.stop - s.start for s in slices]) for slices in found)
        return found[1]

    monkeypatch.setattr(module, "_region", unbounded)
    paste(whole, face, before, after, mode)
    assert sizes[0] < 0.7 * sizes[1]
    assert (part != whole).mean() < 1e-4 and (part != photo).any()


def test_a_change_that_the_mask_hides_leaves_the_photo_untouched(photo):
    before, after = crops(64, 0.0)
    after[0, 0] += np.float32(0.3)
    kept = photo.copy()
    paste(photo, face_at(150, 0, (130, 150)), before, after)
    assert np.array_equal(photo, kept)


def test_a_replacement_with_specks_that_did_not_change_is_pasted_whole(photo):
    before, after = crops(64, 0.3)
    dotted, whole = photo.copy(), photo.copy()
    paste(whole, face_at(150, 0, (130, 150)), before, after, "replacement")
    before = before.copy()
    before[::7, ::7] = after[::7, ::7]
    paste(dotted, face_at(150, 0, (130, 150)), before, after, "replacement")
    assert np.array_equal(dotted, whole)


@pytest.mark.parametrize(("value", "change", "expected"), [(250, 0.5, 255), (5, -0.5, 0)])
def test_values_are_clipped_not_wrapped(value, change, expected):
    photo = np.full((100, 100, 3), value, np.uint8)
    before, after = crops(128, change)
    paste(photo, face_at(90, 0, (50, 50)), before, after)
    assert (photo[35:65, 35:65] == expected).all()
    assert set(np.unique(photo)) <= set(range(min(value, expected), max(value, expected) + 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("middle", [(0, 0), (255, 150), (-60, 150), (130, 340), (-1000, -1000), (5000, 150)])
def test_a_face_partly_or_wholly_outside_the_photo(photo, mode, middle):
    before, after = crops(64, 0.2)
    face, kept = face_at(150, 20, middle), photo.copy()
    paste(photo, face, before, after, mode)
    different = (photo != kept).reshape(*photo.shape[:2], -1).any(axis=2)
    assert not (different & ~inside(face, photo.shape)).any()
    core = inside(face, photo.shape, 0.3)
    assert not core.any() or different[core].mean() > 0.9


def test_a_face_across_the_border_is_pasted_like_one_inside():
    before, after = crops(64, 0.2)
    whole, part = np.full((300, 300), 100, np.uint8), np.full((300, 200), 100, np.uint8)
    for photo in (whole, part):
        paste(photo, face_at(150, 20, (180, 150)), before, after)
    assert np.array_equal(whole[:, :200], part)


def test_a_crop_finer_than_the_photo_does_not_alias():
    # A checkerboard of single pixels at 224 is plain grey in a face of 40 pixels.
    before = np.full((224, 224, 3), 0.5, np.float32)
    after = before.copy()
    after[::2, ::2] = after[1::2, 1::2] = 0.9
    photo = np.full((100, 100, 3), 100, np.uint8)
    paste(photo, face_at(40, 7, (50, 50)), before, after)
    core = photo[44:56, 44:56].astype(int)
    assert np.abs(core - (100 + emphasis(40) * 0.2 * 255)).max() <= 4


@pytest.mark.parametrize(("side", "factor"), [(200, 1), (80, 1), (60, 1.1714), (32, 1.6553)])
def test_small_faces_get_more_of_a_change(side, factor):
    before, after = crops(64, 0.2)
    photo = np.full((300, 300), 100, np.uint8)
    paste(photo, face_at(side, 0, (150, 150)), before, after)
    assert photo[150, 150] - 100 == pytest.approx(factor * 0.2 * 255, abs=1)


def test_a_large_paste_has_no_seam_between_its_strips():
    before, after = crops(64, 0.2)
    photo = np.full((1500, 1500), 100, np.uint8)
    paste(photo, face_at(1200, 5, (750, 750)), before, after)
    steps = np.abs(np.diff(photo.astype(int), axis=0))
    assert steps.max() <= 1


def test_pixels_are_changed_in_place_through_a_view(photo):
    before, after = crops(64, 0.2)
    framed = np.pad(photo, ((10, 10), (10, 10), (0, 0))[: photo.ndim])
    view = framed[10:-10, 10:-10]
    paste(view, face_at(150, 10, (130, 150)), before, after)
    paste(photo, face_at(150, 10, (130, 150)), before, after)
    assert np.array_equal(view, photo)
    assert not framed[:10].any()


@pytest.mark.parametrize("mode", MODES)
def test_a_blurred_real_face_has_no_halo(hopper_file, mode):
    photo = np.asarray(Image.open(hopper_file).convert("RGB")).copy()
    kept = photo.copy()
    face = find_faces(photo)[0]
    before = crop_face(photo, face, 128)
    blurred = Image.fromarray(np.rint(before * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(5))
    paste(photo, face, before, np.asarray(blurred, np.float32) / 255, mode)
    change = np.abs(photo.astype(int) - kept)
    square, core = inside(face, photo.shape), inside(face, photo.shape, 0.2)
    rim = square & ~inside(face, photo.shape, 0.01)
    assert change[core].mean() > 5
    assert change[rim].max() <= 4
    assert not change[~square].any()


def test_cutting_and_pasting_a_real_face_gives_the_change_back(astronaut_file):
    photo = np.asarray(Image.open(astronaut_file).convert("RGB")).copy()
    face = find_faces(photo)[0]
    before = crop_face(photo, face, 128)
    after = np.clip(before * np.float32(0.8) + np.float32(0.05), 0, 1)
    paste(photo, face, before, after)
    again = crop_face(photo, face, 128)
    middle = slice(32, 96)
    assert np.abs(again[middle, middle] - after[middle, middle]).mean() < 0.01


@settings(deadline=None)
@given(st.integers(8, 256))
def test_the_mask_is_whole_inside_nothing_at_the_rim_and_even(size):
    mask = feather_mask(size)
    assert mask.shape == (size, size)
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() <= 1
    middle = slice(size // 2 - size // 8, size // 2 + size // 8)
    assert (mask[middle, middle] == 1).all()
    assert np.array_equal(mask, mask.T)
    assert np.allclose(mask, mask[::-1], atol=1e-6)
    # Falling from the middle to the rim.
    half = mask[size // 2, size // 2 :]
    assert (np.diff(half) <= 1e-6).all()


def test_the_mask_falls_to_nothing_without_a_step():
    mask = feather_mask(224)
    assert mask[0].max() < 0.002
    assert mask[0, 0] == 0
    assert np.abs(np.diff(mask, axis=0)).max() < 0.06


def test_the_mask_is_shared_and_cannot_be_changed():
    assert feather_mask(64) is feather_mask(64)
    with pytest.raises(ValueError, match="read-only"):
        feather_mask(64)[0, 0] = 1
