"""Make facepriv/faces/confirm.safetensors: a second opinion on rejected faces, see facepriv/faces/confirm.py.

It learns on the boxes that a search of composed scenes (scenes.py) passes to MTCNN's third network: those that show a
face, and those that show none. Needs torch; takes a quarter of an hour on one core.

    python benchmarks/train_confirm.py --data DIR
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from detection import overexpose
from numpy.typing import NDArray
from PIL import Image
from scenes import Place, Scenes, faces, pictures, save, training_options
from shared import Benchmark
from torch import nn

from facepriv.cli.console import note
from facepriv.errors import UsageError
from facepriv.faces import mtcnn
from facepriv.faces.boxes import overlap
from facepriv.faces.confirm import ARCHITECTURE, SIDE, WEIGHTS

SCENE = (512, 400)
#: Share of overexposed scenes, and of scenes of whole photos side by side.
OVEREXPOSED, MOSAICS = 0.25, 0.25
#: Intersection over union with a face from which a box shows one, and below which it shows none.
FACE, NONE = 0.5, 0.15
CHANNELS = (16, 32, 48, 64)


class Confirm(nn.Module):
    """The network in training: (N, 3, 48, 48) from 0 to 255 -> log-odds (N,)."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = CHANNELS
        self.conv1 = nn.Conv2d(3, first, 4, stride=4)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, stride=2, padding=1)
        self.full = nn.Linear(36 * third, fourth)
        self.face = nn.Linear(fourth, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv1((x - 127.5) / 128))
        x = torch.relu(self.conv3(torch.relu(self.conv2(x))))
        x = torch.relu(self.full(nn.functional.dropout(x.flatten(1), 0.3, self.training)))
        return self.face(x)[:, 0]


@click.command(cls=Benchmark, help=__doc__)
@partial(training_options, scenes=700, steps=4000, weights=WEIGHTS)
def main(data: Path | None, scenes: int, steps: int, most: int, output: Path) -> None:
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    torch.manual_seed(0)
    sets = []
    for part, count in (("train", scenes), ("validation", max(8, scenes // 6))):
        makes = Scenes(faces(data, part, most), pictures(part), SCENE, times=2.3, mosaics=MOSAICS)
        sets.append(collected(makes, count, seed=11))
    network = Confirm()
    train(network, *sets[0][:2], steps)
    report(network, *sets[1])
    save(output, network, ARCHITECTURE, f"train_confirm.py --data DIR --scenes {scenes} --steps {steps} --most {most}")


def collected(
    scenes: Scenes, count: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Return patches (N, 3, 48, 48), whether each shows a face (N,), and the third network's log-odds (N,)."""
    rng = np.random.default_rng(seed)
    patches, truth, scores = [], [], []
    for n in range(count):
        pixels, found = scenes.make(rng)
        photo = Image.fromarray(pixels)
        if rng.random() < OVEREXPOSED:
            photo = overexpose(photo)
        # Lower thresholds than a search has, for more of what looks like a face.
        candidates = mtcnn.candidates(np.asarray(photo), mtcnn.PLAIN, 16, -3.0, -4.0)
        shown = np.array([_square(face) for face in found]).reshape(-1, 4)
        shared = np.array([overlap(box, shown).max(initial=0) for box in candidates.boxes])
        clear = np.flatnonzero((shared > FACE) | (shared < NONE))
        for seen in candidates.take(clear).run(lambda seen: seen, SIDE):
            patches.append(np.rint(seen.transpose(0, 3, 1, 2)).astype(np.uint8))
            scores.append(mtcnn.third(seen)[1])
        truth.append(shared[clear] > FACE)
        if (n + 1) % 100 == 0:
            note(f"{n + 1} of {count} scenes, {sum(map(len, truth))} boxes")
    return np.concatenate(patches), np.concatenate(truth).astype(np.float32), np.concatenate(scores)


def _square(face: Place) -> NDArray[np.float64]:
    x, y, width, height = face
    half_side = max(width, height) / 2
    return np.array((x - half_side, y - half_side, x + half_side, y + half_side))


def train(network: Confirm, patches: NDArray[np.uint8], truth: NDArray[np.float32], steps: int) -> None:
    """Train on batches of as many faces as others, mirrored, brighter or darker, at times grey."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    rng, kinds = np.random.default_rng(1), [np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)]
    losses = []
    for step in range(1, steps + 1):
        chosen = np.concatenate([rng.choice(kind, 48) for kind in kinds])
        x = patches[chosen].astype(np.float32)
        mirrored, grey = (rng.random(len(x)) < share for share in (0.5, 0.15))
        x[mirrored] = x[mirrored, :, :, ::-1]
        gain, offset = np.exp(rng.normal(0, 0.25, (len(x), 1, 1, 1))), rng.normal(0, 15, (len(x), 1, 1, 1))
        x = np.clip((x - 128) * gain + 128 + offset, 0, 255).astype(np.float32)
        x[grey] = x[grey].mean(1, keepdims=True)
        loss = nn.functional.binary_cross_entropy_with_logits(
            network(torch.from_numpy(x)), torch.from_numpy(truth[chosen])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 500 == 0:
            note(f"step {step} of {steps}: loss {np.mean(losses[-500:]):.3f}")


@torch.no_grad()
def report(
    network: Confirm, patches: NDArray[np.uint8], truth: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """Print the shares of faces and of other boxes that pass, by the third network and by either."""
    network.eval()
    own = np.concatenate([network(part.float()).numpy() for part in torch.from_numpy(patches).split(256)])
    for least in (np.inf, 0, 1, 2, 3, 4):
        passes = (own > least) | (scores > 0)
        faces_pass, others_pass = passes[truth == 1].mean(), passes[truth == 0].mean()
        note(f"second opinion from {least}: {faces_pass:.1%} of faces, {others_pass:.1%} of others")


if __name__ == "__main__":
    main()
