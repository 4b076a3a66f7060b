"""What goes out looks as it came in, nothing leaks, nothing is half-written, and bad files say so in one line."""

import io
import os
import struct
import warnings
import zlib
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps, PngImagePlugin

from facepriv.errors import ContractError, ImageError
from facepriv.files import atomic_write, content_hash
from facepriv.image import cmyk
from facepriv.images import IMAGE_SUFFIXES, MAX_PIXELS, Photo, output_format, read_image, write_image

SECRET = b"UNPROTECTED-FACE"
LOSSLESS = (".png", ".tif", ".webp", ".bmp")


@pytest.fixture(autouse=True)
def no_wait_for_the_disk(monkeypatch):
    """Hundreds of files are written here; that they are synced has a test of its own."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture(scope="module")
def portrait(astronaut_file):
    """The astronaut at 64 x 48, RGB."""
    with Image.open(astronaut_file) as image:
        return image.convert("RGB").crop((120, 30, 440, 270)).resize((64, 48))


@pytest.fixture(scope="module")
def profile():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def saved(tmp_path):
    """Return ``saved(image, name, **options)``: writes a file with Pillow alone."""

    def save(image, name, **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return save


def rewritten(path, suffix=None, change=None, **options):
    """Read `path`, change some pixels, write it beside, and return the new path."""
    photo = read_image(path)
    if change is not None:
        pixels = photo.pixels.copy()
        change(pixels)
        photo = photo.with_pixels(pixels)
    out = path.parent / "out" / f"{path.stem}{suffix or path.suffix}"
    write_image(photo, out, **options)
    return out


def opened(path):
    """Open a file with Pillow alone, and close it."""
    image = Image.open(io.BytesIO(path.read_bytes()))
    image.load()
    return image


# --- looks as it came in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_the_content_tells_the_format_not_the_suffix(portrait, tmp_path, kind):
    path = tmp_path / "photo.anything"
    portrait.save(path, format=kind)
    photo = read_image(path)
    assert photo.format == kind
    assert photo.pixels.shape == (48, 64, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.content_hash == content_hash(path.read_bytes())


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_pixels_outside_the_edit_are_bit_identical_in_a_lossless_file(portrait, saved, suffix):
    path = saved(portrait, f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))

    def edit(pixels):
        pixels[10:20, 10:20] = 255 - pixels[10:20, 10:20]

    before, after = np.asarray(portrait), np.asarray(opened(rewritten(path, change=edit)))
    different = (before != after).any(axis=2)
    assert different[10:20, 10:20].all()
    different[10:20, 10:20] = False
    assert not different.any()


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_baked_in(portrait, saved, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(portrait, f"a.{kind}", exif=exif)
    expected = ImageOps.exif_transpose(opened(path)).convert("RGB")
    photo = read_image(path)
    assert np.array_equal(photo.pixels, np.asarray(expected))
    out = rewritten(path, keep_metadata=True)
    assert opened(out).getexif().get(0x0112, 1) == 1
    assert opened(out).size == expected.size


def test_transparency_and_inks_are_turned_with_the_pixels(portrait, saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    rgba = portrait.copy()
    rgba.putalpha(portrait.convert("L"))
    photo = read_image(saved(rgba, "a.png", exif=exif))
    assert photo.alpha.shape == photo.pixels.shape[:2] == (64, 48)
    assert np.array_equal(photo.alpha, np.rot90(np.asarray(portrait.convert("L")), -1))
    photo = read_image(saved(portrait.convert("CMYK"), "a.jpg", exif=exif))
    assert photo.inks.shape[:2] == photo.pixels.shape[:2] == (64, 48)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_grey_stays_grey(portrait, saved, suffix):
    path = saved(portrait.convert("L"), f"a{suffix}")
    assert read_image(path).pixels.ndim == 2
    assert read_image(path).rgb8().shape == (48, 64, 3)
    out = opened(rewritten(path, change=lambda pixels: pixels.fill(9)))
    assert out.mode == "L"
    assert np.abs(np.asarray(out).astype(int) - 9).max() <= 1


def test_an_rgb_file_without_colour_is_grey_and_written_as_rgb(portrait, saved):
    path = saved(portrait.convert("L").convert("RGB"), "a.png")
    photo = read_image(path)
    assert photo.pixels.ndim == 2
    out = opened(rewritten(path))
    assert out.mode == "RGB"
    assert np.array_equal(np.asarray(out), np.asarray(opened(path)))


@pytest.mark.parametrize(("mode", "suffix"), [("LA", ".png"), ("LA", ".tif"), ("RGBA", ".png"), ("RGBA", ".tif")])
def test_alpha_is_kept(portrait, saved, mode, suffix):
    image = portrait.convert(mode)
    image.putalpha(Image.fromarray(np.arange(48 * 64, dtype=np.uint32).reshape(48, 64).astype(np.uint8)))
    path = saved(image, f"a{suffix}")
    out = opened(rewritten(path, change=lambda pixels: pixels.fill(7)))
    assert out.mode == mode
    assert np.array_equal(np.asarray(out.getchannel("A")), np.asarray(image.getchannel("A")))
    assert (np.asarray(out.getchannel(0)) == 7).all()


def test_webp_keeps_colour_under_full_transparency(portrait, saved):
    image = portrait.copy()
    image.putalpha(0)
    path = saved(image, "a.webp", lossless=True, exact=True)
    assert np.array_equal(np.asarray(opened(rewritten(path))), np.asarray(image))


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(16))], ids=["opaque", "one", "table"])
def test_only_the_changed_pixels_of_a_palette_image_change(portrait, saved, transparency):
    image = portrait.quantize(16)
    path = saved(image, "a.png", **({} if transparency is None else {"transparency": transparency}))
    expected = np.asarray(opened(path).convert("RGBA"))

    def edit(pixels):
        pixels[5:9, 5:9] += 1

    out = opened(rewritten(path, change=edit))
    assert out.mode == ("RGB" if transparency is None else "RGBA")
    different = (np.asarray(out.convert("RGBA")) != expected).any(axis=2)
    assert different[5:9, 5:9].all()
    assert different.sum() == 16


@pytest.mark.parametrize(("mode", "key"), [("L", 200), ("RGB", (1, 2, 3))])
def test_a_transparent_colour_becomes_alpha(saved, mode, key):
    image = Image.new(mode, (8, 8), key)
    image.paste(50 if mode == "L" else (50, 60, 70), (0, 0, 4, 8))
    path = saved(image, "a.png", transparency=key)
    photo = read_image(path)
    assert (photo.alpha[:, :4] == 255).all()
    assert (photo.alpha[:, 4:] == 0).all()
    assert opened(rewritten(path)).mode == mode + "A"


def test_one_bit_comes_out_as_grey(portrait, saved):
    image = portrait.convert("1")
    for name in ("a.png", "a.tif"):
        out = opened(rewritten(saved(image, name)))
        assert out.mode == "L"
        assert np.array_equal(np.asarray(out) > 0, np.asarray(image))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_the_colour_profile_is_kept(portrait, saved, profile, suffix):
    path = saved(portrait, f"a{suffix}", icc_profile=profile)
    assert opened(rewritten(path)).info["icc_profile"] == profile


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_resolution_is_kept_and_turned_with_the_photo(portrait, saved, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(portrait, f"a{suffix}", dpi=(300, 150), exif=exif)
    assert [round(v) for v in opened(rewritten(path)).info["dpi"]] == [150, 300]


def test_what_a_png_says_of_its_colours_is_kept(portrait, saved):
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100_000))
    info.add(b"cICP", bytes((12, 13, 0, 1)))
    data = rewritten(saved(portrait, "a.png", pnginfo=info)).read_bytes()
    assert b"gAMA" + struct.pack(">I", 100_000) in data
    assert b"cICP" + bytes((12, 13, 0, 1)) in data


# --- 16 bits ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deep(portrait):
    """A 16-bit grey ramp that 8 bits cannot hold, (48, 64) uint16."""
    return (np.asarray(portrait.convert("L")).astype(np.uint16) * 257) ^ np.arange(64, dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_stays_sixteen_bit(deep, saved, suffix):
    path = saved(Image.fromarray(deep), f"a{suffix}")
    photo = read_image(path)
    assert photo.pixels.dtype == np.uint16
    assert np.array_equal(photo.pixels, deep)
    assert np.array_equal(photo.rgb8()[:, :, 1], np.rint(deep / 257).astype(np.uint8))

    def edit(pixels):
        pixels[0, 0] = 12345

    for out_suffix in (".png", ".tif"):
        out = read_image(rewritten(path, out_suffix, change=edit)).pixels
        assert out[0, 0] == 12345
        assert np.array_equal(out.ravel()[1:], deep.ravel()[1:])


@pytest.mark.parametrize(("byteorder", "photometric"), [("<", "minisblack"), (">", "minisblack"), ("<", "miniswhite")])
def test_sixteen_bit_tiff_of_other_writers(deep, tmp_path, byteorder, photometric):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, deep, byteorder=byteorder, photometric=photometric)
    expected = deep if photometric == "minisblack" else 65535 - deep
    assert np.array_equal(read_image(path).pixels, expected)


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


def test_a_sixteen_bit_png_with_a_transparent_value_is_refused(deep, saved):
    with pytest.raises(ImageError, match="transparent value"):
        read_image(saved(Image.fromarray(deep), "a.png", transparency=5))


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_other_pixel_modes_are_refused_with_the_mend(saved, mode):
    path = saved(Image.new(mode, (8, 8)), "odd.tif")
    with pytest.raises(ImageError, match=r"odd\.tif: .*not supported: convert it to"):
        read_image(path)


# --- CMYK ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inks():
    return np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)


def test_unchanged_cmyk_pixels_are_bit_identical(inks, saved):
    path = saved(Image.frombytes("CMYK", (32, 24), inks.tobytes()), "a.tif")
    assert read_image(path).pixels.shape == (24, 32, 3)

    def edit(pixels):
        pixels[3:6, 3:6] = (200, 30, 90)

    out = opened(rewritten(path, change=edit))
    assert out.mode == "CMYK"
    different = (np.asarray(out) != inks).any(axis=2)
    assert different.sum() == 9
    shown = read_image(rewritten(path, change=edit)).pixels[3:6, 3:6]
    assert np.abs(shown.astype(int) - (200, 30, 90)).max() <= 1


def test_a_cmyk_jpeg_stays_cmyk_and_is_not_inverted(portrait, saved):
    path = saved(portrait.convert("CMYK"), "a.jpg", quality=95)
    photo = read_image(path)
    assert np.abs(photo.pixels.astype(int) - np.asarray(portrait)).mean() < 3
    out = opened(rewritten(path))
    assert out.mode == "CMYK"
    assert np.abs(np.asarray(out).astype(int) - np.asarray(opened(path))).mean() < 1


def test_a_changed_cmyk_pixel_keeps_its_black_unless_it_must_get_lighter():
    inks = np.array([[[40, 50, 60, 100], [0, 0, 0, 200]]], dtype=np.uint8)
    rgb = cmyk.to_rgb(inks).astype(int)
    wanted = (rgb + np.array([[[-10, 5, 0], [60, 60, 60]]])).astype(np.uint8)
    changed = cmyk.with_rgb(inks, wanted)
    assert changed[0, 0, 3] == 100
    assert changed[0, 1, 3] < 200
    assert np.abs(cmyk.to_rgb(changed).astype(int) - wanted).max() <= 1


# --- JPEG ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(("quality", "subsampling"), [(30, 2), (75, 1), (92, 0)])
def test_a_jpeg_keeps_its_tables_and_subsampling(portrait, saved, mode, quality, subsampling):
    path = saved(portrait.convert(mode), "a.jpg", quality=quality, subsampling=subsampling)
    before, after = opened(path), opened(rewritten(path))
    assert [after.quantization[layer[3]] for layer in after.layer] == [
        before.quantization[layer[3]] for layer in before.layer
    ]
    if mode == "RGB":
        assert [layer[1:3] for layer in after.layer] == [layer[1:3] for layer in before.layer]
    if mode != "CMYK" or subsampling == 0:  # Pillow cannot write what it reads of subsampled inks
        drift = np.abs(np.asarray(before).astype(int) - np.asarray(after))
        assert drift.mean() < 1


def test_a_jpeg_that_stores_rgb_is_written_so_again(portrait, saved):
    path = saved(portrait, "a.jpg", quality=90, keep_rgb=True)
    out = opened(rewritten(path))
    assert out.info.get("adobe_transform") == 0
    assert out.quantization == opened(path).quantization


def test_a_half_subsampled_jpeg_on_its_side_keeps_all_colour(portrait, saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    out = opened(rewritten(saved(portrait, "a.jpg", subsampling=1, exif=exif)))
    assert {layer[1:3] for layer in out.layer} == {(1, 1)}


def test_a_jpeg_from_another_format_is_written_at_quality_95(portrait, saved):
    reference = opened(saved(portrait, "reference.jpg", quality=95, subsampling=0))
    out = opened(rewritten(saved(portrait, "a.png"), ".jpg"))
    assert out.quantization == reference.quantization
    assert out.layer == reference.layer


def test_the_second_picture_of_a_phone_jpeg_is_left_behind(portrait, tmp_path):
    path = tmp_path / "phone.jpg"
    portrait.save(path, format="MPO", save_all=True, append_images=[portrait.rotate(180)])
    assert opened(path).n_frames == 2
    photo = read_image(path)
    assert photo.format == "JPEG"
    out = opened(rewritten(path))
    assert (out.format, getattr(out, "n_frames", 1)) == ("JPEG", 1)
    assert rewritten(path).read_bytes().count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_lossless_or_lossy(portrait, saved, lossless):
    path = saved(portrait, "a.webp", lossless=lossless)
    assert (b"VP8L" in rewritten(path).read_bytes()[:64]) == lossless


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"])
def test_tiff_keeps_its_lossless_compression(portrait, saved, compression):
    path = saved(portrait, "a.tif", compression=compression)
    assert opened(rewritten(path)).info["compression"] == compression


def test_a_jpeg_compressed_tiff_is_written_without_further_loss(portrait, saved):
    path = saved(portrait, "a.tif", compression="jpeg")
    assert np.array_equal(np.asarray(opened(rewritten(path))), np.asarray(opened(path).convert("RGB")))


# --- metadata --------------------------------------------------------------------------------------------------------


def telling_exif():
    """EXIF with description, capture time, place, maker note and a thumbnail, big-endian by hand."""

    def entry(tag, kind, count, value):
        return struct.pack(">HHI", tag, kind, count) + (value if isinstance(value, bytes) else struct.pack(">I", value))

    first = 8
    nested, place, thumbnail = first + 2 + 5 * 12 + 4, 200, 300
    text, note, small = 400, 420, 450
    block = bytearray(450 + len(SECRET))
    block[:8] = b"MM\0*" + struct.pack(">I", first)
    entries = [
        entry(0x010E, 2, 10, text),
        entry(0x010F, 2, 4, b"Cam\0"),
        entry(0x0112, 3, 1, b"\0\6\0\0"),
        entry(0x8769, 4, 1, nested),
        entry(0x8825, 4, 1, place),
    ]
    block[first:nested] = struct.pack(">H", 5) + b"".join(entries) + struct.pack(">I", thumbnail)
    inner = [entry(0x9208, 3, 1, b"\0\4\0\0"), entry(0x927C, 7, len(SECRET), note), entry(0xA002, 4, 1, 64)]
    block[nested : nested + 42] = struct.pack(">H", 3) + b"".join(inner) + bytes(4)
    block[place : place + 18] = struct.pack(">H", 1) + entry(1, 2, 2, b"N\0\0\0") + bytes(4)
    last = [entry(0x0103, 3, 1, b"\0\6\0\0"), entry(0x0201, 4, 1, small), entry(0x0202, 4, 1, len(SECRET))]
    block[thumbnail : thumbnail + 42] = struct.pack(">H", 3) + b"".join(last) + bytes(4)
    block[text : text + 10] = b"a holiday\0"
    block[note : note + len(SECRET)] = SECRET
    block[small : small + len(SECRET)] = SECRET
    return b"Exif\0\0" + bytes(block)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6" dc:title="a walk"/></x:xmpmeta>'


def with_metadata(portrait, saved, suffix):
    options = {"exif": telling_exif()}
    if suffix == ".png":
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "a comment")
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Raw profile type exif", "\nexif\n 16\n" + SECRET.hex(), zip=False)
    elif suffix == ".tif":
        exif = Image.Exif()
        exif.load(telling_exif())
        exif[700] = XMP
        options["exif"] = exif
    else:
        options |= {"xmp": XMP, "comment": b"a comment"}
    return saved(portrait, f"a{suffix}", **options)


WORDS = (b"a holiday", b"Cam\0", b"a walk", b"a comment")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_stays_behind(portrait, saved, suffix):
    path = with_metadata(portrait, saved, suffix)
    assert all(word in path.read_bytes() for word in WORDS[:3])
    for out_suffix in (".jpg", ".png", ".webp", ".tif"):
        out = rewritten(path, out_suffix)
        data = out.read_bytes()
        assert not [word for word in (*WORDS, SECRET, b"xmpmeta", b"Exif\0\0") if word in data]
        left = opened(out).getexif()
        assert 0x010F not in left
        assert not left.get_ifd(0x8769)
        assert not left.get_ifd(0x8825)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("out_suffix", [".jpg", ".png", ".webp", ".tif"])
def test_kept_metadata_holds_words_but_no_picture(portrait, saved, suffix, out_suffix):
    out = rewritten(with_metadata(portrait, saved, suffix), out_suffix, keep_metadata=True)
    data = out.read_bytes()
    assert SECRET not in data
    assert SECRET.hex().encode() not in data
    assert b"a walk" in data
    assert b'tiff:Orientation="6"' not in data
    kept = opened(out).getexif()
    assert kept[0x010E] == "a holiday"
    assert kept.get(0x0112, 1) == 1
    assert kept.get_ifd(0x8769)[0x9208] == 4
    assert kept.get_ifd(0x8825)[1] == "N"
    assert 0x927C not in kept.get_ifd(0x8769)
    # The orientation is in the pixels, so it must not be applied a second time.
    assert read_image(out).pixels.shape == (64, 48, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_comments_are_kept_within_their_format(portrait, saved, suffix):
    path = with_metadata(portrait, saved, suffix)
    assert b"a comment" in rewritten(path, keep_metadata=True).read_bytes()


def test_xmp_with_a_picture_is_never_kept(portrait, saved):
    packet = b"<x:xmpmeta><xmpGImg:image>" + SECRET + b"</xmpGImg:image></x:xmpmeta>"
    out = rewritten(saved(portrait, "a.jpg", xmp=packet), keep_metadata=True)
    assert SECRET not in out.read_bytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40, b"\xff" * 30])
def test_damaged_exif_counts_as_absent(portrait, saved, suffix, exif):
    path = saved(portrait, f"a{suffix}", exif=exif)
    assert read_image(path).pixels.shape == (48, 64, 3)
    assert opened(rewritten(path, keep_metadata=True)).size == (64, 48)


def test_exif_too_large_for_a_jpeg_is_read_and_refused_only_when_it_is_to_be_kept(portrait, saved):
    exif = Image.Exif()
    exif[0x010E] = "x" * 300_000
    path = saved(portrait, "a.png", exif=exif)
    assert opened(rewritten(path, ".jpg")).size == (64, 48)
    assert opened(rewritten(path, ".png", keep_metadata=True)).getexif()[0x010E] == "x" * 300_000
    with pytest.raises(ImageError, match=r"a\.jpg: .*EXIF data is too long.*leave the metadata out"):
        rewritten(path, ".jpg", keep_metadata=True)


# --- refused with one line -------------------------------------------------------------------------------------------


def _animated(portrait, kind):
    buffer = io.BytesIO()
    portrait.save(buffer, kind, save_all=True, append_images=[portrait.rotate(90), portrait.rotate(180)])
    return buffer.getvalue()


def _encoded(portrait, kind, **options):
    buffer = io.BytesIO()
    portrait.save(buffer, kind, **options)
    return buffer.getvalue()


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
    with pytest.raises(ImageError, match=rf"out\.\w+: \w+ cannot hold {what}.*: keep the suffix"):
        write_image(photo, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_bmp_cannot_hold_a_profile_and_webp_no_wide_image(portrait, saved, profile, tmp_path):
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


# --- written whole or not at all -------------------------------------------------------------------------------------


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


def test_writing_twice_gives_the_same_bytes(portrait, saved):
    for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp"):
        path = saved(portrait, f"a{suffix}")
        assert rewritten(path).read_bytes() == rewritten(path).read_bytes()


# --- the photo in memory ---------------------------------------------------------------------------------------------


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
