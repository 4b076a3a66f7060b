"""A photo in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.errors import ContractError
from facepriv.files import content_hash
from facepriv.image.metadata import Metadata

# The transpose operation that undoes each EXIF orientation.
UPRIGHT = {
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
        equal counts as grey, (H, W).
    content_hash : str
        SHA-256, hex, the seed of all randomness: of the file's bytes, or, if not given, of the pixels with their shape
        and dtype.
    format : str
        Format of the source file: one of the values of `IMAGE_SUFFIXES`.
    mode : {"L", "I;16", "RGB", "CMYK"}
        The mode to write, without alpha.
    alpha : ndarray or None
        (H, W) uint8, written unchanged.
    inks : ndarray or None
        (H, W, 4) uint8, the values of a CMYK file.
    icc : bytes or None
        The colour profile, filtered by `facepriv.image.profile`.
    dpi : tuple of float or None
        Horizontal and vertical resolution.
    coding : mapping
        Pillow's options (and, for a PNG, its colour chunks) that reproduce the encoding of the source file.
    metadata : Metadata
        The metadata that ``keep_metadata`` writes.
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
        """Return the same photo with other pixels; raises `ContractError` if shape or dtype differ."""
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ContractError(
                f"pixels: expected {self.pixels.dtype} {self.pixels.shape}, got {pixels.dtype} {pixels.shape}"
            )
        return replace(self, pixels=frozen(pixels))


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view."""
    view = array.view()
    view.setflags(write=False)
    return view
