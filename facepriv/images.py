"""Safe reading and atomic writing of image files (first cut)."""
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from PIL import Image
from facepriv.errors import ImageError

@dataclass
class Photo:
    pixels: np.ndarray
    def rgb8(self):
        return self.pixels

def read_image(path: Path) -> Photo:
    try:
        with Image.open(path) as im:
            return Photo(np.asarray(im.convert("RGB")))
    except OSError as error:
        raise ImageError(f"{path}: {error}") from error
