"""Safe reading and atomic writing of image files.

What goes out looks as it came in: size, orientation (baked in), grey or colour, depth, alpha, ICC profile and, for a
JPEG, the quality. In lossless formats only changed pixels change. JPEG and lossy WebP are encoded again, which moves
others a little (``benchmarks/rewriting.py`` measures it). Metadata stays behind unless it is asked for.

==================================  ======================================================================
file                                `Photo` and what is written again
==================================  ======================================================================
grey, RGB, grey or RGB with alpha   the same mode
1-bit, 2-bit, 4-bit grey            8-bit grey
palette                             RGB, or RGBA if it has transparency: a palette cannot hold new colours
a transparent colour (PNG ``tRNS``) grey or RGB with alpha
16-bit grey (PNG, TIFF)             16-bit grey
16-bit colour                       refused: Pillow would silently make it 8-bit
CMYK (JPEG, TIFF)                   CMYK; ``pixels`` is its RGB view, only changed pixels are converted back
12-bit, 32-bit, float, Lab          refused
animations, several pages           refused
==================================  ======================================================================
"""

from __future__ import annotations

import io
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.errors import ContractError, ImageError, one_line
from facepriv.files import atomic_write, content_hash
from facepriv.image import cmyk
from facepriv.image.metadata import Metadata, metadata_options
from facepriv.imageformats import IMAGE_SUFFIXES, MAX_PIXELS, SIDEWAYS, decode, output_format, quiet, save_options
from facepriv.imageicc import kept_profile

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Photo",
    "atomic_write",
    "decode_image",
    "encode_image",
    "output_format",
    "read_image",
    "read_member",
    "write_image",
]

# What undoes each EXIF orientation.
_UPRIGHT = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@dataclass(frozen=True, eq=False)
class Photo:
    """An image file in memory.

    Parameters
    ----------
    pixels : ndarray
        (H, W) or (H, W, 3), uint8 or uint16, read-only, upright, without alpha. An RGB file whose channels are all
        equal is grey and comes as (H, W).
    content_hash : str
        SHA-256, hex, on which everything random depends: of the file's bytes, or, if left out, of the pixels with their
        shape and dtype.
    format : str
        Format of the file it came from: one of the values of `IMAGE_SUFFIXES`.
    mode : {"L", "I;16", "RGB", "CMYK"}
        What is written, alpha aside.
    alpha : ndarray or None
        (H, W) uint8, written as it was read.
    inks : ndarray or None
        (H, W, 4) uint8, the CMYK file's own values.
    icc : bytes or None
        The colour profile, kept as `facepriv.imageicc` says.
    dpi : tuple of float or None
        Resolution across and down.
    coding : mapping
        Pillow's options (and, for a PNG, its colour chunks) for writing the same format as it was written before.
    metadata : Metadata
        What ``keep_metadata`` writes.
    """

    pixels: NDArray[Any]
    content_hash: str = ""
    format: str = "PNG"
    mode: str = "RGB"
    alpha: NDArray[np.uint8] | None = None
    inks: NDArray[np.uint8] | None = None
    icc: bytes | None = field(default=None, repr=False)
    dpi: tuple[float, float] | None = None
    coding: Mapping[str, Any] = field(default_factory=dict, repr=False)
    metadata: Metadata = field(default=Metadata(), repr=False)

    def __post_init__(self) -> None:
        if not self.content_hash:
            shape = f"{self.pixels.dtype.str} {self.pixels.shape} ".encode()
            object.__setattr__(self, "content_hash", content_hash(shape + self.pixels.tobytes()))

    def rgb8(self) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB, for detection and cropping; read-only where it is `pixels` itself."""
        pixels = self.pixels
        if pixels.dtype == np.uint16:
            pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)

    def with_pixels(self, pixels: NDArray[Any]) -> Photo:
        """Return the same photo with other pixels; raises `ContractError` unless shape and dtype stay."""
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ContractError(
                f"pixels: expected {self.pixels.dtype} {self.pixels.shape}, got {pixels.dtype} {pixels.shape}"
            )
        return replace(self, pixels=_frozen(pixels))


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read one image file: JPEG, PNG, WebP, TIFF or BMP, told by content.

    Parameters
    ----------
    path : path
        The file.
    max_pixels : int
        Larger images are refused from their header, without being decoded.

    Raises
    ------
    ImageError
        If the file cannot be read, is no such image, is damaged or too large, holds several frames or pages, or is of
        a pixel format that would be written otherwise than it was read. The text is one line, with the mend.
    """
    path = Path(path)
    return decode_image(_read_bytes(path, _most_bytes(max_pixels)), path, max_pixels=max_pixels)


