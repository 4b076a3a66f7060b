"""Writing a photo in the encoding of its source."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from facepriv.errors import ImageError, one_line
from facepriv.files import atomic_write
from facepriv.image import cmyk
from facepriv.image.formats import HOLDS, IMAGE_SUFFIXES, output_format, webp_options
from facepriv.image.metadata import metadata_options
from facepriv.image.photo import Photo


def save_options(photo: Photo, path: Path, target: str) -> dict[str, Any]:
    """Return Pillow's options for writing `photo` as `target`; raises `ImageError` if that format cannot hold it."""
    holds = HOLDS[target]
    height, width = photo.pixels.shape[:2]
    grey_profile = photo.icc is not None and photo.icc[16:20] == b"GRAY"
    for refused, what in (
        (photo.alpha is not None and not holds.alpha, "transparency"),
        (photo.pixels.dtype == np.uint16 and not holds.deep, "16 bits a pixel"),
        (photo.mode == "CMYK" and not holds.cmyk, "CMYK"),
        (photo.icc is not None and not holds.icc, "a colour profile"),
        # WebP has no grey mode, so the profile would not match the channels.
        (target == "WEBP" and grey_profile, "a grey colour profile"),
        (max(height, width) > holds.side, f"{width} x {height} pixels"),
    ):
        if refused:
            raise ImageError(f"{path}: {target} cannot hold {what}: {_way_on(photo, target)}")
    options: dict[str, Any] = {}
    if photo.icc:
        options["icc_profile"] = photo.icc
    if target == "BMP":
        options["dpi"] = photo.dpi or (0, 0)  # Pillow would write 96
    elif photo.dpi and target != "WEBP":
        options["dpi"] = photo.dpi
    if photo.coding and photo.format == target:
        options |= photo.coding
    elif target == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    elif target == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    elif target == "WEBP":
        options |= webp_options(lossless=photo.format != "JPEG")
    if target == "PNG":
        options["compress_level"] = 4  # half the time of Pillow's 6, at most 5 % larger
    if "colour" in options:
        info = PngImagePlugin.PngInfo()
        for name, payload in options.pop("colour"):
            info.add(name, payload)
        options["pnginfo"] = info
    return options


def _way_on(photo: Photo, target: str) -> str:
    """Return a hint on how to write a photo that `target` cannot hold."""
    if photo.format == target:
        return "choose .tif"
    suffix = next(suffix for suffix, kind in IMAGE_SUFFIXES.items() if kind == photo.format)
    fitting = " or ".join(dict.fromkeys((suffix, ".tif")))
    return f"the photo is a {photo.format} by its content: rename it to {suffix}, or write to {fitting}"


def write_image(photo: Photo, path: Path | str, *, keep_metadata: bool = False) -> None:
    """Write a photo atomically, in the format given by the suffix of `path`.

    A JPEG read from a JPEG keeps its quantisation tables and subsampling; other JPEGs are written at quality 95.
    WebP is lossless unless the source file is lossy.

    Parameters
    ----------
    photo : Photo
        As read, or with changed pixels.
    path : path
        The folder is created if missing; an existing file is replaced.
    keep_metadata : bool
        Also write words and numbers of EXIF, XMP, comment and PNG text, see `facepriv.image.metadata`. Data that may
        contain a picture is dropped in any case, as it may show the unprotected face.

    Raises
    ------
    ImageError
        If the suffix is unknown, the format cannot hold the photo, or the file cannot be written.
    """
    atomic_write(path, encode_image(photo, path, keep_metadata=keep_metadata))


def encode_image(photo: Photo, path: Path | str, *, keep_metadata: bool = False) -> bytes:
    """Return the bytes that `write_image` would write to `path`; raises the same errors."""
    path = Path(path)
    target = output_format(path)
    options = save_options(photo, path, target)
    if keep_metadata:
        options |= metadata_options(photo.metadata, target, options)
    buffer = io.BytesIO()
    try:
        _assemble(photo).save(buffer, format=target, **options)
    except (OSError, ValueError) as error:
        fix = "choose another suffix" + (", or leave the metadata out" if keep_metadata else "")
        raise ImageError(f"{path}: cannot be written as {target} ({one_line(error)}): {fix}") from error
    return buffer.getvalue()


def _assemble(photo: Photo) -> Image.Image:
    """Convert a photo to the Pillow image to write."""
    planes = photo.pixels
    if photo.inks is not None:
        inks = cmyk.with_rgb(photo.inks, planes)
        return Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), inks.tobytes())
    if photo.mode == "RGB" and planes.ndim == 2:
        planes = np.repeat(planes[:, :, None], 3, axis=2)
    if photo.alpha is not None:
        planes = np.dstack([planes, photo.alpha])
    return Image.fromarray(planes)
