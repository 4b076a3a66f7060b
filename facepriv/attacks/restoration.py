"""Restoration: blur, compression, downscaling or denoising may remove what the method added."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.attacks.evidence import evidence
from facepriv.contracts import Attack, Images, Notes, Tools, resize_images


class Restoration(Attack):
    """Runs the classifiers on the face and on restored copies of it, and learns to weight their predictions.

    Parameters
    ----------
    blur : float
        Standard deviation, as a share of the crop's side.
    quality : int
        JPEG quality.
    smaller : int
        Divisor of the side.
    smooth : float
        Weight of total variation; more is smoother.
    """

    def __init__(self, blur: float = 0.012, quality: int = 25, smaller: int = 4, smooth: float = 0.1) -> None:
        self.blur, self.quality, self.smaller, self.smooth = blur, quality, smaller, smooth

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return the classifiers' evidence on the face and on each restored copy."""
        return {name: evidence(view, tools.estimators) for name, view in self.views(images).items()}

    def views(self, images: Images) -> dict[str, Images]:
        """Return the crops (N, S, S, 3) as they are, and restored in each way."""
        from scipy.ndimage import gaussian_filter
        from skimage.restoration import denoise_tv_chambolle

        side = images.shape[1]
        sigma = self.blur * side
        smaller = resize_images(resize_images(images, max(8, side // self.smaller)), side)
        denoised = [denoise_tv_chambolle(image, self.smooth, max_num_iter=30, channel_axis=2) for image in images]
        views = {
            "as it is": images,
            "blurred": gaussian_filter(images, (0, sigma, sigma, 0)),
            "compressed": np.stack([_compressed(image, self.quality) for image in images]),
            "smaller": smaller,
            "denoised": np.stack(denoised),
        }
        return {name: np.clip(view, 0, 1).astype(np.float32) for name, view in views.items()}


def _compressed(image: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    data = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data), np.float32) / np.float32(255)
