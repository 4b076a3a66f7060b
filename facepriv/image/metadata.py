"""The metadata that may be copied: words and numbers under known names, never pictures.

It is an allow-list by tag, property and keyword. All other metadata is dropped on reading, whatever the options, as it
may show the unprotected face.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from facepriv.image.exif import kept_exif
from facepriv.image.text import words
from facepriv.image.xmp import kept_xmp

#: Exceptions that Pillow raises on damaged EXIF.
DAMAGE = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OSError, struct.error, ArithmeticError, EOFError)
# The keywords defined by the PNG specification.
_PNG_KEYWORDS = (
    "Title",
    "Author",
    "Description",
    "Copyright",
    "Creation Time",
    "Software",
    "Disclaimer",
    "Warning",
    "Source",
    "Comment",
)


@dataclass(frozen=True)
class Metadata:
    """The metadata that ``keep_metadata`` writes: EXIF (orientation 1), XMP, a JPEG's comment and a PNG's texts."""

    exif: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    text: tuple[tuple[str, str], ...] = ()


def exif_tags(image: Image.Image) -> Image.Exif:
    """Return the EXIF tags of a loaded image; empty if they are damaged or missing.

    Only EXIF itself is read. Pillow's ``getexif`` would also take the orientation from XMP, and all tags from a PNG's
    texts; browsers do neither. For a TIFF, its own tags are the EXIF tags.
    """
    tags = Image.Exif()
    try:
        if hasattr(image, "tag_v2"):
            return image.getexif()
        found = image.info.get("exif")
        tags.load(found if isinstance(found, bytes) else b"")
    except DAMAGE:
        return Image.Exif()
    return tags


def read_metadata(image: Image.Image, tags: Image.Exif, xmp: object) -> Metadata:
    """Return the metadata of a loaded image that may be kept; damaged metadata counts as absent.

    Parameters
    ----------
    image : Image
        Loaded.
    tags : Exif
        The result of `exif_tags`.
    xmp : bytes, str or None
        The image's XMP packet.
    """
    try:
        exif = kept_exif(tags)
    except DAMAGE:
        exif = b""
    comment = words(image.info.get("comment", b"")).encode() if image.format == "JPEG" else b""
    found = getattr(image, "text", {}) if image.format == "PNG" else {}
    texts = ((key, words(str(found[key]))) for key in _PNG_KEYWORDS if key in found)
    return Metadata(exif, kept_xmp(xmp), comment, tuple((key, text) for key, text in texts if text))


def metadata_options(metadata: Metadata, target: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return Pillow's save options that write `metadata` in format `target`; BMP has no metadata."""
    if target == "PNG":
        info = options.get("pnginfo") or PngInfo()
        for key, value in metadata.text:
            info.add_itxt(key, value)
        if metadata.xmp:
            info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode())
        found: dict[str, Any] = {"exif": metadata.exif, "pnginfo": info}
    elif target == "TIFF":
        # A TIFF's own tags are its EXIF; 700 is XMP.
        tags = Image.Exif()
        tags.load(metadata.exif)
        for tag, value in dict(tags).items():
            if isinstance(value, str):
                tags[tag] = value.encode("latin-1")  # the bytes as read; Pillow would write ASCII
        if metadata.xmp:
            tags[700] = metadata.xmp
        found = {"exif": tags if len(tags) else None}
        if {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}.intersection(tags):
            found["compression"] = "raw"  # Pillow can write nested directories to an uncompressed file only
    elif target in ("JPEG", "WEBP"):
        found = {"exif": metadata.exif, "xmp": metadata.xmp, "comment": metadata.comment}
    else:
        found = {}
    return {key: value for key, value in found.items() if value}