def read_member(path: Path, span: tuple[int, int], name: str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read an image that lies within a file, at (offset, length); `name` is what errors, as `read_image`'s, call it."""
    offset, length = span
    _check_length(name, length, _most_bytes(max_pixels))
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
    """Read an image file's bytes; `path` only names them in errors, which are those of `read_image`."""
    path = Path(path)
    with quiet():
        decoded = decode(path, data, max_pixels)
    upright = _UPRIGHT.get(decoded.orientation, lambda a: a)
    planes = np.ascontiguousarray(upright(decoded.planes))
    turned = decoded.orientation in SIDEWAYS
    coding = dict(decoded.coding)
    if turned and coding.get("subsampling") == 1:
        # 4:2:2 lying on its side cannot be written: keep all colour.
        coding["subsampling"] = 0
    dpi = decoded.dpi[::-1] if decoded.dpi and turned else decoded.dpi
    colour, alpha, inks = _split(planes, decoded.mode)
    mode = decoded.mode.rstrip("A") if decoded.mode in ("LA", "RGBA") else decoded.mode
    icc = kept_profile(decoded.icc, mode)
    return Photo(colour, content_hash(data), decoded.format, mode, alpha, inks, icc, dpi, coding, decoded.metadata)


def write_image(photo: Photo, path: Path | str, *, keep_metadata: bool = False) -> None:
    """Write a photo, atomically, in the format that the suffix of `path` names.

    A JPEG that came from a JPEG keeps its quantisation tables and subsampling, other JPEGs are written at quality 95.
    WebP is lossless unless the photo came from a lossy file.

    Parameters
    ----------
    photo : Photo
        As read, or with changed pixels.
    path : path
        The folder is made if it is missing; a file that stands there is replaced.
    keep_metadata : bool
        Also write words and numbers of EXIF, XMP, comment and PNG text, see `facepriv.image.metadata`. Whatever may hold
        a picture stays behind all the same: it may show the unprotected face.

    Raises
    ------
    ImageError
        If the suffix is unknown, the format cannot hold the photo, or the file cannot be written.
    """
    atomic_write(path, encode_image(photo, path, keep_metadata=keep_metadata))


def encode_image(photo: Photo, path: Path | str, *, keep_metadata: bool = False) -> bytes:
    """Return the bytes that `write_image` writes to `path`; raises as it does, and writes nothing."""
    path = Path(path)
    target = output_format(path)
    options = save_options(photo, path, target)
    if keep_metadata:
        options |= metadata_options(photo.metadata, target, options)
    buffer = io.BytesIO()
    try:
        _assemble(photo).save(buffer, format=target, **options)
    except (OSError, ValueError) as error:
        mend = "choose another suffix" + (", or leave the metadata out" if keep_metadata else "")
        raise ImageError(f"{path}: cannot be written as {target} ({one_line(error)}): {mend}") from error
    return buffer.getvalue()


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


def _most_bytes(max_pixels: int) -> int:
    """No sound file holds more than 8 bytes a pixel, metadata aside."""
    return 8 * max_pixels + 2**26


def _check_length(name: Path | str, length: int, limit: int) -> None:
    if length > limit:
        raise ImageError(f"{name}: {length:,} bytes is more than any image within the limit: scale it down")
    if not length:
        raise ImageError(f"{name}: is empty (0 bytes): replace it with a whole copy, or leave it out")


def _split(planes: NDArray[Any], mode: str) -> tuple[NDArray[Any], NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Split decoded planes into colour, alpha and inks."""
    if mode == "CMYK":
        return _frozen(cmyk.to_rgb(planes)), None, _frozen(planes)
    alpha = None
    if mode in ("LA", "RGBA"):
        alpha = _frozen(np.ascontiguousarray(planes[:, :, -1]))
        planes = planes[:, :, 0] if mode == "LA" else planes[:, :, :3]
    if planes.ndim == 3 and _is_grey(planes):
        planes = planes[:, :, 0]
    return _frozen(np.ascontiguousarray(planes)), alpha, None


def _is_grey(rgb: NDArray[np.uint8]) -> bool:
    """Tell whether the three channels are equal; looks at a few rows first, which settles nearly every colour photo."""
    return all(
        np.array_equal(rows[:, :, 0], rows[:, :, 1]) and np.array_equal(rows[:, :, 0], rows[:, :, 2])
        for rows in (rgb[::64], rgb)
    )


def _assemble(photo: Photo) -> Image.Image:
    """Turn a photo into the Pillow image that is written."""
    planes = photo.pixels
    if photo.inks is not None:
        inks = cmyk.with_rgb(photo.inks, planes)
        return Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), inks.tobytes())
    if photo.mode == "RGB" and planes.ndim == 2:
        planes = np.repeat(planes[:, :, None], 3, axis=2)
    if photo.alpha is not None:
        planes = np.dstack([planes, photo.alpha])
    return Image.fromarray(planes)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view."""
    view = array.view()
    view.setflags(write=False)
    return view
