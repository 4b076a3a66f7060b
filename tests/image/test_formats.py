"""What goes out looks as it came in: mode, depth, alpha, profile, resolution and coding, format by format."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps, PngImagePlugin

from facepriv.image.decode import read_image

LOSSLESS = (".png", ".tif", ".webp", ".bmp")


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_pixels_outside_the_edit_are_bit_identical_in_a_lossless_file(portrait, saved, suffix, rewritten, opened):
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
def test_orientation_is_baked_in(portrait, saved, kind, orientation, rewritten, opened):
    path = saved(portrait, f"a.{kind}", orientation)
    expected = ImageOps.exif_transpose(opened(path)).convert("RGB")
    photo = read_image(path)
    assert np.array_equal(photo.pixels, np.asarray(expected))
    out = rewritten(path, keep_metadata=True)
    assert opened(out).getexif().get(0x0112, 1) == 1
    assert opened(out).size == expected.size


STALE = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("stated", [None, 3])
def test_an_orientation_in_xmp_counts_for_nothing(portrait, saved, suffix, stated, rewritten, opened):
    """As in browsers: an editor that turned the pixels may have left it there."""
    exif = Image.Exif()
    exif[0x010F] = "Cam"
    if stated:
        exif[0x0112] = stated
    options = {"exif": exif}
    if suffix == ".tif":
        exif[700] = STALE.encode()
    elif suffix == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", STALE)
    else:
        options["xmp"] = STALE.encode()
    path = saved(portrait, f"a{suffix}", **options)
    expected = np.asarray(portrait if stated is None else portrait.rotate(180)).astype(int)
    assert read_image(path).pixels.shape == expected.shape
    assert np.abs(read_image(path).pixels - expected).mean() < 6
    assert b"Orientation" not in rewritten(path, keep_metadata=True).read_bytes()


def test_a_pngs_text_is_no_exif(portrait, saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes())}\n{exif.tobytes().hex()}")
    assert read_image(saved(portrait, "a.png", pnginfo=info)).pixels.shape == (48, 64, 3)


def test_transparency_and_inks_are_turned_with_the_pixels(portrait, saved):
    rgba = portrait.copy()
    rgba.putalpha(portrait.convert("L"))
    photo = read_image(saved(rgba, "a.png", orientation=6))
    assert photo.alpha.shape == photo.pixels.shape[:2] == (64, 48)
    assert np.array_equal(photo.alpha, np.rot90(np.asarray(portrait.convert("L")), -1))
    photo = read_image(saved(portrait.convert("CMYK"), "a.jpg", orientation=6))
    assert photo.inks.shape[:2] == photo.pixels.shape[:2] == (64, 48)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_grey_stays_grey(portrait, saved, suffix, rewritten, opened):
    path = saved(portrait.convert("L"), f"a{suffix}")
    assert read_image(path).pixels.ndim == 2
    assert read_image(path).rgb8().shape == (48, 64, 3)
    out = opened(rewritten(path, change=lambda pixels: pixels.fill(9)))
    assert out.mode == "L"
    assert np.abs(np.asarray(out).astype(int) - 9).max() <= 1


def test_an_rgb_file_without_colour_is_grey_and_written_as_rgb(portrait, saved, rewritten, opened):
    path = saved(portrait.convert("L").convert("RGB"), "a.png")
    photo = read_image(path)
    assert photo.pixels.ndim == 2
    out = opened(rewritten(path))
    assert out.mode == "RGB"
    assert np.array_equal(np.asarray(out), np.asarray(opened(path)))


@pytest.mark.parametrize(("mode", "suffix"), [("LA", ".png"), ("LA", ".tif"), ("RGBA", ".png"), ("RGBA", ".tif")])
def test_alpha_is_kept(portrait, saved, mode, suffix, rewritten, opened):
    image = portrait.convert(mode)
    image.putalpha(Image.fromarray(np.arange(48 * 64, dtype=np.uint32).reshape(48, 64).astype(np.uint8)))
    path = saved(image, f"a{suffix}")
    out = opened(rewritten(path, change=lambda pixels: pixels.fill(7)))
    assert out.mode == mode
    assert np.array_equal(np.asarray(out.getchannel("A")), np.asarray(image.getchannel("A")))
    assert (np.asarray(out.getchannel(0)) == 7).all()


def test_webp_keeps_colour_under_full_transparency(portrait, saved, rewritten, opened):
    image = portrait.copy()
    image.putalpha(0)
    path = saved(image, "a.webp", lossless=True, exact=True)
    assert np.array_equal(np.asarray(opened(rewritten(path))), np.asarray(image))


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(16))], ids=["opaque", "one", "table"])
def test_only_the_changed_pixels_of_a_palette_image_change(portrait, saved, transparency, rewritten, opened):
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
def test_a_transparent_colour_becomes_alpha(saved, mode, key, rewritten, opened):
    image = Image.new(mode, (8, 8), key)
    image.paste(50 if mode == "L" else (50, 60, 70), (0, 0, 4, 8))
    path = saved(image, "a.png", transparency=key)
    photo = read_image(path)
    assert (photo.alpha[:, :4] == 255).all()
    assert (photo.alpha[:, 4:] == 0).all()
    assert opened(rewritten(path)).mode == mode + "A"


def test_one_bit_comes_out_as_grey(portrait, saved, rewritten, opened):
    image = portrait.convert("1")
    for name in ("a.png", "a.tif"):
        out = opened(rewritten(saved(image, name)))
        assert out.mode == "L"
        assert np.array_equal(np.asarray(out) > 0, np.asarray(image))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_the_colour_profile_is_kept(portrait, saved, profile, suffix, rewritten, opened):
    path = saved(portrait, f"a{suffix}", icc_profile=profile)
    assert opened(rewritten(path)).info["icc_profile"] == profile


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_the_resolution_is_kept_and_turned_with_the_photo(portrait, saved, suffix, rewritten, opened):
    path = saved(portrait, f"a{suffix}", orientation=6, dpi=(300, 150))
    assert [round(v) for v in opened(rewritten(path)).info["dpi"]] == [150, 300]


def test_a_resolution_in_centimetres_is_kept(portrait, saved, rewritten, opened):
    out = opened(rewritten(saved(portrait, "a.tif", resolution_unit=3, x_resolution=100, y_resolution=50)))
    assert out.info["dpi"] == pytest.approx((254, 127))


@pytest.mark.parametrize("out_suffix", [".jpg", ".png", ".tif", ".bmp"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_a_photo_without_a_resolution_gets_none(portrait, saved, suffix, out_suffix, rewritten, opened):
    exif = Image.Exif()
    exif[0x010F] = "Cam"  # beside EXIF, Pillow makes up 72 for a JPEG
    plain = Image.fromarray(np.asarray(portrait))  # without a profile, which a BMP cannot hold
    path = saved(plain, f"a{suffix}", **({"dpi": (0, 0)} if suffix == ".bmp" else {"exif": exif}))
    out = opened(rewritten(path, out_suffix))
    if out_suffix == ".tif":
        assert not {282, 283, 296}.intersection(out.tag_v2)
    else:
        assert out.info.get("dpi", (0, 0)) == (0, 0)


def test_a_tiffs_resolution_without_a_unit_is_no_resolution(portrait, saved, rewritten, opened):
    """Unit 1 says that only the pixels' shape is stated."""
    out = opened(rewritten(saved(portrait, "a.tif", resolution_unit=1, x_resolution=3, y_resolution=2)))
    assert not {282, 283, 296}.intersection(out.tag_v2)


