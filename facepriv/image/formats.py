"""The supported formats, their detection by content, and what each can store."""

from __future__ import annotations

import ctypes
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from facepriv.errors import ImageError

#: The allow-list: lower-case suffix -> format. Input formats are detected by content, output formats by suffix.
IMAGE_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        ".jpg": "JPEG",
        ".jpeg": "JPEG",
        ".png": "PNG",
        ".webp": "WEBP",
        ".tif": "TIFF",
        ".tiff": "TIFF",
        ".bmp": "BMP",
    }
)

#: Images with more pixels are refused. The largest phone sensors give just under 200 megapixels (16,320 x 12,240),
#: which is 0.6 GB of RGB; a larger image is a decompression bomb or a scan.
MAX_PIXELS = 200_000_000

OPENERS = {
    # The plugin itself, not Image.open: a phone's JPEG with an appended depth map or preview stays a JPEG, and
    # `MAX_PIXELS` replaces Pillow's own limit, which warns at 89 and stops at 179 megapixels.
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"BM": "BMP",
}

_UNSUPPORTED = {
    b"GIF8": "a GIF",
    b"8BPS": "a Photoshop file",
    b"%PDF": "a PDF",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000 file",
}

_QUIET = threading.Lock()


@dataclass(frozen=True)
class _Holds:
    """What a format can store besides 8-bit grey and RGB."""

    alpha: bool = False
    deep: bool = False
    cmyk: bool = False
    icc: bool = True
    side: int = 2**31 - 1


HOLDS = {
    "JPEG": _Holds(cmyk=True, side=65_500),
    "PNG": _Holds(alpha=True, deep=True),
    "WEBP": _Holds(alpha=True, side=16_383),
    "TIFF": _Holds(alpha=True, deep=True, cmyk=True),
    "BMP": _Holds(icc=False),
}


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Pillow's warnings on stderr; one thread at a time, since the filters are global."""
    _silence_libtiff()
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _silence_libtiff() -> None:
    """Stop libtiff from printing to stderr, which Pillow does not do; may fail if libtiff is linked differently."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


def output_format(path: Path) -> str:
    """Return the format for a path's suffix; raises `ImageError`."""
    found = IMAGE_SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ImageError(f"{path}: unknown output suffix '{path.suffix}': use one of {', '.join(IMAGE_SUFFIXES)}")
    return found


def sniff(path: Path, data: bytes) -> str:
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    unsupported = next((name for start, name in _UNSUPPORTED.items() if data.startswith(start)), "")
    if data[4:8] == b"ftyp":
        unsupported = "a HEIC or AVIF image, or a video"
    what = f"is {unsupported}" if unsupported else "is not an image that facepriv knows"
    raise ImageError(f"{path}: {what}: convert it to JPEG, PNG, WebP, TIFF or BMP, or leave it out")


LOSSLESS_TIFF = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma"}


def webp_options(*, lossless: bool) -> dict[str, Any]:
    # `exact` keeps the colour of fully transparent pixels; for lossless files `quality` only sets the effort.
    return {"lossless": True, "quality": 50, "exact": True} if lossless else {"quality": 95}
