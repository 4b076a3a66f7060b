"""The EXIF tags that may be copied: numbers and words, each of a known type and a limited size.

All other tags are dropped: the thumbnail and its directory, maker notes, unknown tags, tags that point into the file,
and tags that the change of the photo makes wrong (orientation, width, height, subject area).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from PIL import ExifTags, Image

from facepriv.image.text import words

_ORIENTATION = ExifTags.Base.Orientation
_COMMENT_IN_ASCII = b"ASCII\0\0\0"


def _text(value: Any) -> str | bytes | None:
    """Return a text of the first directory. Pillow writes bytes there unchanged, and other text as ASCII."""
    return words(value).encode() or None


def _ascii(value: Any) -> str | None:
    text = words(value)
    return text if text and text.isascii() else None


def _wide(value: Any) -> bytes | None:
    """Return a Windows text, in UTF-16."""
    if not isinstance(value, bytes):
        return None
    text = words(value.decode("utf-16-le", "replace").rstrip("\0"))
    return text.encode("utf-16-le") + b"\0\0" if text else None


def _comment(value: Any) -> bytes | None:
    """Return a user comment in ASCII; other encodings are seldom declared correctly."""
    if not isinstance(value, bytes) or not value.startswith(_COMMENT_IN_ASCII):
        return None
    text = _ascii(value.removeprefix(_COMMENT_IN_ASCII))
    return _COMMENT_IN_ASCII + text.encode() if text else None


def _flag(value: Any) -> bytes | None:
    """Return up to four bytes: a version, or a code."""
    return value if isinstance(value, bytes) and 1 <= len(value) <= 4 else None


def _numbers(count: int) -> Callable[[Any], Any]:
    def fit(value: Any) -> Any:
        values = value if isinstance(value, tuple) else (value,)
        fits = 1 <= len(values) <= count and all(isinstance(v, Real) for v in values)
        return value if fits else None

    return fit


_number = _numbers(1)
_Kind = Callable[[Any], Any]

_BASE: Mapping[int, _Kind] = {
    ExifTags.Base.ImageDescription: _text,
    ExifTags.Base.Make: _text,
    ExifTags.Base.Model: _text,
    ExifTags.Base.Software: _text,
    ExifTags.Base.DateTime: _text,
    ExifTags.Base.Artist: _text,
    ExifTags.Base.Copyright: _text,
    ExifTags.Base.XPTitle: _wide,
    ExifTags.Base.XPComment: _wide,
    ExifTags.Base.XPAuthor: _wide,
    ExifTags.Base.XPKeywords: _wide,
    ExifTags.Base.XPSubject: _wide,
}
_DETAILS: Mapping[int, _Kind] = {
    ExifTags.Base.ExposureTime: _number,
    ExifTags.Base.FNumber: _number,
    ExifTags.Base.ExposureProgram: _number,
    ExifTags.Base.ISOSpeedRatings: _numbers(2),
    ExifTags.Base.SensitivityType: _number,
    ExifTags.Base.RecommendedExposureIndex: _number,
    ExifTags.Base.ExifVersion: _flag,
    ExifTags.Base.DateTimeOriginal: _ascii,
    ExifTags.Base.DateTimeDigitized: _ascii,
    ExifTags.Base.OffsetTime: _ascii,
    ExifTags.Base.OffsetTimeOriginal: _ascii,
    ExifTags.Base.OffsetTimeDigitized: _ascii,
    ExifTags.Base.ShutterSpeedValue: _number,
    ExifTags.Base.ApertureValue: _number,
    ExifTags.Base.BrightnessValue: _number,
    ExifTags.Base.ExposureBiasValue: _number,
    ExifTags.Base.MaxApertureValue: _number,
    ExifTags.Base.SubjectDistance: _number,
    ExifTags.Base.MeteringMode: _number,
    ExifTags.Base.LightSource: _number,
    ExifTags.Base.Flash: _number,
    ExifTags.Base.FocalLength: _number,
    ExifTags.Base.UserComment: _comment,
    ExifTags.Base.SubsecTime: _ascii,
    ExifTags.Base.SubsecTimeOriginal: _ascii,
    ExifTags.Base.SubsecTimeDigitized: _ascii,
    ExifTags.Base.ColorSpace: _number,
    ExifTags.Base.SensingMethod: _number,
    ExifTags.Base.FileSource: _flag,
    ExifTags.Base.SceneType: _flag,
    ExifTags.Base.CustomRendered: _number,
    ExifTags.Base.ExposureMode: _number,
    ExifTags.Base.WhiteBalance: _number,
    ExifTags.Base.DigitalZoomRatio: _number,
    ExifTags.Base.FocalLengthIn35mmFilm: _number,
    ExifTags.Base.SceneCaptureType: _number,
    ExifTags.Base.GainControl: _number,
    ExifTags.Base.Contrast: _number,
    ExifTags.Base.Saturation: _number,
    ExifTags.Base.Sharpness: _number,
    ExifTags.Base.SubjectDistanceRange: _number,
    ExifTags.Base.CameraOwnerName: _ascii,
    ExifTags.Base.BodySerialNumber: _ascii,
    ExifTags.Base.LensSpecification: _numbers(4),
    ExifTags.Base.LensMake: _ascii,
    ExifTags.Base.LensModel: _ascii,
    ExifTags.Base.LensSerialNumber: _ascii,
}
_GPS_TEXTS = (1, 3, 5, 8, 9, 10, 12, 14, 16, 18, 19, 21, 23, 25, 29)
_GPS_NUMBERS = (2, 4, 6, 7, 11, 13, 15, 17, 20, 22, 24, 26, 30, 31)
_PLACE: Mapping[int, _Kind] = {
    ExifTags.GPS.GPSVersionID: _flag,
    **dict.fromkeys(_GPS_TEXTS, _ascii),
    **dict.fromkeys(_GPS_NUMBERS, _numbers(3)),
}


def kept_exif(tags: Image.Exif) -> bytes:
    """Return an EXIF block with the listed tags of `tags` and orientation 1; empty if there are none."""
    kept = Image.Exif()
    for tag, value in _fitting(tags, _BASE).items():
        kept[tag] = value
    for directory, known in ((ExifTags.IFD.Exif, _DETAILS), (ExifTags.IFD.GPSInfo, _PLACE)):
        values = _fitting(tags.get_ifd(directory), known)
        if values:
            kept[directory] = values
    if not len(kept):
        return b""
    kept[_ORIENTATION] = 1
    return kept.tobytes()


def _fitting(values: Mapping[int, Any], known: Mapping[int, _Kind]) -> dict[int, Any]:
    fitted = {tag: fit(values[tag]) for tag, fit in known.items() if tag in values}
    return {tag: value for tag, value in fitted.items() if value is not None}
