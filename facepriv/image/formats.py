"""What formats there are, how they are told by content, and what each can hold."""

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

#: The allow-list: suffix, in lower case, -> format. Inputs are told by content, outputs by suffix.
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


#: Images of more pixels are refused. The largest phone sensors give just under 200 megapixels (16,320 x 12,240), which
#: is 0.6 GB of RGB; a file that claims more is a bomb or a scan.
MAX_PIXELS = 200_000_000


OPENERS = {
    # The plugin itself, not Image.open: a phone's JPEG with a depth map or preview behind it stays a JPEG, and
    # Pillow's pixel limit, which warns at 89 and stops at 179 megapixels, gives way to ours.
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


_STRANGERS = {
    b"GIF8": "a GIF",
    b"8BPS": "a Photoshop file",
    b"%PDF": "a PDF",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000 file",
}


_QUIET = threading.Lock()


@dataclass(frozen=True)
class _Holds:
    """What a format can hold beside 8-bit grey and RGB."""

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
    """Keep Pillow's warnings off stderr; one thread at a time, since the filters are global."""
    _silence_libtiff()
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _silence_libtiff() -> None:
    """Keep libtiff from printing to stderr, which Pillow does not stop; where it is linked otherwise it may go on."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


def output_format(path: Path) -> str:
    """Return the format that a path's suffix names; raises `ImageError`."""
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
    stranger = next((name for start, name in _STRANGERS.items() if data.startswith(start)), "")
    if data[4:8] == b"ftyp":
        stranger = "a HEIC or AVIF image, or a film"
    what = f"is {stranger}" if stranger else "is not an image that facepriv knows"
    raise ImageError(f"{path}: {what}: convert it to JPEG, PNG, WebP, TIFF or BMP, or leave it out")


LOSSLESS_TIFF = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma"}


def webp_options(*, lossless: bool) -> dict[str, Any]:
    # `exact` keeps the colour under full transparency; for lossless files `quality` is only the effort.
    return {"lossless": True, "quality": 50, "exact": True} if lossless else {"quality": 95}
