"""Reading an image file: detect its format by content, decode it, or refuse it."""

from __future__ import annotations

import io
import logging
import math
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, TiffImagePlugin

from facepriv.errors import ImageError, one_line
from facepriv.files import content_hash
from facepriv.image import cmyk
from facepriv.image.formats import LOSSLESS_TIFF, MAX_PIXELS, OPENERS, quiet, sniff, webp_options
from facepriv.image.metadata import DAMAGE, Metadata, exif_tags, read_metadata
from facepriv.image.photo import UPRIGHT, Photo, frozen
from facepriv.image.profile import kept_profile

if TYPE_CHECKING:
    from facepriv.image.photo import Photo


# PNG chunks that define the colour space, and their lengths; chunks of another length are ignored.
_PNG_COLOUR = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}
_INCHES, _CENTIMETRES = 2, 3
_ORIENTATION = 0x0112
#: The orientations that swap width and height.
SIDEWAYS = (5, 6, 7, 8)
# Without a handler Python would print Pillow's errors to stderr; programs that configure logging still get them.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Decoded:
    """A decoded file, not yet upright.

    Parameters
    ----------
    planes : ndarray
        (H, W) or (H, W, C) of mode `mode`.
    orientation : int
        The EXIF orientation, 1 to 8, not applied yet.
    dpi : tuple of float or None
        Horizontal and vertical resolution of `planes`.
    icc : bytes or None
        The colour profile as stored in the file.
    """

    planes: NDArray[Any]
    format: str
    mode: str
    orientation: int
    dpi: tuple[float, float] | None
    icc: bytes | None
    coding: Mapping[str, Any]
    metadata: Metadata


def decode(path: Path, data: bytes, max_pixels: int) -> Decoded:
    """Decode a file's bytes, or raise a one-line `ImageError`; too large images are refused before decoding."""
    kind = sniff(path, data)
    # Pillow's decoders may raise almost any exception on malicious input.
    try:
        image = OPENERS[kind](io.BytesIO(data))
    except Exception as error:
        raise _damaged(path, error) from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{path}: {width} x {height} pixels, over the limit of {max_pixels:,}: scale it down")
    # Removed before loading: Pillow rotates a TIFF itself, and would use the orientation in XMP too.
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


def _damaged(path: Path, error: BaseException) -> ImageError:
    reason = one_line(error)
    return ImageError(
        f"{path}: is damaged, cut short or of an unusual kind ({reason}): replace it with a whole copy, or convert it"
    )


def _refusal(image: Any, data: bytes) -> str:
    """Return why an opened image is refused, with the fix, or an empty text."""
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
    """Return the resolution if the file states a sensible one; Pillow invents a value if there is none."""
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
    """Return the resolution in TIFF or EXIF tags, or an empty tuple."""
    with suppress(*DAMAGE):
        unit = tags.get(TiffImagePlugin.RESOLUTION_UNIT, _INCHES)
        if unit in (_INCHES, _CENTIMETRES):
            factor = 2.54 if unit == _CENTIMETRES else 1
            return tuple(
                float(tags[tag]) * factor for tag in (TiffImagePlugin.X_RESOLUTION, TiffImagePlugin.Y_RESOLUTION)
            )
    return ()


def _coding(image: Any, kind: str, data: bytes) -> dict[str, Any]:
    """Return Pillow's save options that reproduce the encoding of the file."""
    if kind == "JPEG":
        return _jpeg_coding(image)
    if kind == "TIFF":
        compression = image.info.get("compression", "raw")
        return {"compression": compression if compression in LOSSLESS_TIFF else "tiff_lzw"}
    if kind == "WEBP":
        return webp_options(lossless=b"VP8L" in _webp_chunks(data))
    if kind == "PNG":
        colour = [(name, payload) for name, payload in _png_chunks(data) if _PNG_COLOUR.get(name) == len(payload)]
        return {"colour": colour} if colour else {}
    return {}


def _jpeg_coding(image: Any) -> dict[str, Any]:
    """Return the quantisation tables, one per component, and the subsampling."""
    tables = [image.quantization.get(layer[3]) for layer in image.layer]
    if None in tables:
        return {}
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()  # the encoder repeats the last
    if image.info.get("adobe_transform") == 2:
        del tables[1:]  # YCCK, which Pillow writes as CMYK: chroma tables would degrade inks
    coding: dict[str, Any] = {"qtables": tables}
    if len(image.layer) == 3:
        if image.info.get("adobe_transform") == 0:
            return coding | {"keep_rgb": True}
        # Subsampling that Pillow cannot write becomes 4:4:4, which is lossless.
        coding["subsampling"] = max(0, JpegImagePlugin.get_sampling(image))
    return coding


