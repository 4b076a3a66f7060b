"""A picture of the face that hides somewhere in a file is in no output, whether metadata is kept or not."""

import base64
import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

ICC_TABLE = 128


@pytest.fixture(scope="module")
def hidden(portrait):
    """The portrait as a JPEG of its own, as cameras and editors embed it."""
    return encoded(portrait.resize((40, 30)), "JPEG", quality=70)


def encoded(image, kind, **options):
    """Return the bytes of an image file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def survives(data, hidden):
    """Tell whether pixels of the hidden picture stand somewhere in the data, in whatever spelling."""
    core = hidden[-100:-50]  # tables, which stand before, are those of any JPEG
    coded = [base64.b64encode(core[n:])[2:40] for n in range(3)]
    spelt = [core, core.hex().encode(), core.hex().upper().encode(), *coded]
    spelt += [base64.a85encode(core[n:])[5:25] for n in range(4)] + [re.sub(rb"[\s\0]", b"", core)]
    # Line ends, and the zeros of UTF-16 and UTF-32, stand between characters.
    texts = (data, re.sub(rb"[\s\0]|&#\w+;", b"", data), re.sub(rb"[\s:]", b"", data))
    return any(form in text for form in spelt for text in texts)


def contents(path):
    """Return the bytes of a file, and all that is compressed in a PNG's chunks but the pixels."""
    data = path.read_bytes()
    found = data
    if data.startswith(b"\x89PNG"):
        at = 8
        while at < len(data):
            (length,) = struct.unpack_from(">I", data, at)
            body = data[at + 8 : at + 8 + length]
            if data[at + 4 : at + 8] in (b"zTXt", b"iTXt", b"iCCP"):
                for start in range(len(body)):
                    if body[start] == 0x78:
                        try:
                            found += zlib.decompress(body[start:])
                        except zlib.error:
                            continue
            at += 12 + length
    return found


def jpeg_of(portrait, **options):
    return encoded(portrait, "JPEG", quality=90, **options)


def with_segment(portrait, number, body):
    data = jpeg_of(portrait)
    return data[:2] + bytes([0xFF, number]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def with_exif(tag, directory=None):
    """Return a maker of EXIF that holds `value` at a tag of the first directory, or of another."""

    def make(value):
        exif = Image.Exif()
        exif[0x010F] = "Cam"
        place = exif if directory is None else exif.get_ifd(directory)
        place[tag] = value
        return exif

    return make


def b64(data):
    return base64.b64encode(data).decode()


def lines(text, width):
    return "\n".join(text[n : n + width] for n in range(0, len(text), width))


EXIF = {
    "user comment": (with_exif(0x9286, ExifTags.IFD.Exif), lambda d: b"JPEG\0\0\0\0" + d),
    "user comment in base64": (with_exif(0x9286, ExifTags.IFD.Exif), lambda d: b"ASCII\0\0\0" + b64(d).encode()),
    "maker note": (with_exif(0x927C, ExifTags.IFD.Exif), bytes),
    "unknown tag": (with_exif(0xC7F1), bytes),
    "unknown tag of the details": (with_exif(0xC7F1, ExifTags.IFD.Exif), bytes),
    "image resources": (with_exif(0x8649), lambda d: b"8BIM\x04\x0c\0\0" + struct.pack(">I", len(d)) + d),
    "description as bytes": (with_exif(0x010E), bytes),
    "description in base64": (with_exif(0x010E), b64),
    "description in lines of base64": (with_exif(0x010E), lambda d: lines(b64(d), 60)),
    "description in hexadecimal": (with_exif(0x010E), lambda d: d[-900:].hex()),
    "description in pairs of digits": (with_exif(0x010E), lambda d: d[-600:].hex(" ")),
    "description as data URI": (with_exif(0x010E), lambda d: f"face data:image/jpeg;base64,{b64(d)}"),
    "copyright in Ascii85": (with_exif(0x8298), lambda d: base64.a85encode(d).decode()),
    "title of Windows": (with_exif(0x9C9B), lambda d: b64(d).encode("utf-16-le") + b"\0\0"),
    "title of Windows as bytes": (with_exif(0x9C9B), bytes),
    "lens in base64": (with_exif(0xA434, ExifTags.IFD.Exif), b64),
    "lens numbers": (with_exif(0xA432, ExifTags.IFD.Exif), lambda d: tuple(int(v) for v in d)),
    "version": (with_exif(0x9000, ExifTags.IFD.Exif), bytes),
    "spatial response": (with_exif(0xA20C, ExifTags.IFD.Exif), bytes),
    "GPS method": (with_exif(0x1B, ExifTags.IFD.GPSInfo), lambda d: b"JPEG\0\0\0\0" + d),
    "GPS text": (with_exif(0x12, ExifTags.IFD.GPSInfo), b64),
}


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "dropped"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("place", EXIF)
def test_in_exif(portrait, hidden, saved, rewritten, place, suffix, keep):
    make, value = EXIF[place]
    path = saved(portrait, f"a{suffix}", exif=make(value(hidden)))
    # Pillow writes some tags of a TIFF otherwise.
    assert suffix == ".tif" or survives(contents(path), hidden)
    assert not survives(contents(rewritten(path, keep_metadata=keep)), hidden)


THUMBNAIL = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:{prefix}="{space}"><xmp:Thumbnails>'
    '<rdf:Alt><rdf:li rdf:parseType="Resource"><{prefix}:image>{picture}</{prefix}:image></rdf:li></rdf:Alt>'
    "</xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>"
)
ONE = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:p="{space}">{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
)
IMAGES = "http://ns.adobe.com/xap/1.0/g/img/"
DC = "http://purl.org/dc/elements/1.1/"


