"""Formats are detected by content; bad files are refused in one line that says how to go on."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from facepriv.errors import ImageError
from facepriv.files import content_hash
from facepriv.image import MAX_PIXELS
from facepriv.image.decode import read_image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_the_content_tells_the_format_not_the_suffix(portrait, tmp_path, kind):
    path = tmp_path / "photo.anything"
    portrait.save(path, format=kind)
    photo = read_image(path)
    assert photo.format == kind
    assert photo.pixels.shape == (48, 64, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.content_hash == content_hash(path.read_bytes())


def png_bytes(width, height, depth, colour, rows=b""):
    """A PNG with the given header and (filtered) rows, which may be too few."""

    def chunk(name, payload):
        body = name + payload
        return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)], ids=["rgb", "grey-alpha", "rgba"])
def test_sixteen_bit_colour_png_is_refused(tmp_path, colour, channels):
    path = tmp_path / "deep.png"
    path.write_bytes(png_bytes(4, 2, 16, colour, (b"\0" + bytes(4 * channels * 2)) * 2))
    with pytest.raises(ImageError, match=r"deep\.png: 16-bit colour.*convert it to 8 bit"):
        read_image(path)


def test_sixteen_bit_colour_tiff_is_refused(tmp_path):
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.zeros((8, 8, 3), np.uint16), photometric="rgb")
    with pytest.raises(ImageError, match=r"deep\.tif: 16-bit colour"):
        read_image(path)


def test_a_sixteen_bit_png_with_a_transparent_value_is_refused(saved):
    with pytest.raises(ImageError, match="transparent value"):
        read_image(saved(Image.new("I;16", (8, 8)), "a.png", transparency=5))


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_other_pixel_modes_are_refused_with_the_fix(saved, mode):
    path = saved(Image.new(mode, (8, 8)), "odd.tif")
    with pytest.raises(ImageError, match=r"odd\.tif: .*not supported: convert it to"):
        read_image(path)


def _encoded(portrait, kind, **options):
    buffer = io.BytesIO()
    portrait.save(buffer, kind, **options)
    return buffer.getvalue()


def _animated(portrait, kind):
    return _encoded(portrait, kind, save_all=True, append_images=[portrait.rotate(90), portrait.rotate(180)])


BAD = {
    "text.jpg": (lambda p: b"no image at all\n", "is not an image that facepriv knows: convert it"),
    "empty.jpg": (lambda p: b"", "is empty"),
    "tiny.png": (lambda p: b"\x89PNG", "is not an image"),
    "cut.jpg": (lambda p: _encoded(p, "JPEG")[:600], "is damaged, cut short or"),
    "late.jpg": (lambda p: _encoded(p, "JPEG", quality=95)[:-400], "is damaged, cut short or"),
    "cut.png": (lambda p: _encoded(p, "PNG")[:-600], "is damaged, cut short or"),
    "cut.webp": (lambda p: _encoded(p, "WEBP")[:-300], "is damaged, cut short or"),
    "cut.tif": (lambda p: _encoded(p, "TIFF", compression="tiff_lzw")[:4000], "is damaged, cut short or"),
    "fax.tif": (lambda p: _encoded(p.convert("1"), "TIFF", compression="group4")[:60], "is damaged, cut short or"),
    "cut.bmp": (lambda p: _encoded(p, "BMP")[:-600], "is damaged, cut short or"),
    "bomb.png": (lambda p: png_bytes(50_000, 50_000, 8, 2), "50000 x 50000 pixels, over the limit"),
    "still.gif": (lambda p: _encoded(p, "GIF"), "is a GIF: convert it"),
    "moving.gif": (lambda p: _animated(p, "GIF"), "is a GIF: convert it"),
    "moving.png": (lambda p: _animated(p, "PNG"), "holds 3 frames or pages: save the one that you want"),
    "moving.webp": (lambda p: _animated(p, "WEBP"), "holds 3 frames or pages"),
    "pages.tif": (lambda p: _animated(p, "TIFF"), "holds 3 frames or pages"),
    "phone.heic": (lambda p: b"\0\0\0\x18ftypheic" + bytes(40), "is a HEIC or AVIF image"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_one_line_and_nothing_on_stderr(portrait, tmp_path, capfd, name):
    make, expected = BAD[name]
    path = tmp_path / name
    path.write_bytes(make(portrait))
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as seen, pytest.raises(ImageError) as raised:
        warnings.simplefilter("always")
        read_image(path)
    text = str(raised.value)
    assert text.startswith(f"{path}: ")
    assert expected in text
    assert "\n" not in text
    assert ": " in text.removeprefix(f"{path}: ")
    assert not seen
    assert capfd.readouterr().err == ""


def test_every_cut_of_a_jpeg_that_loses_pixels_is_noticed(portrait, tmp_path):
    data = _encoded(portrait, "JPEG", quality=95)
    path = tmp_path / "a.jpg"
    for end in range(1, len(data) - 2, 97):
        path.write_bytes(data[:end])
        with pytest.raises(ImageError):
            read_image(path)


def test_an_oversized_image_is_refused_from_its_header(portrait, saved, monkeypatch):
    def decoded(self):
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", decoded)
    with pytest.raises(ImageError, match="64 x 48 pixels, over the limit of 3,071: scale it down"):
        read_image(saved(portrait, "a.png"), max_pixels=64 * 48 - 1)


def test_the_limit_itself_is_within_the_limit(portrait, saved):
    assert read_image(saved(portrait, "a.png"), max_pixels=64 * 48).pixels.shape == (48, 64, 3)


def test_photos_beyond_pillows_own_limit_are_read_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "large.png"
    path.write_bytes(png_bytes(40, 40, 8, 0, (b"\0" + bytes(40)) * 40))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).pixels.shape == (40, 40)
    assert MAX_PIXELS >= 16_320 * 12_240


def test_a_file_too_long_for_any_image_is_not_read(tmp_path):
    path = tmp_path / "long.bmp"
    with open(path, "wb") as file:
        file.truncate(2**26 + 8 * 1000 + 1)
    with pytest.raises(ImageError, match="more than any image within the limit"):
        read_image(path, max_pixels=1000)


def test_missing_folder_pipe_and_unreadable_paths_are_named(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match=r"none\.jpg: no such file: check the name"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.jpg")
    (tmp_path / "file.jpg").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"cannot be read \(Not a directory\)"):
        read_image(tmp_path / "file.jpg" / "below.jpg")

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", denied)
    with pytest.raises(ImageError, match=r"file\.jpg: cannot be read \(Permission denied\): check"):
        read_image(tmp_path / "file.jpg")