def test_what_a_png_says_of_its_colours_is_kept(portrait, saved, rewritten):
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100_000))
    info.add(b"cICP", bytes((12, 13, 0, 1)))
    data = rewritten(saved(portrait, "a.png", pnginfo=info)).read_bytes()
    assert b"gAMA" + struct.pack(">I", 100_000) in data
    assert b"cICP" + bytes((12, 13, 0, 1)) in data


@pytest.fixture(scope="module")
def deep(portrait):
    """A 16-bit grey ramp that 8 bits cannot hold, (48, 64) uint16."""
    return (np.asarray(portrait.convert("L")).astype(np.uint16) * 257) ^ np.arange(64, dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_stays_sixteen_bit(deep, saved, suffix, rewritten):
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


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(("quality", "subsampling"), [(30, 2), (75, 1), (92, 0)])
def test_a_jpeg_keeps_its_tables_and_subsampling(portrait, saved, mode, quality, subsampling, rewritten, opened):
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


def test_a_jpeg_that_stores_rgb_is_written_so_again(portrait, saved, rewritten, opened):
    path = saved(portrait, "a.jpg", quality=90, keep_rgb=True)
    out = opened(rewritten(path))
    assert out.info.get("adobe_transform") == 0
    assert out.quantization == opened(path).quantization


def test_a_half_subsampled_jpeg_on_its_side_keeps_all_colour(portrait, saved, rewritten, opened):
    out = opened(rewritten(saved(portrait, "a.jpg", orientation=6, subsampling=1)))
    assert {layer[1:3] for layer in out.layer} == {(1, 1)}


def test_a_jpeg_from_another_format_is_written_at_quality_95(portrait, saved, rewritten, opened):
    reference = opened(saved(portrait, "reference.jpg", quality=95, subsampling=0))
    out = opened(rewritten(saved(portrait, "a.png"), ".jpg"))
    assert out.quantization == reference.quantization
    assert out.layer == reference.layer


def test_the_second_picture_of_a_phone_jpeg_is_left_behind(portrait, tmp_path, rewritten, opened):
    path = tmp_path / "phone.jpg"
    portrait.save(path, format="MPO", save_all=True, append_images=[portrait.rotate(180)])
    assert opened(path).n_frames == 2
    photo = read_image(path)
    assert photo.format == "JPEG"
    out = opened(rewritten(path))
    assert (out.format, getattr(out, "n_frames", 1)) == ("JPEG", 1)
    assert rewritten(path).read_bytes().count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_lossless_or_lossy(portrait, saved, lossless, rewritten):
    path = saved(portrait, "a.webp", lossless=lossless)
    assert (b"VP8L" in rewritten(path).read_bytes()[:64]) == lossless


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"])
def test_tiff_keeps_its_lossless_compression(portrait, saved, compression, rewritten, opened):
    path = saved(portrait, "a.tif", compression=compression)
    assert opened(rewritten(path)).info["compression"] == compression


def test_a_jpeg_compressed_tiff_is_written_without_further_loss(portrait, saved, rewritten, opened):
    path = saved(portrait, "a.tif", compression="jpeg")
    assert np.array_equal(np.asarray(opened(rewritten(path))), np.asarray(opened(path).convert("RGB")))
