"""Metadata stays behind, or is kept as words without a picture."""

import struct

import pytest
from PIL import Image, PngImagePlugin

from facepriv.errors import ImageError
from facepriv.image.decode import read_image

SECRET = b"UNPROTECTED-FACE"


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


XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/">'
    b'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">a walk</rdf:li></rdf:Alt></dc:title>'
    b'</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


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
def test_metadata_stays_behind(portrait, saved, suffix, rewritten, opened):
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
def test_kept_metadata_holds_words_but_no_picture(portrait, saved, suffix, out_suffix, rewritten, opened):
    out = rewritten(with_metadata(portrait, saved, suffix), out_suffix, keep_metadata=True)
    data = out.read_bytes()
    assert SECRET not in data
    assert SECRET.hex().encode() not in data
    assert b"a walk" in data
    assert b"tiff:Orientation" not in data
    kept = opened(out).getexif()
    assert kept[0x010E] == "a holiday"
    assert kept.get(0x0112, 1) == 1
    assert kept.get_ifd(0x8769)[0x9208] == 4
    assert kept.get_ifd(0x8825)[1] == "N"
    assert 0x927C not in kept.get_ifd(0x8769)
    # The orientation is in the pixels, so it must not be applied a second time.
    assert read_image(out).pixels.shape == (64, 48, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_comments_are_kept_within_their_format(portrait, saved, suffix, rewritten):
    path = with_metadata(portrait, saved, suffix)
    assert b"a comment" in rewritten(path, keep_metadata=True).read_bytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40, b"\xff" * 30])
def test_damaged_exif_counts_as_absent(portrait, saved, suffix, exif, rewritten, opened):
    path = saved(portrait, f"a{suffix}", exif=exif)
    assert read_image(path).pixels.shape == (48, 64, 3)
    assert opened(rewritten(path, keep_metadata=True)).size == (64, 48)


def test_a_text_too_long_for_words_stays_behind(portrait, saved, rewritten, opened):
    exif = Image.Exif()
    exif[0x010E], exif[0x010F] = "word " * 100_000, "Cam"
    out = opened(rewritten(saved(portrait, "a.png", exif=exif), ".jpg", keep_metadata=True)).getexif()
    assert 0x010E not in out
    assert out[0x010F] == "Cam"


def test_kept_metadata_that_a_jpeg_cannot_hold_is_refused(portrait, saved, rewritten, opened):
    exif = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298):
        exif[tag] = ("\u540d " * 1000).encode()
    for tag in range(0x9C9B, 0x9CA0):
        exif[tag] = ("\u540d " * 1000).encode("utf-16-le")
    for tag in (0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0xA430, 0xA431, 0xA433, 0xA434, 0xA435):
        exif.get_ifd(0x8769)[tag] = "name " * 399
    path = saved(portrait, "a.png", exif=exif)
    assert opened(rewritten(path, ".jpg")).size == (64, 48)
    assert opened(rewritten(path, ".png", keep_metadata=True)).getexif().get_ifd(0x8769)[0xA434].startswith("name")
    with pytest.raises(ImageError, match=r"a\.jpg: .*EXIF data is too long.*leave the metadata out"):
        rewritten(path, ".jpg", keep_metadata=True)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_names_in_other_letters_are_kept(portrait, saved, rewritten, opened, suffix):
    exif = Image.Exif()
    exif[0x013B] = "Zo\u00eb \u0141\u00f3d\u017a".encode()
    exif[0x8298] = "\u00a9 Jos\u00e9".encode("latin-1")
    out = opened(rewritten(saved(portrait, f"a{suffix}", exif=exif), keep_metadata=True)).getexif()
    assert out[0x013B].encode("latin-1").decode() == "Zo\u00eb \u0141\u00f3d\u017a"
    assert out[0x8298].encode("latin-1").decode() == "\u00a9 Jos\u00e9"


def test_numbers_of_the_camera_and_the_place_are_kept(portrait, saved, rewritten, opened):
    exif = Image.Exif()
    details = {0x829A: 0.005, 0x829D: 2.8, 0x8827: 400, 0x9003: "2024:05:01 10:00:00", 0x9286: b"ASCII\0\0\0a note"}
    exif.get_ifd(0x8769).update({**details, 0xA432: (24.0, 70.0, 2.8, 2.8), 0x9000: b"0232", 0xA434: "24-70mm"})
    exif.get_ifd(0x8825).update({0: b"\2\3\0\0", 1: "N", 2: (52.0, 31.0, 12.0), 29: "2024:05:01"})
    out = opened(rewritten(saved(portrait, "a.jpg", exif=exif), keep_metadata=True)).getexif()
    kept = out.get_ifd(0x8769)
    assert {tag: kept[tag] for tag in details} == details
    assert kept[0xA432] == (24.0, 70.0, 2.8, 2.8)
    assert (kept[0x9000], kept[0xA434]) == (b"0232", "24-70mm")
    assert out.get_ifd(0x8825)[2] == (52.0, 31.0, 12.0)


def test_only_a_pngs_own_keywords_are_kept(portrait, saved, rewritten, opened):
    info = PngImagePlugin.PngInfo()
    for key in ("Title", "Creation Time", "parameters", "Software", "thumbnail"):
        info.add_text(key, f"some {key}")
    text = opened(rewritten(saved(portrait, "a.png", pnginfo=info), keep_metadata=True)).text
    assert text == {"Title": "some Title", "Creation Time": "some Creation Time", "Software": "some Software"}
