"""Make facepriv/faces/search.safetensors: the network that proposes faces, see facepriv/faces/search.py.

It learns on composed scenes: training faces of CelebA and UTKFace, whose boxes MTCNN's careful search finds, on
pictures of scikit-image and scikit-learn and on enlarged parts of the same photos. Needs torch; takes half an hour on
one core.

    python benchmarks/train_search.py --data DIR
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from detection import BACKGROUNDS
from numpy.typing import NDArray
from PIL import Image
from shared import Benchmark, data_option
from torch import nn

from facepriv.cli.console import note
from facepriv.datasets import readers
from facepriv.errors import UsageError
from facepriv.faces import mtcnn
from facepriv.faces.propose import tones
from facepriv.faces.search import ARCHITECTURE, CELL, SIDE, WEIGHTS, WIDTHS
from facepriv.weights import Provenance, WeightsMetadata, half, save_weights

SCENE = (320, 256)
#: Pictures that only validation scenes have in the background.
HELD = 3
CHANNELS = (32, 48, 64)
#: Share of the widths beyond `WIDTHS` whose faces count neither as faces nor as background.
BEYOND = 1.25


class Search(nn.Module):
    """The network as torch sees it: (N, 3, H, W) from 0 to 255 -> (N, 4, H / 8, W / 8)."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.conv1 = nn.Conv2d(3, first, 4, stride=4)
        self.conv2 = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.head = nn.Conv2d(third, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv1((x - 127.5) / 128))
        x = torch.relu(self.conv2(x))
        return self.head(torch.relu(self.conv3(x)))


