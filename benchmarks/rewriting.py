"""Pixel changes outside the face that result from re-encoding a lossy file.

    python benchmarks/rewriting.py

Saves the two public-domain portraits in lossy formats, darkens their faces, and compares what is written with the file
that was read, at least 64 pixels away from the face. Lossless formats do not change at all; tests check that.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from speed.harness import Result, part

from facepriv.faces import detect_boxes
from facepriv.image.decode import decode_image, read_image
from facepriv.image.encode import encode_image
from facepriv.samples import portraits

#: File name -> Pillow's options for saving.
CODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG, quality 95, 4:4:4": ("a.jpg", {"quality": 95, "subsampling": 0}),
    "JPEG, quality 95, 4:2:0": ("a.jpg", {"quality": 95, "subsampling": 2}),
    "JPEG, quality 80, 4:4:4": ("a.jpg", {"quality": 80, "subsampling": 0}),
    "JPEG, quality 80, 4:2:0": ("a.jpg", {"quality": 80, "subsampling": 2}),
    "JPEG, quality 50, 4:2:0": ("a.jpg", {"quality": 50, "subsampling": 2}),
    "WebP, quality 80": ("a.webp", {"quality": 80}),
}
APART = 64


def moved(rgb: NDArray[np.uint8], box: tuple[float, ...], name: str, options: dict[str, Any]) -> NDArray[np.int64]:
    """Return the change of each pixel away from the face: the maximum over channels, in levels of 255."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, Image.registered_extensions()[f".{name.rpartition('.')[2]}"], **options)
    photo = decode_image(file.getvalue(), name)
    left, top, right, bottom = (round(v) for v in box)
    pixels = photo.pixels.copy()
    pixels[top:bottom, left:right] //= 2
    written = decode_image(encode_image(photo.with_pixels(pixels), name), name)
    change = np.abs(written.pixels.astype(np.int64) - photo.pixels).max(axis=2)
    apart = np.ones(change.shape, bool)
    apart[max(0, top - APART) : bottom + APART, max(0, left - APART) : right + APART] = False
    return change[apart]


def measure() -> dict[str, dict[str, float]]:
    """Return, for each coding, the share of changed pixels and the size of the change, over both portraits."""
    photos = [read_image(portrait.path).rgb8() for portrait in portraits()]
    boxes = [detect_boxes(rgb)[0] for rgb in photos]
    found = {}
    for coding, (name, options) in CODINGS.items():
        changes = [moved(rgb, box, name, options) for rgb, box in zip(photos, boxes, strict=True)]
        change = np.concatenate(changes)
        found[coding] = {
            "moved": float((change > 0).mean()),
            "beyond_2": float((change > 2).mean()),
            "most": int(change.max()),
        }
    return found


@part()
def main() -> Result:
    """Pixel changes outside the face that result from re-encoding a lossy file."""
    found = measure()
    rows = [(c, f"{f['moved']:.1%}", f"{f['beyond_2']:.2%}", f"{f['most']}") for c, f in found.items()]
    head = ("saved as", "pixels that moved", "by more than 2 of 255", "at most")
    return Result("encoding a photo again", head, rows, figures={"codings": found})


if __name__ == "__main__":
    main()
