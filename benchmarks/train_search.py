"""Make facepriv/faces/search.safetensors: the network that proposes faces, see facepriv/faces/search.py.

It learns on composed scenes: training faces of CelebA and UTKFace, whose boxes MTCNN's careful search finds, on
pictures of scikit-image and scikit-learn and on enlarged parts of the same photos. Needs torch; takes half an hour on
one core. The shipped file was made when MTCNN's quick search placed the faces; today its careful one does, so a new
file is a little different.

    python benchmarks/train_search.py --data DIR
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scenes import Scenes, faces, pictures, save, training_options
from shared import Benchmark
from torch import nn

from facepriv.cli.console import note
from facepriv.errors import UsageError
from facepriv.faces.search import ARCHITECTURE, CELL, SIDE, WEIGHTS, WIDTHS

SCENE = (320, 256)
#: Pictures that only validation scenes have in the background.
HELD = 3
CHANNELS = (32, 48, 64)
#: Share of the widths beyond `WIDTHS` whose faces count neither as faces nor as background.
BEYOND = 1.25


class Search(nn.Module):
    """The network in training: (N, 3, H, W) from 0 to 255 -> (N, 4, H / 8, W / 8)."""

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


@click.command(cls=Benchmark, help=__doc__)
@partial(training_options, scenes=5000, steps=9000, weights=WEIGHTS)
def main(data: Path | None, scenes: int, steps: int, most: int, output: Path) -> None:
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    torch.manual_seed(0)
    learnt = composed(Scenes(faces(data, "train", most), pictures("train"), SCENE), scenes, seed=0)
    checked = composed(
        Scenes(faces(data, "validation", most), pictures("validation"), SCENE), max(8, scenes // 10), seed=1
    )
    network = Search()
    train(network, *learnt, steps)
    report(network, *checked)
    save(output, network, ARCHITECTURE, f"train_search.py --data DIR --scenes {scenes} --steps {steps} --most {most}")


def composed(scenes: Scenes, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return scenes (N, H, W, 3), and faces (N, K, 4): x, y, width and height, zero beyond the last."""
    rng = np.random.default_rng(seed)
    made = [scenes.make(rng) for _ in range(count)]
    places = np.zeros((count, max(len(found) for _, found in made), 4), np.float32)
    for n, (_, found) in enumerate(made):
        places[n, : len(found)] = np.reshape(found, (-1, 4))
    return np.stack([pixels for pixels, _ in made]), places


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