def one(space, inside):
    return lambda picture: ONE.format(space=space, inside=inside.format(picture=picture)).encode()


def thumbnail(prefix, codec="utf-8"):
    return lambda picture: THUMBNAIL.format(prefix=prefix, space=IMAGES, picture=picture).encode(codec)


XMP = {
    "xmpGImg": thumbnail("xmpGImg"),
    "xapGImg": thumbnail("xapGImg"),
    "any prefix": thumbnail("dc"),
    "UTF-16": thumbnail("xmpGImg", "utf-16"),
    "UTF-16 without a mark": thumbnail("xmpGImg", "utf-16-be"),
    "UTF-32": thumbnail("xmpGImg", "utf-32"),
    "depth": one("http://ns.google.com/photos/1.0/depthmap/", "<p:Data>{picture}</p:Data>"),
    "original": one("http://ns.google.com/photos/1.0/image/", "<p:Data>{picture}</p:Data>"),
    "description": one(DC, "<p:description><rdf:Alt><rdf:li>{picture}</rdf:li></rdf:Alt></p:description>"),
    "title": one(DC, "<p:title>{picture}</p:title>"),
    "unknown name of a known namespace": one(DC, "<p:picture>{picture}</p:picture>"),
    "structure": one(DC, "<p:title><rdf:Description><p:creator>{picture}</p:creator></rdf:Description></p:title>"),
    "language": one(DC, '<p:title><rdf:Alt><rdf:li xml:lang="{picture}">a</rdf:li></rdf:Alt></p:title>'),
    "comment": one(DC, "<!-- {picture} --><p:title>a</p:title>"),
    "no RDF": lambda picture: f"<a>{picture}</a>".encode(),
    "no XML": lambda picture: f"<x:xmpmeta <<< {picture}".encode(),
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("place", XMP)
def test_in_xmp(portrait, hidden, saved, rewritten, place, suffix):
    packet = XMP[place](b64(hidden))
    if suffix == ".png":
        if b"\0" in packet:
            pytest.skip("a PNG's text is UTF-8")
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=place == "title")
        path = saved(portrait, "a.png", pnginfo=info)
    elif suffix == ".tif":
        exif = Image.Exif()
        exif[700] = packet
        path = saved(portrait, "a.tif", exif=exif)
    else:
        path = saved(portrait, f"a{suffix}", xmp=packet)
    assert survives(contents(path), hidden)
    assert not survives(contents(rewritten(path, keep_metadata=True)), hidden)


JPEG = {
    "comment as bytes": lambda p, d: jpeg_of(p, comment=d),
    "comment in base64": lambda p, d: jpeg_of(p, comment=b64(d).encode()),
    "comment in lines": lambda p, d: jpeg_of(p, comment=lines(b64(d), 76).encode()),
    "Photoshop's thumbnail": lambda p, d: with_segment(
        p, 0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x0c\0\0" + struct.pack(">I", len(d) + 28) + bytes(28) + d
    ),
    "JFIF's thumbnail": lambda p, d: with_segment(p, 0xE0, b"JFXX\0\x10" + d),
    "FlashPix": lambda p, d: with_segment(p, 0xE2, b"FPXR\0\0" + d),
    "extended XMP": lambda p, d: with_segment(p, 0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b64(d).encode()),
    "unknown segment": lambda p, d: with_segment(p, 0xEB, d),
    "second picture": lambda p, d: jpeg_of(p) + d,
    "video behind": lambda p, d: jpeg_of(p) + b"\0\0\0\x18ftypmp42" + d,
    "archive behind": lambda p, d: jpeg_of(p) + b"PK\3\4" + d + b"PK\5\6" + bytes(18),
}


def png_with(*chunks, behind=b""):
    def make(portrait, hidden):
        data = encoded(portrait, "PNG")
        body, end = data[:33], data[33:]
        for name, build in chunks:
            data = build(hidden)
            body += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        return body + end + (hidden if behind else b"")

    return make


