"""Files are written whole or not at all, in a format that can hold the photo; a photo in memory stays as it is."""

import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from facepriv.cli import main
from facepriv.errors import ContractError, ImageError
from facepriv.files import atomic_write
from facepriv.image import IMAGE_SUFFIXES, output_format
from facepriv.image.decode import read_image
from facepriv.image.encode import write_image
from facepriv.image.photo import Photo

LOSSLESS = (".png", ".tif", ".webp", ".bmp")


@pytest.mark.parametrize(
    ("mode", "name", "what"),
    [
        ("RGBA", "out.jpg", "transparency"),
        ("LA", "out.bmp", "transparency"),
        ("I;16", "out.jpg", "16 bits"),
        ("I;16", "out.webp", "16 bits"),
        ("I;16", "out.bmp", "16 bits"),
        ("CMYK", "out.png", "CMYK"),
        ("CMYK", "out.webp", "CMYK"),
    ],
)
def test_a_format_that_cannot_hold_the_photo_is_refused(tmp_path, saved, mode, name, what):
    photo = read_image(saved(Image.new(mode, (8, 8)), "in.tif"))
    with pytest.raises(ImageError, match=rf"out\.\w+: \w+ cannot hold {what}.* is a TIFF by its content: rename"):
        write_image(photo, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_photo_under_a_name_of_another_format_is_called_what_it_is(tiny, small_faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.dstack([small_faces[0], np.full(small_faces[0].shape[:2], 200, np.uint8)])
    Image.fromarray(pixels).save("p.jpg", format="PNG")
    line = "apply p.jpg -o out --method darken --obfuscate gender --workers 1"
    result = CliRunner().invoke(main, line.split())
    assert result.exit_code == 1
    assert "p.jpg: JPEG cannot hold transparency: the photo is a PNG by its content: rename it to .png" in result.stderr
    Path("p.jpg").rename("p.png")
    result = CliRunner().invoke(main, line.replace("p.jpg", "p.png").split())
    assert result.exit_code == 0, result.output
    assert read_image("out/p.png").alpha is not None


def test_bmp_cannot_hold_a_profile_and_webp_no_wide_image(portrait, saved, profile, tmp_path, rewritten):
    with pytest.raises(ImageError, match="BMP cannot hold a colour profile"):
        rewritten(saved(portrait, "a.png", icc_profile=profile), ".bmp")
    with pytest.raises(ImageError, match="WEBP cannot hold 16384 x 1 pixels"):
        write_image(Photo(np.zeros((1, 16_384), np.uint8), mode="L"), tmp_path / "wide.webp")


@pytest.mark.parametrize("name", ["out.gif", "out", "out.jpg.txt"])
def test_unknown_output_suffixes_are_refused_with_the_known_ones(portrait, saved, name):
    photo = read_image(saved(portrait, "a.png"))
    with pytest.raises(ImageError, match=r"unknown output suffix.*use one of \.jpg"):
        write_image(photo, name)


def test_suffixes_are_read_without_regard_to_case(tmp_path):
    assert output_format(tmp_path / "A.JPG") == "JPEG"
    assert set(IMAGE_SUFFIXES.values()) == {"JPEG", "PNG", "WEBP", "TIFF", "BMP"}


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, failing):
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(ImageError, match=r"a\.bin: cannot be written \(No space left on device\): "):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_bytes_are_on_disk_before_the_name(tmp_path, monkeypatch):
    steps = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda number: steps.append(("synced", os.fstat(number).st_size)))
    monkeypatch.setattr(os, "replace", lambda old, new: (steps.append("named"), replace(old, new)))
    atomic_write(tmp_path / "a.bin", b"12345")
    assert steps == [("synced", 5), "named"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a.bin", b"new")
    assert os.listdir(tmp_path) == []


def test_an_encoder_that_fails_leaves_nothing_and_is_one_line(tmp_path, monkeypatch):
    def broken(self, file, **options):
        file.write(b"half a file")
        raise OSError("encoder error -2\nwhen writing")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(ImageError, match=r"a\.png: cannot be written as PNG \(.*error -2 when writing\)"):
        write_image(Photo(np.zeros((4, 4), np.uint8), mode="L"), tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


def test_folders_are_made_and_targets_that_cannot_be_are_named(tmp_path):
    atomic_write(tmp_path / "a" / "b" / "c.bin", b"x")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"x"
    with pytest.raises(ImageError, match=r"d\.bin: cannot be written"):
        atomic_write(tmp_path / "a" / "b" / "c.bin" / "d.bin", b"x")
    with pytest.raises(ImageError, match=r"/b: cannot be written"):
        atomic_write(tmp_path / "a" / "b", b"x")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "c.bin"]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_mode_bits_follow_the_umask(tmp_path, mask):
    path = tmp_path / "a.bin"
    before = os.umask(mask)
    try:
        atomic_write(path, b"x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_writing_twice_gives_the_same_bytes(portrait, saved, rewritten):
    for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp"):
        path = saved(portrait, f"a{suffix}")
        assert rewritten(path).read_bytes() == rewritten(path).read_bytes()


def test_a_photo_cannot_be_changed_in_place(portrait, saved):
    photo = read_image(saved(portrait, "a.png"))
    with pytest.raises(ValueError, match="read-only"):
        photo.pixels[0, 0] = 0
    with pytest.raises(FrozenInstanceError):
        photo.mode = "L"


def test_other_pixels_leave_the_first_photo_and_the_callers_array_alone(portrait, saved):
    photo = read_image(saved(portrait, "a.png"))
    pixels = 255 - photo.pixels
    changed = photo.with_pixels(pixels)
    assert np.array_equal(photo.pixels, np.asarray(portrait))
    assert changed.content_hash == photo.content_hash
    pixels[:] = 0  # still writable


def test_a_photo_from_an_array_is_named_by_its_pixels_shape_and_dtype():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    wide = pixels.astype(np.uint16)
    others = [pixels + 1, pixels.reshape(2, 8, 3), wide[:, :, 0], wide[:, :, 0].astype(np.uint8), pixels[::-1]]
    hashes = {Photo(one).content_hash for one in (pixels, *others)}
    assert len(hashes) == 6
    assert all(len(one) == 64 for one in hashes)
    assert Photo(pixels.copy()).content_hash == Photo(pixels).content_hash
    assert Photo(pixels, "from a file").content_hash == "from a file"
    assert Photo(pixels).with_pixels(pixels + 1).content_hash == Photo(pixels).content_hash


@pytest.mark.parametrize("wrong", [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32)])
def test_pixels_of_another_shape_or_dtype_are_refused(portrait, saved, wrong):
    photo = read_image(saved(portrait, "a.png"))
    with pytest.raises(ContractError, match=r"expected uint8 \(48, 64, 3\), got"):
        photo.with_pixels(wrong)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=st.sampled_from([(np.uint8, ()), (np.uint8, (3,)), (np.uint16, ())]).flatmap(
        lambda kind: st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
            lambda side: hnp.arrays(kind[0], (*side, *kind[1]))
        )
    ),
    suffix=st.sampled_from(LOSSLESS),
)
def test_any_pixels_survive_a_lossless_file(tmp_path, pixels, suffix):
    if pixels.dtype == np.uint16 and suffix not in (".png", ".tif"):
        return
    mode = "I;16" if pixels.dtype == np.uint16 else "L" if pixels.ndim == 2 else "RGB"
    path = tmp_path / f"a{suffix}"
    write_image(Photo(pixels, mode=mode), path)
    back = read_image(path).pixels
    if back.ndim < pixels.ndim:
        back = np.repeat(back[:, :, None], 3, axis=2)
    assert np.array_equal(back, pixels)