#: Centre, width and height of a face; a picture and its face.
Place = tuple[float, float, float, float]
Photo = tuple[Image.Image, Place]


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option("--scenes", type=click.IntRange(8), default=3000, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=6000, show_default=True)
@click.option("--most", type=click.IntRange(1), default=4000, show_default=True, help="Photos of each data set.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
def main(data: Path | None, scenes: int, steps: int, most: int, output: Path) -> None:
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    torch.manual_seed(0)
    learnt = composed(faces(data, "train", most), backgrounds()[:-HELD], scenes, seed=0)
    checked = composed(faces(data, "validation", most), backgrounds()[-HELD:], scenes // 10, seed=1)
    network = Search()
    train(network, *learnt, steps)
    report(network, *checked)
    tensors = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    command = f"python benchmarks/train_search.py --data DIR --scenes {scenes} --steps {steps}"
    provenance = Provenance(
        trained_on="faces of the training parts of CelebA and UTKFace, composed on pictures of scikit-image",
        command=command,
        date="2026",
        licence="research use",
    )
    save_weights(output, half(tensors), WeightsMetadata(ARCHITECTURE, provenance))


def faces(data: Path, part: str, most: int) -> list[Photo]:
    """Return photos with the place and size of their face, at most so many of each data set."""
    found = []
    for name in ("celeba", "utkface"):
        paths = [record.path for record in readers.read(name, data / name) if record.part == part]
        for path in paths[:: max(1, len(paths) // most)][:most]:
            with Image.open(path) as opened:
                photo = opened.convert("RGB")
            photo.thumbnail((110, 110))
            boxes, scores, _ = mtcnn.find(np.asarray(photo), 24)
            if len(boxes) and scores[0] > 0.9:
                (left, top), (right, bottom) = boxes[0, :2], boxes[0, 2:]
                found.append((photo, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)))
    return found


def composed(
    photos: Sequence[Photo], backgrounds: Sequence[Path], count: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return scenes (N, H, W, 3), and faces (N, K, 4): x, y, width and height, zero beyond the last."""
    rng = np.random.default_rng(seed)
    pictures = [_picture(path) for path in backgrounds]
    made = [scene(photos, pictures, rng) for _ in range(count)]
    places = np.zeros((count, max(len(found) for _, found in made), 4), np.float32)
    for n, (_, found) in enumerate(made):
        places[n, : len(found)] = np.reshape(found, (-1, 4))
    return np.stack([pixels for pixels, _ in made]), places


def backgrounds() -> list[Path]:
    """Return pictures without faces."""
    import skimage
    import sklearn

    images = Path(sklearn.__file__).parent / "datasets" / "images"
    more = ("chelsea.png", "coins.png", "cell.png", "horse.png", "motorcycle_right.png", "color.png")
    names = [Path(skimage.__file__).parent / "data" / name for name in (*more, *BACKGROUNDS)]
    return [images / "china.jpg", images / "flower.jpg", *names]


def _picture(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB")


def scene(
    photos: Sequence[Photo], pictures: Sequence[Image.Image], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[Place]]:
    """Return pixels (H, W, 3) uint8 as a search prepares them, and the places and sizes of the faces."""
    canvas, found = _mosaic(photos, rng) if rng.random() < 0.5 else _crowd(photos, pictures, rng)
    found = [place for place in found if 0 <= place[0] < SCENE[0] and 0 <= place[1] < SCENE[1]]
    pixels = np.asarray(_spoilt(canvas, rng))
    return tones(pixels[::2, ::2])[pixels], found


def _mosaic(photos: Sequence[Photo], rng: np.random.Generator) -> tuple[Image.Image, list[Place]]:
    """Return rows of whole photos with their own surroundings, turned together, and the faces."""
    side = 2 * max(SCENE)
    canvas, found, top = Image.new("RGB", (side, side)), [], 0
    while top < side:
        row, left = np.exp(rng.uniform(math.log(14), math.log(120))), 0
        while left < side:
            photo, (x, y, wide, high) = photos[rng.integers(len(photos))]
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
    return turned.crop((left, top, left + SCENE[0], top + SCENE[1])), found


def _turned(place: tuple[float, float], middle: tuple[float, float], degrees: float) -> NDArray[np.float64]:
    """Return a place after a turn by Pillow: counter-clockwise, with y downwards."""
    radians, (dx, dy) = math.radians(degrees), np.subtract(place, middle)
    turn = (dx * math.cos(radians) + dy * math.sin(radians), dy * math.cos(radians) - dx * math.sin(radians))
    return np.add(middle, turn)


def _crowd(
    photos: Sequence[Photo], pictures: Sequence[Image.Image], rng: np.random.Generator
) -> tuple[Image.Image, list[Place]]:
    """Return faces pasted on a background, among other things pasted alike, and the faces."""
    canvas, found, taken = _behind(photos, pictures, rng), [], []
    # A large face first, in half of the scenes: its parts must not be taken for small faces.
    widths = [rng.uniform(60, 160)] if rng.random() < 0.5 else []
    widths += list(np.exp(rng.uniform(math.log(5.0), math.log(40), int(rng.integers(0, 30)))))
    for width in widths:
        photo, (x, y, wide, high) = photos[rng.integers(len(photos))]
        scale = width / wide
        size = (max(4, round(photo.width * scale)), max(4, round(photo.height * scale)))
        left, top = (int(rng.integers(-s // 3, max(1, c - 2 * s // 3))) for s, c in zip(size, SCENE, strict=True))
        box = (left, top, left + size[0], top + size[1])
        if any(box[0] < c and a < box[2] and box[1] < d and b < box[3] for a, b, c, d in taken):
            continue
        taken.append(box)
        degrees = rng.uniform(-35, 35)
        if rng.random() < 0.35:
            _paste(canvas, _behind(photos, pictures, rng).resize(size), box, degrees, rng)
            continue
        _paste(canvas, photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0), box, degrees, rng)
        at = _turned((x * scale, y * scale), (size[0] / 2, size[1] / 2), degrees)
        found.append((left + at[0], top + at[1], width, high * scale))
    return canvas, found


def _behind(photos: Sequence[Photo], pictures: Sequence[Image.Image], rng: np.random.Generator) -> Image.Image:
    """Return a background: one colour, a picture at any scale, or enlarged clothes, hair and skin of a photo."""
    kind = rng.random()
    if kind < 0.25:
        return Image.new("RGB", SCENE, tuple(rng.integers(0, 256, 3).tolist()))
    if kind < 0.75:
        picture, share = pictures[rng.integers(len(pictures))], np.exp(rng.uniform(math.log(0.3), 0))
    else:
        picture, share = photos[rng.integers(len(photos))][0], rng.uniform(0.15, 0.4)
    wide = picture.width * share
    high = min(picture.height, wide * SCENE[1] / SCENE[0])
    left, top = rng.uniform(0, picture.width - wide), rng.uniform(0, picture.height - high)
    turned = picture.resize(SCENE, Image.Resampling.BILINEAR, (left, top, left + wide, top + high))
    return turned.transpose(Image.Transpose.ROTATE_180) if rng.random() < 0.3 else turned


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
        small = [max(1, round(side * rng.uniform(0.5, 1))) for side in SCENE]
        canvas = canvas.resize(small, Image.Resampling.BILINEAR).resize(SCENE, Image.Resampling.BILINEAR)
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


def targets(places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the network should say, and the weights of the cells.

    Parameters
    ----------
    places : Tensor
        (N, K, 4).

    Returns
    -------
    tuple
        Truth (N, 4, H / 8, W / 8) and weights (N, H / 8, W / 8). Neighbours of a face and faces just beyond `WIDTHS`
        have no weight.
    """
    columns, rows = (side // CELL for side in SCENE)
    truth, weights = torch.zeros(len(places), 4, rows, columns), torch.ones(len(places), rows, columns)
    for n, k in (places[..., 2] > WIDTHS[0] / BEYOND).nonzero().tolist():
        x, y, width, height = places[n, k].tolist()
        if width >= WIDTHS[1] * BEYOND:
            continue
        column, row = int(x / CELL), int(y / CELL)
        around = weights[n, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        around[around == 1] = 0
        if WIDTHS[0] <= width < WIDTHS[1]:
            size = math.log(max(width, height) / SIDE)
            truth[n, :, row, column] = torch.tensor((1, x / CELL - column - 0.5, y / CELL - row - 0.5, size))
            weights[n, row, column] = 4.0
    return truth, weights


def train(network: Search, pixels: NDArray[np.uint8], places: NDArray[np.float32], steps: int) -> None:
    """Train on batches of eight scenes, mirrored at random."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    rng, losses = np.random.default_rng(2), []
    for step in range(1, steps + 1):
        chosen = rng.integers(len(pixels), size=8)
        x, where = torch.from_numpy(pixels[chosen]).permute(0, 3, 1, 2).float(), torch.from_numpy(places[chosen])
        if rng.random() < 0.5:
            x, where = x.flip(3), where.clone()
            where[..., 0] = torch.where(where[..., 2] > 0, SCENE[0] - 1e-3 - where[..., 0], where[..., 0])
        truth, weights = targets(where)
        found = network(x)
        entropy = nn.functional.binary_cross_entropy_with_logits(found[:, 0], truth[:, 0], reduction="none")
        apart = nn.functional.smooth_l1_loss(found[:, 1:], truth[:, 1:], reduction="none", beta=0.2).sum(1)
        loss = (weights * (entropy + 0.5 * truth[:, 0] * apart)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 200 == 0:
            note(f"step {step} of {steps}: loss {np.mean(losses[-200:]):.4f}")


@torch.no_grad()
def report(network: Search, pixels: NDArray[np.uint8], places: NDArray[np.float32]) -> None:
    """Print the share of cells that must be searched for shares of the faces found."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    found = torch.cat([network(part) for part in x.split(50)])
    near = nn.functional.max_pool2d(found[:, :1], 3, 1, 1)[:, 0]
    for low, high in ((6.5, 8), (8, 10), (10, 13), (13, 15)):
        scores = [
            near[n, int(y / CELL), int(x / CELL)].item()
            for n, each in enumerate(places)
            for x, y, width, _ in each
            if low <= width < high
        ]
        for kept in (0.98, 0.99, 0.995):
            least = float(np.quantile(scores, 1 - kept))
            each = (found[:, 0] > least).float().sum((1, 2)).mean().item()
            note(f"widths {low} to {high}: {kept:.1%} of {len(scores)} faces at {least:.2f}: {each:.1f} cells a scene")


if __name__ == "__main__":
    main()
