"""Which image files are read and written, what each format can hold, and what makes a file refused."""

from __future__ import annotations

import ctypes
import io
import logging
import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from facepriv.errors import ImageError, one_line
from facepriv.image.metadata import DAMAGE, Metadata, exif_tags, read_metadata

if TYPE_CHECKING:
    from facepriv.images import Photo

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

_OPENERS = {
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
_LOSSLESS_TIFF = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma"}
# Chunks that say what a PNG's numbers mean as colour, and their length; of another length they are something else.
_PNG_COLOUR = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}
_INCHES, _CENTIMETRES = 2, 3
_ORIENTATION = 0x0112
#: The orientations that swap width and height.
SIDEWAYS = (5, 6, 7, 8)
_QUIET = threading.Lock()
# Without a handler Python would print Pillow's errors to stderr; a program that configures logging still gets them.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class _Holds:
    """What a format can hold beside 8-bit grey and RGB."""

    alpha: bool = False
    deep: bool = False
    cmyk: bool = False
    icc: bool = True
    side: int = 2**31 - 1


_HOLDS = {
    "JPEG": _Holds(cmyk=True, side=65_500),
    "PNG": _Holds(alpha=True, deep=True),
    "WEBP": _Holds(alpha=True, side=16_383),
    "TIFF": _Holds(alpha=True, deep=True, cmyk=True),
    "BMP": _Holds(icc=False),
}


@dataclass(frozen=True)
class Decoded:
    """A decoded file, not yet upright.

    Parameters
    ----------
    planes : ndarray
        (H, W) or (H, W, C) of mode `mode`.
    orientation : int
        EXIF's, 1 to 8, which is still to be applied.
    dpi : tuple of float or None
        Resolution across and down, of `planes`.
    icc : bytes or None
        The colour profile as it stands in the file.
    """

    planes: NDArray[Any]
    format: str
    mode: str
    orientation: int
    dpi: tuple[float, float] | None
    icc: bytes | None
    coding: Mapping[str, Any]
    metadata: Metadata


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


def decode(path: Path, data: bytes, max_pixels: int) -> Decoded:
    """Decode a file's bytes, or raise `ImageError` with one line; too large images are refused before decoding."""
    kind = _sniff(path, data)
    # Pillow's decoders raise nearly anything on hostile bytes.
    try:
        image = _OPENERS[kind](io.BytesIO(data))
    except Exception as error:
        raise _damaged(path, error) from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{path}: {width} x {height} pixels, over the limit of {max_pixels:,}: scale it down")
    # Taken away before loading: Pillow turns a TIFF itself, and would do so by the orientation that stands in XMP, too.
    xmp = image.info.pop("xmp", None)
    turned_by_pillow = kind == "TIFF" and image.tag_v2.get(_ORIENTATION) in SIDEWAYS
    try:
        refusal = _refusal(image, data)
        if not refusal:
            image.load()
    except Exception as error:
        raise _damaged(path, error) from error
    if refusal:
        raise ImageError(f"{path}: {refusal}")
    flat = _flat(image)
    planes = np.asarray(flat)
    if flat.mode.startswith("I;16"):
        planes = planes.astype(np.uint16)
        if kind == "TIFF" and image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
            planes = 65535 - planes  # white is zero: Pillow inverts 8-bit files only
    mode = "I;16" if planes.dtype == np.uint16 else flat.mode
    tags = exif_tags(image)
    orientation = 1 if kind == "TIFF" else _orientation(tags)
    dpi = _dpi(image, kind, tags)
    return Decoded(
        planes=planes,
        format=kind,
        mode=mode,
        orientation=orientation,
        dpi=dpi[::-1] if dpi and turned_by_pillow else dpi,
        icc=image.info.get("icc_profile"),
        coding=_coding(image, kind, data),
        metadata=read_metadata(image, tags, xmp or image.info.get("xmp")),
    )


def save_options(photo: Photo, path: Path, target: str) -> dict[str, Any]:
    """Return Pillow's options for writing `photo` as `target`; raises `ImageError` if that format cannot hold it."""
    holds = _HOLDS[target]
    height, width = photo.pixels.shape[:2]
    grey_profile = photo.icc is not None and photo.icc[16:20] == b"GRAY"
    for refused, what in (
        (photo.alpha is not None and not holds.alpha, "transparency"),
        (photo.pixels.dtype == np.uint16 and not holds.deep, "16 bits a pixel"),
        (photo.mode == "CMYK" and not holds.cmyk, "CMYK"),
        (photo.icc is not None and not holds.icc, "a colour profile"),
        # WebP has no grey: the profile would then speak of other channels.
        (target == "WEBP" and grey_profile, "a grey colour profile"),
        (max(height, width) > holds.side, f"{width} x {height} pixels"),
    ):
        if refused:
            raise ImageError(f"{path}: {target} cannot hold {what}: {_way_on(photo, target)}")
    options: dict[str, Any] = {}
    if photo.icc:
        options["icc_profile"] = photo.icc
    if target == "BMP":
        options["dpi"] = photo.dpi or (0, 0)  # Pillow would state 96
    elif photo.dpi and target != "WEBP":
        options["dpi"] = photo.dpi
    if photo.coding and photo.format == target:
        options |= photo.coding
    elif target == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    elif target == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    elif target == "WEBP":
        options |= _webp_options(lossless=photo.format != "JPEG")
    if target == "PNG":
        options["compress_level"] = 4  # half the time of Pillow's 6, at most 5 % larger
    if "colour" in options:
        info = PngImagePlugin.PngInfo()
        for name, payload in options.pop("colour"):
            info.add(name, payload)
        options["pnginfo"] = info
    return options