PNG = {
    "thumbnail": png_with((b"tEXt", lambda d: b"thumbnail\0" + b64(d).encode())),
    "comment": png_with((b"tEXt", lambda d: b"Comment\0" + lines(b64(d), 64).encode())),
    "compressed": png_with((b"zTXt", lambda d: b"Description\0\0" + zlib.compress(b64(d).encode()))),
    "international": png_with((b"iTXt", lambda d: b"Title\0\0\0\0\0" + b64(d).encode())),
    "Latin-1": png_with((b"tEXt", lambda d: b"Comment\0" + d.replace(b"\0", b"\1"))),
    "raw profile": png_with((b"tEXt", lambda d: b"Raw profile type exif\0\nexif\n9\n" + d.hex().encode())),
    "unknown chunk": png_with((b"fAce", bytes)),
    "colour chunk": png_with((b"cICP", bytes)),
    "behind": png_with(behind=b"yes"),
}


def webp_with(name):
    def make(portrait, hidden):
        plain = encoded(portrait, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
        data = plain + name + struct.pack("<I", len(hidden)) + hidden + b"\0" * (len(hidden) % 2)
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]

    return make


def tiff_with(tag):
    def make(portrait, hidden):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[tag], tags.tagtype[tag] = hidden, 7
        return encoded(portrait, "TIFF", tiffinfo=tags, compression="raw")

    return make


FILES = {
    ".jpg": JPEG,
    ".png": PNG,
    ".webp": {"unknown chunk": webp_with(b"FACE")},
    ".tif": {str(tag): tiff_with(tag) for tag in (33723, 34377, 37724, 50341, 65000)},
}


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "dropped"])
@pytest.mark.parametrize(("suffix", "place"), [(suffix, place) for suffix, places in FILES.items() for place in places])
def test_elsewhere_in_the_file(portrait, hidden, tmp_path, rewritten, suffix, place, keep):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(FILES[suffix][place](portrait, hidden))
    assert place in ("compressed", "Latin-1") or survives(contents(path), hidden)
    out = contents(rewritten(path, keep_metadata=keep))
    assert not survives(out, hidden)
    assert not survives(out, hidden.replace(b"\0", b"\1"))


def icc_with(tag, data, profile):
    """Return a profile with one more element at its end."""
    count = struct.unpack_from(">I", profile, ICC_TABLE)[0]
    end = ICC_TABLE + 4 + 12 * count
    table = bytearray(profile[ICC_TABLE + 4 : end])
    for n in range(count):
        struct.pack_into(">I", table, 12 * n + 4, struct.unpack_from(">I", table, 12 * n + 4)[0] + 12)
    table += struct.pack(">4sII", tag, len(profile) + 12, len(data))
    made = bytearray(profile[:ICC_TABLE]) + struct.pack(">I", count + 1) + table + profile[end:] + data
    struct.pack_into(">I", made, 0, len(made))
    return bytes(made)


ICC = {
    "unknown tag": lambda p, d: icc_with(b"face", b"data\0\0\0\0" + d, p),
    "text": lambda p, d: icc_with(b"dmnd", b"text\0\0\0\0" + b64(d).encode() + b"\0", p),
    "text in languages": lambda p, d: icc_with(b"dmdd", b"mluc\0\0\0\0" + bytes(4) + b"\0\0\0\x0c" + d, p),
    "text of version 2": lambda p, d: icc_with(b"dmdd", b"desc\0\0\0\0\0\0\0\2a\0" + bytes(11 + 67) + d, p),
    "behind a curve": lambda p, d: icc_with(b"kTRC", b"curv\0\0\0\0\0\0\0\0" + d, p),
    "in a curve": lambda p, d: icc_with(b"kTRC", b"curv\0\0\0\0" + struct.pack(">I", len(d) // 2) + d, p),
    "table": lambda p, d: icc_with(b"A2B0", b"mft2\0\0\0\0" + bytes(40) + d, p),
    "behind the profile": lambda p, d: p + d,
    "between elements": lambda p, d: icc_with(b"face", b"data\0\0\0\0" + d, p).replace(b"face", b"tech"),
    "no profile at all": lambda p, d: d,
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("place", ICC)
def test_in_the_colour_profile(portrait, hidden, profile, saved, rewritten, opened, place, suffix):
    path = saved(portrait, f"a{suffix}", icc_profile=ICC[place](profile, hidden))
    assert survives(contents(path), hidden)
    out = rewritten(path)
    assert not survives(contents(out), hidden)
    if place == "no profile at all":
        assert "icc_profile" not in opened(out).info
        return
    # What says how colours look is still there, and means the same.
    kept = ImageCms.ImageCmsProfile(io.BytesIO(opened(out).info["icc_profile"]))
    plain = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    lab = ImageCms.createProfile("LAB")
    seen = [np.asarray(ImageCms.profileToProfile(portrait, p, lab, outputMode="LAB")) for p in (kept, plain)]
    assert np.array_equal(*seen)