def _webp_chunks(data: bytes) -> set[bytes]:
    """Return the names of a WebP file's chunks."""
    names, at = set(), 12
    while at + 8 <= len(data):
        names.add(data[at : at + 4])
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and payload of a PNG's chunks before the pixel data."""
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read one image file: JPEG, PNG, WebP, TIFF or BMP, detected by content.

    Parameters
    ----------
    path : path
        The file.
    max_pixels : int
        Larger images are refused by their header, without decoding.

    Raises
    ------
    ImageError
        If the file cannot be read, is not such an image, is damaged or too large, has several frames or pages, or has a
        pixel format that cannot be written unchanged. The text is one line and includes the fix.
    """
    path = Path(path)
    return decode_image(_read_bytes(path, most_bytes(max_pixels)), path, max_pixels=max_pixels)


def read_member(path: Path, span: tuple[int, int], name: str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read an image inside a file, at (offset, length); errors are those of `read_image`, with `name` as the name."""
    offset, length = span
    _check_length(name, length, most_bytes(max_pixels))
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror or one_line(error)})") from error
    if len(data) < length:
        raise ImageError(f"{name}: {path} was cut short meanwhile: leave it alone during the run")
    return decode_image(data, name, max_pixels=max_pixels)


def decode_image(data: bytes, path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode an image file's bytes; errors are those of `read_image`, with `path` as the name."""
    path = Path(path)
    with quiet():
        decoded = decode(path, data, max_pixels)
    upright = UPRIGHT.get(decoded.orientation, lambda a: a)
    planes = np.ascontiguousarray(upright(decoded.planes))
    turned = decoded.orientation in SIDEWAYS
    coding = dict(decoded.coding)
    if turned and coding.get("subsampling") == 1:
        # Rotated 4:2:2 cannot be written: keep full chroma.
        coding["subsampling"] = 0
    dpi = decoded.dpi[::-1] if decoded.dpi and turned else decoded.dpi
    colour, alpha, inks = _split(planes, decoded.mode)
    mode = decoded.mode.rstrip("A") if decoded.mode in ("LA", "RGBA") else decoded.mode
    icc = kept_profile(decoded.icc, mode)
    return Photo(colour, content_hash(data), decoded.format, mode, alpha, inks, icc, dpi, coding, decoded.metadata)


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{path}: is a folder, not an image file: name the files in it")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path}: is not a regular file: copy the image to one first")
        _check_length(path, status.st_size, limit)
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file: check the name") from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise ImageError(f"{path}: cannot be read ({reason}): check the path and its permissions") from error
    return data


def most_bytes(max_pixels: int) -> int:
    """Return the size limit of a file: a valid file has at most 8 bytes per pixel, apart from metadata."""
    return 8 * max_pixels + 2**26


def _check_length(name: Path | str, length: int, limit: int) -> None:
    if length > limit:
        raise ImageError(f"{name}: {length:,} bytes is more than any image within the limit: scale it down")
    if not length:
        raise ImageError(f"{name}: is empty (0 bytes): replace it with a whole copy, or leave it out")


def _split(planes: NDArray[Any], mode: str) -> tuple[NDArray[Any], NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Split decoded planes into colour, alpha and inks."""
    if mode == "CMYK":
        return frozen(cmyk.to_rgb(planes)), None, frozen(planes)
    alpha = None
    if mode in ("LA", "RGBA"):
        alpha = frozen(np.ascontiguousarray(planes[:, :, -1]))
        planes = planes[:, :, 0] if mode == "LA" else planes[:, :, :3]
    if planes.ndim == 3 and _is_grey(planes):
        planes = planes[:, :, 0]
    return frozen(np.ascontiguousarray(planes)), alpha, None


def _is_grey(rgb: NDArray[np.uint8]) -> bool:
    """Return whether the three channels are equal; checks a few rows first, enough for nearly every colour photo."""
    return all(
        np.array_equal(rows[:, :, 0], rows[:, :, 1]) and np.array_equal(rows[:, :, 0], rows[:, :, 2])
        for rows in (rgb[::64], rgb)
    )
