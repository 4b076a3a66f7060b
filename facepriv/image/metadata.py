"""What of a file's metadata may be written again: words, never pictures.

EXIF thumbnails, maker notes, Photoshop resources and pictures inside XMP may show the unprotected face: they are
dropped on reading, so that no option can let them through.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

_ORIENTATION = 0x0112
#: Tags of the first directory that describe the photo, the last five being Windows' title to subject.
_DESCRIPTIVE = frozenset(
    {0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F}
)
# Maker note, pixel width and height (before turning), and the interoperability directory, whose offset is stale.
_DROPPED = frozenset({0x927C, 0xA002, 0xA003, 0xA005})
# Pillow raises any of these on damaged EXIF.
_DAMAGE = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OSError, struct.error, ArithmeticError, EOFError)
_XMP_ORIENTATION = re.compile(rb"""tiff:Orientation(=["']|>)\s*[0-9]""")


@dataclass(frozen=True)
class Metadata:
    """What ``keep_metadata`` writes: EXIF (orientation 1), XMP, a JPEG's comment and a PNG's texts."""

    exif: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    text: tuple[tuple[str, str], ...] = ()


def read_metadata(image: Image.Image) -> tuple[int, Metadata]:
    """Return the orientation (1 to 8) and the metadata of an image that Pillow has loaded.

    Damaged EXIF counts as absent.
    """
    orientation, exif = 1, b""
    with suppress(*_DAMAGE):
        tags = image.getexif()
        found = tags.get(_ORIENTATION)
        orientation = found if found in range(1, 9) else 1
        exif = _descriptive(tags)
    info = image.info
    comment = info.get("comment", b"") if image.format == "JPEG" else b""
    text = tuple(
        (key, str(value))
        for key, value in getattr(image, "text", {}).items()
        # Other programs hide EXIF, XMP and their thumbnails in these.
        if not key.startswith(("Raw profile type", "XML:"))
    )
    return orientation, Metadata(exif, _without_pictures(info.get("xmp", b"")), comment, text)


def metadata_options(metadata: Metadata, target: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return Pillow's save options that write `metadata` into format `target`; BMP holds none."""
    if target == "PNG":
        info = options.get("pnginfo") or PngInfo()
        for key, value in metadata.text:
            info.add_itxt(key, value)
        if metadata.xmp:
            info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
        found: dict[str, Any] = {"exif": metadata.exif, "pnginfo": info}
    elif target == "TIFF":
        # A TIFF's own tags are its EXIF; 700 is XMP.
        tags = Image.Exif()
        tags.load(metadata.exif)
        if metadata.xmp:
            tags[700] = metadata.xmp
        found = {"exif": tags if len(tags) else None}
        if {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}.intersection(tags):
            found["compression"] = "raw"  # Pillow can write nested directories into an uncompressed file only
    elif target in ("JPEG", "WEBP"):
        found = {"exif": metadata.exif, "xmp": metadata.xmp, "comment": metadata.comment}
    else:
        found = {}
    return {key: value for key, value in found.items() if value}


def _descriptive(tags: Image.Exif) -> bytes:
    """Return the EXIF block that holds only what describes the photo, or nothing."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE.intersection(tags):
        kept[tag] = tags[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        values = {tag: value for tag, value in tags.get_ifd(directory).items() if tag not in _DROPPED}
        if values:
            kept[directory] = values
    if not len(kept):
        return b""
    kept[_ORIENTATION] = 1
    return kept.tobytes()


def _without_pictures(xmp: bytes | str) -> bytes:
    """Return the XMP packet with the orientation reset, or nothing if it embeds a picture."""
    packet = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    if b"xmpGImg:" in packet or b"GImage:" in packet or b"GDepth:" in packet:
        return b""
    return _XMP_ORIENTATION.sub(lambda match: b"tiff:Orientation" + match[1] + b"1", packet)