def _way_on(photo: Photo, target: str) -> str:
    """Say how to write a photo that `target` cannot hold."""
    if photo.format == target:
        return "choose .tif"
    suffix = next(suffix for suffix, kind in IMAGE_SUFFIXES.items() if kind == photo.format)
    fitting = " or ".join(dict.fromkeys((suffix, ".tif")))
    return f"the photo is a {photo.format} by its content: rename it to {suffix}, or write to {fitting}"


def _sniff(path: Path, data: bytes) -> str:
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


def _damaged(path: Path, error: BaseException) -> ImageError:
    reason = one_line(error)
    return ImageError(
        f"{path}: is damaged, cut short or of an unusual kind ({reason}): replace it with a whole copy, or convert it"
    )


def _refusal(image: Any, data: bytes) -> str:
    """Return why an opened image is refused, with the mend, or nothing."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        return f"holds {frames} frames or pages: save the one that you want as a file of its own"
    bits, samples = 8, 1
    if image.format == "PNG":
        bits, samples = data[24], 1 if data[25] in (0, 3) else 3
    elif image.format == "TIFF":
        depths = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        bits, samples = max(depths), image.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL, len(depths))
    if bits > 8 and samples > 1:
        return f"{bits}-bit colour or transparency would lose its depth: convert it to 8 bit, or to 16-bit grey"
    if bits > 8 and (bits != 16 or image.mode not in ("I;16", "I;16B")):
        return f"{bits}-bit grey of this kind is not supported: convert it to 8 bit, or to unsigned 16-bit grey"
    if image.mode.startswith("I;16") and "transparency" in image.info:
        return "16-bit grey with a transparent value is not supported: convert it to 8 bit"
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I;16B"):
        return f"pixels of mode {image.mode} are not supported: convert it to 8-bit RGB or grey"
    return ""


def _flat(image: Image.Image) -> Image.Image:
    """Return the image without palette, 1-bit pixels and transparent colour."""
    see_through = "transparency" in image.info
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if see_through or image.mode == "PA" else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if see_through and image.mode in ("L", "RGB"):
        return image.convert(image.mode + "A")
    return image


def _orientation(tags: Image.Exif) -> int:
    with suppress(*DAMAGE):
        found = tags.get(_ORIENTATION)
        return int(found) if found in range(1, 9) else 1
    return 1


def _dpi(image: Any, kind: str, tags: Image.Exif) -> tuple[float, float] | None:
    """Return the resolution if the file states a sensible one; Pillow makes some up where it states none."""
    found = image.info.get("dpi", ())
    if kind == "TIFF":
        found = _stated_dpi(image.tag_v2)
    elif kind == "JPEG" and image.info.get("jfif_unit") not in (1, 2):
        found = _stated_dpi(tags)
    try:
        across, down = (float(value) for value in found)
    except (TypeError, ValueError, ArithmeticError):
        return None
    sensible = all(math.isfinite(value) and 1 <= value < 65_535 for value in (across, down))
    return (across, down) if sensible else None


def _stated_dpi(tags: Mapping[int, Any]) -> tuple[float, ...]:
    """Return the resolution of a TIFF's or EXIF's tags, or nothing."""
    with suppress(*DAMAGE):
        unit = tags.get(TiffImagePlugin.RESOLUTION_UNIT, _INCHES)
        if unit in (_INCHES, _CENTIMETRES):
            factor = 2.54 if unit == _CENTIMETRES else 1
            return tuple(
                float(tags[tag]) * factor for tag in (TiffImagePlugin.X_RESOLUTION, TiffImagePlugin.Y_RESOLUTION)
            )
    return ()


def _coding(image: Any, kind: str, data: bytes) -> dict[str, Any]:
    """Return Pillow's save options that write the file's own format as it was written before."""
    if kind == "JPEG":
        return _jpeg_coding(image)
    if kind == "TIFF":
        compression = image.info.get("compression", "raw")
        return {"compression": compression if compression in _LOSSLESS_TIFF else "tiff_lzw"}
    if kind == "WEBP":
        return _webp_options(lossless=b"VP8L" in _webp_chunks(data))
    if kind == "PNG":
        colour = [(name, payload) for name, payload in _png_chunks(data) if _PNG_COLOUR.get(name) == len(payload)]
        return {"colour": colour} if colour else {}
    return {}


def _jpeg_coding(image: Any) -> dict[str, Any]:
    """Return the quantisation tables, one a component, and the subsampling."""
    tables = [image.quantization.get(layer[3]) for layer in image.layer]
    if None in tables:
        return {}
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()  # the encoder repeats the last
    if image.info.get("adobe_transform") == 2:
        del tables[1:]  # YCCK, which Pillow writes as CMYK: the tables of colour differences would spoil inks
    coding: dict[str, Any] = {"qtables": tables}
    if len(image.layer) == 3:
        if image.info.get("adobe_transform") == 0:
            return coding | {"keep_rgb": True}
        # Sampling that Pillow cannot write becomes 4:4:4, which loses nothing.
        coding["subsampling"] = max(0, JpegImagePlugin.get_sampling(image))
    return coding


def _webp_options(*, lossless: bool) -> dict[str, Any]:
    # `exact` keeps the colour under full transparency; for lossless files `quality` is only the effort.
    return {"lossless": True, "quality": 50, "exact": True} if lossless else {"quality": 95}


def _webp_chunks(data: bytes) -> set[bytes]:
    """Return the names of a WebP file's chunks."""
    names, at = set(), 12
    while at + 8 <= len(data):
        names.add(data[at : at + 4])
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and payload of a PNG's chunks up to its pixels."""
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size
