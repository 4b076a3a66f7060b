"""What the scripts that train the detector's networks share: composed scenes, and how a network is written.

A scene has training faces of known places and sizes among other things.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from detection import BACKGROUNDS
from numpy.typing import NDArray
from PIL import Image
from shared import data_option
from torch import nn

from facepriv.datasets import readers
from facepriv.faces import mtcnn
from facepriv.faces.propose import tones
from facepriv.weights import Provenance, WeightsMetadata, half, save_weights

#: Pictures that only validation scenes have in the background.
HELD = 3
#: Centre, width and height of a face; a picture and its face.
Place = tuple[float, float, float, float]
Photo = tuple[Image.Image, Place]


@dataclass(frozen=True)
class Scenes:
    """Makes scenes.

    Parameters
    ----------
    photos : sequence of Photo
        From `faces`.
    pictures : sequence of Image
        From `pictures`.
    size : tuple of int
        Width and height of a scene.
    times : float
        Size of the faces: 1 for faces of 5 to 40 pixels, and a few larger ones.
    mosaics : float
        Share of scenes of whole photos side by side. Without them, a network learns how faces are pasted and finds
        fewer in real photos.
    """

    photos: Sequence[Photo]
    pictures: Sequence[Image.Image]
    size: tuple[int, int]
    times: float = 1.0
    mosaics: float = 0.5

    def make(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[Place]]:
        """Return pixels (H, W, 3) uint8 with good contrast, as a search prepares them, and the faces."""
        canvas, found = self._mosaic(rng) if rng.random() < self.mosaics else self._crowd(rng)
        found = [place for place in found if 0 <= place[0] < self.size[0] and 0 <= place[1] < self.size[1]]
        pixels = np.asarray(_spoilt(canvas, rng))
        return tones(pixels[::2, ::2])[pixels], found

    def _mosaic(self, rng: np.random.Generator) -> tuple[Image.Image, list[Place]]:
        """Return rows of whole photos with their own surroundings, turned together, and the faces."""
        side = 2 * max(self.size)
        canvas, found, top = Image.new("RGB", (side, side)), [], 0
        while top < side:
            row, left = self.times * np.exp(rng.uniform(math.log(14), math.log(120))), 0
            while left < side:
                photo, (x, y, wide, high) = self.photos[rng.integers(len(self.photos))]
                scale = row * rng.uniform(0.9, 1.1) / photo.height
                size = (max(4, round(photo.width * scale)), max(4, round(photo.height * scale)))
                canvas.paste(photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0), (left, top))
                found.append((left + x * scale, top + y * scale, wide * scale, high * scale))
                left += size[0]
            top += round(0.9 * row)
        # A later row hides a part of the one above it: no great harm.
        degrees = rng.uniform(-30, 30)
        turned = canvas.rotate(degrees, Image.Resampling.BILINEAR)
        left, top = (int(rng.uniform(0.2, 0.3) * side) for _ in range(2))
        found = [(*(_turned((x, y), (side / 2, side / 2), degrees) - (left, top)), w, h) for x, y, w, h in found]
        return turned.crop((left, top, left + self.size[0], top + self.size[1])), found

    def _crowd(self, rng: np.random.Generator) -> tuple[Image.Image, list[Place]]:
        """Return faces pasted on a background, among other things pasted alike, and the faces."""
        canvas, found, taken = self._behind(rng), [], []
        # A large face first, in half of the scenes: its parts must not be taken for small faces.
        widths = [self.times * rng.uniform(60, 160)] if rng.random() < 0.5 else []
        widths += list(self.times * np.exp(rng.uniform(math.log(5.0), math.log(40), int(rng.integers(0, 30)))))
        for width in widths:
            photo, (x, y, wide, high) = self.photos[rng.integers(len(self.photos))]
            scale = width / wide
            size = (max(4, round(photo.width * scale)), max(4, round(photo.height * scale)))
            left, top = (
                int(rng.integers(-s // 3, max(1, c - 2 * s // 3))) for s, c in zip(size, self.size, strict=True)
            )
            box = (left, top, left + size[0], top + size[1])
            if any(box[0] < c and a < box[2] and box[1] < d and b < box[3] for a, b, c, d in taken):
                continue
            taken.append(box)
            degrees = rng.uniform(-35, 35)
            if rng.random() < 0.35:
                _paste(canvas, self._behind(rng).resize(size), box, degrees, rng)
                continue
            _paste(canvas, photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0), box, degrees, rng)
            at = _turned((x * scale, y * scale), (size[0] / 2, size[1] / 2), degrees)
            found.append((left + at[0], top + at[1], width, high * scale))
        return canvas, found

    def _behind(self, rng: np.random.Generator) -> Image.Image:
        """Return a background: one colour, a picture at any scale, or enlarged clothes, hair and skin of a photo."""
        kind = rng.random()
        if kind < 0.15:
            return Image.new("RGB", self.size, tuple(rng.integers(0, 256, 3).tolist()))
        if kind < 0.75:
            picture, share = self.pictures[rng.integers(len(self.pictures))], np.exp(rng.uniform(math.log(0.3), 0))
        else:
            picture, share = self.photos[rng.integers(len(self.photos))][0], rng.uniform(0.15, 0.4)
        wide = picture.width * share
        high = min(picture.height, wide * self.size[1] / self.size[0])
        left, top = rng.uniform(0, picture.width - wide), rng.uniform(0, picture.height - high)
        turned = picture.resize(self.size, Image.Resampling.BILINEAR, (left, top, left + wide, top + high))
        return turned.transpose(Image.Transpose.ROTATE_180) if rng.random() < 0.3 else turned


def faces(data: Path, part: str, most: int) -> list[Photo]:
    """Return photos with the place and size of their face, at most so many of each data set."""
    found = []
    for name in ("celeba", "utkface"):
        paths = [record.path for record in readers.read(name, data / name) if record.part == part]
        for path in paths[:: max(1, len(paths) // most)][:most]:
            with Image.open(path) as opened:
                photo = opened.convert("RGB")
            photo.thumbnail((110, 110))
            boxes, scores, _ = mtcnn.search_carefully(photo, 24)
            if len(boxes) and scores[0] > 2.2:
                (left, top), (right, bottom) = boxes[0, :2], boxes[0, 2:]
                found.append((photo, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)))
    return found


def pictures(part: str) -> list[Image.Image]:
    """Return pictures without faces, for training or validation."""
    import skimage
    import sklearn

    images, data = Path(sklearn.__file__).parent / "datasets" / "images", Path(skimage.__file__).parent / "data"
    more = ("chelsea.png", "coins.png", "cell.png", "horse.png", "motorcycle_right.png", "color.png")
    paths = [images / "china.jpg", images / "flower.jpg", *(data / name for name in (*more, *BACKGROUNDS))]
    return [_rgb(path) for path in (paths[:-HELD] if part == "train" else paths[-HELD:])]


def _rgb(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB")


def _turned(place: tuple[float, float], middle: tuple[float, float], degrees: float) -> NDArray[np.float64]:
    """Return a place after a turn by Pillow: counter-clockwise, with y downwards."""
    radians, (dx, dy) = math.radians(degrees), np.subtract(place, middle)
    turn = (dx * math.cos(radians) + dy * math.sin(radians), dy * math.cos(radians) - dx * math.sin(radians))
    return np.add(middle, turn)


def _paste(
    canvas: Image.Image, photo: Image.Image, box: tuple[int, int, int, int], degrees: float, rng: np.random.Generator
) -> None:
    """Paste a photo, turned about its middle, with soft edges: a rectangle or an ellipse."""
    across, down = (np.linspace(-1, 1, side) for side in photo.size)
    if rng.random() < 0.5:
        depth = 1 - np.sqrt(down[:, None] ** 2 + across**2)
    else:
        depth = 1 - np.maximum(np.abs(down)[:, None], np.abs(across))
    mask = Image.fromarray((255 * np.clip(depth / rng.uniform(0.05, 0.3), 0, 1)).astype(np.uint8))
    canvas.paste(photo.rotate(degrees, Image.Resampling.BILINEAR), box[:2], mask.rotate(degrees))


def _spoilt(canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the scene brighter or darker, with noise, at times blurred."""
    if rng.random() < 0.3:
        small = [max(1, round(side * rng.uniform(0.5, 1))) for side in canvas.size]
        canvas = canvas.resize(small, Image.Resampling.BILINEAR).resize(canvas.size, Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        file = io.BytesIO()
        canvas.save(file, "JPEG", quality=int(rng.integers(20, 90)))
        canvas = Image.open(file).convert("RGB")
    gain, offset = np.exp(rng.normal(0, 0.4)), rng.normal(0, 12)
    pixels = 255 * (np.asarray(canvas, np.float32) / 255) ** rng.uniform(0.7, 1.4) * gain + offset
    if rng.random() < 0.15:  # a grey photo
        pixels[:] = pixels.mean(2, keepdims=True)
    pixels += rng.normal(0, rng.uniform(0, 6), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def save(path: Path, network: nn.Module, architecture: str, command: str) -> None:
    """Write a trained network in half precision."""
    provenance = Provenance(
        trained_on="faces of the training parts of CelebA and UTKFace, composed on pictures of scikit-image and "
        "scikit-learn",
        command=f"python benchmarks/{command}",
        date="2026",
        licence="research use",
    )
    tensors = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    save_weights(path, half(tensors), WeightsMetadata(architecture, provenance))


def training_options(command: Callable[..., None], *, scenes: int, steps: int, weights: Path) -> Callable[..., None]:
    """Add the options that both scripts have."""
    for option in (
        click.option("-o", "--output", type=click.Path(path_type=Path), default=weights, show_default=True),
        click.option(
            "--most", type=click.IntRange(1), default=3000, show_default=True, help="Photos of each data set."
        ),
        click.option("--steps", type=click.IntRange(1), default=steps, show_default=True),
        click.option("--scenes", type=click.IntRange(8), default=scenes, show_default=True),
        data_option,
    ):
        command = option(command)
    return command
