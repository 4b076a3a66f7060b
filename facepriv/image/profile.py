"""Colour profiles as they are written: unchanged if they hold only colour data, otherwise without the other data.

A profile is a table of tagged elements. Unknown tags, texts that may be a picture, and bytes outside all elements are
removed. The elements that define colours keep their position and bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from facepriv.image.text import words

_HEADER, _ENTRY = 128, 12
_MOST_BYTES, _MOST_TAGS = 2**24, 200
#: The colour spaces in a profile's header, by the mode of the photo. Some programs give grey photos RGB profiles.
_SPACES = {"L": (b"GRAY", b"RGB "), "I;16": (b"GRAY", b"RGB "), "RGB": (b"RGB ",), "CMYK": (b"CMYK",)}
# Tags that define colours. The type of their element is not fixed, since profile versions differ.
_COLOUR = frozenset(
    b"A2B0 A2B1 A2B2 B2A0 B2A1 B2A2 B2D0 B2D1 B2D2 B2D3 D2B0 D2B1 D2B2 D2B3 bTRC gTRC kTRC rTRC "
    b"bXYZ gXYZ rXYZ wtpt bkpt chad cicp chrm gamt lumi meas pre0 pre1 pre2 rig0 rig2 tech view".split()
)
_TEXTS = frozenset({b"desc", b"cprt", b"dmnd", b"dmdd"})
_MOST_TEXT = 16_384
# Types of elements: bytes before a list, bytes per entry and maximum entries; or maximum bytes.
_LISTS = {b"XYZ ": (8, 12, 4), b"sf32": (8, 4, 9), b"curv": (12, 2, 65_536)}
_SMALL = {b"para": 40, b"sig ": 12, b"cicp": 12, b"chrm": 36, b"meas": 36, b"view": 36}
_TABLES = frozenset({b"mft1", b"mft2", b"mAB ", b"mBA ", b"mpet"})
_JPEG = b"\xff\xd8\xff"
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"WEBPVP8", b"ftypheic", b"ftypavif")


class _Element(NamedTuple):
    tag: bytes
    start: int
    size: int


def kept_profile(profile: object, mode: str) -> bytes | None:
    """Return the colour profile to write for a photo of mode `mode`, or None if it does not fit the mode.

    Parameters
    ----------
    profile : bytes or None
        As stored in the file.
    mode : {"L", "I;16", "RGB", "CMYK"}
        Mode of the photo.
    """
    if not isinstance(profile, bytes) or not _HEADER + 4 <= len(profile) <= _MOST_BYTES:
        return None
    size, count = struct.unpack_from(">I", profile)[0], struct.unpack_from(">I", profile, _HEADER)[0]
    table = _HEADER + 4
    end = table + count * _ENTRY
    if profile[36:40] != b"acsp" or count > _MOST_TAGS or not end <= size <= len(profile):
        return None
    if profile[16:20] not in _SPACES.get(mode, ()):
        return None
    elements = [_Element(*struct.unpack_from(">4sII", profile, at)) for at in range(table, end, _ENTRY)]
    kept = [e for e in elements if end <= e.start and e.start + e.size <= size and _is_colour(e, profile)]
    if not any(e.tag not in _TEXTS for e in kept):
        return None
    # The last 28 bytes of the header are reserved.
    result = bytearray(profile[:100]) + bytes(size - 100)
    struct.pack_into(">I", result, _HEADER, len(kept))
    for n, element in enumerate(kept):
        struct.pack_into(">4sII", result, table + n * _ENTRY, *element)
        part = slice(element.start, element.start + element.size)
        result[part] = profile[part]
    if result != profile[:size]:
        result[84:100] = bytes(16)  # the profile's own checksum: zero means not computed
    return bytes(result)


def _is_colour(element: _Element, profile: bytes) -> bool:
    """Return whether an element matches its tag, and is not a picture."""
    data = profile[element.start : element.start + element.size]
    kind = data[:4]
    if len(data) < 8 or _holds_picture(data):
        return False
    if element.tag in _TEXTS:
        return len(data) <= _MOST_TEXT and all(words(text) for text in _texts(kind, data) if text.strip("\0 "))
    if element.tag not in _COLOUR:
        return False
    if kind in _LISTS:
        return _is_list(kind, data)
    return kind in _TABLES or len(data) <= _SMALL.get(kind, 0)


def _is_list(kind: bytes, data: bytes) -> bool:
    """Return whether a list has its declared length; up to three bytes of padding may follow."""
    before, each, most = _LISTS[kind]
    entries = struct.unpack_from(">I", data, 8)[0] if kind == b"curv" and len(data) >= 12 else (len(data) - 8) // each
    return entries <= most and 0 <= len(data) - before - each * entries < 4


def _holds_picture(data: bytes) -> bool:
    """Return whether the data contains a picture file; for a JPEG two segments must match, to avoid chance matches."""
    if any(start in data for start in _PICTURES):
        return True
    at = data.find(_JPEG)
    while at >= 0:
        length = int.from_bytes(data[at + 4 : at + 6], "big")
        if length > 2 and data[at + 4 + length : at + 5 + length] == b"\xff":
            return True
        at = data.find(_JPEG, at + 1)
    return False


def _texts(kind: bytes, data: bytes) -> Iterator[str]:
    """Yield all texts of a text element; U+FFFD if it is malformed."""
    if kind == b"text":
        yield data[8:].decode("latin-1")
    elif kind == b"mluc" and len(data) >= 16:
        yield from _in_languages(data)
    elif kind == b"desc" and len(data) >= 12:
        # ASCII, UTF-16, and a field of 67 bytes for old Macs.
        length = struct.unpack_from(">I", data, 8)[0]
        yield data[12 : 12 + length].decode("latin-1")
        rest = data[12 + length :]
        wide = 8 + 2 * struct.unpack_from(">I", rest, 4)[0] if len(rest) >= 8 else 8
        yield rest[8:wide].decode("utf-16-be", "replace")
        yield rest[wide + 3 : wide + 70].decode("latin-1")
        yield "\ufffd" if any(rest[wide + 70 :]) else ""
    else:
        yield "\ufffd"


def _in_languages(data: bytes) -> Iterator[str]:
    count, each = struct.unpack_from(">II", data, 8)
    if each < 12 or 16 + count * each > len(data):
        yield "\ufffd"
        return
    rest = bytearray(data)
    rest[: 16 + count * each] = bytes(16 + count * each)
    for n in range(count):
        length, start = struct.unpack_from(">II", data, 16 + n * each + 4)
        text = data[start : start + length]
        rest[start : start + length] = bytes(len(text))
        yield text.decode("utf-16-be", "replace")
    yield "\ufffd" if any(rest) else ""
