"""Safe reading and atomic writing of image files.

The output keeps the input's size, orientation (baked in), grey or colour, depth, alpha, ICC profile and, for a JPEG,
the quality. In lossless formats all other pixels stay identical. JPEG and lossy WebP are encoded again, which alters
them slightly (``benchmarks/rewriting.py`` measures it). Metadata is dropped unless the user asks for it.

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

from facepriv.image.decode import decode_image, read_image, read_member
from facepriv.image.encode import encode_image, write_image
from facepriv.image.formats import IMAGE_SUFFIXES, MAX_PIXELS, output_format
from facepriv.image.photo import Photo

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Photo",
    "decode_image",
    "encode_image",
    "output_format",
    "read_image",
    "read_member",
    "write_image",
]
