"""How far dlib's faces move in large photos if MTCNN's faces are its proposals (`--detector auto`).

On the photos of detection.py: how many boxes stay dlib's, and by how much the landmarks move, as a share of the crop's
side.

    python benchmarks/proposals.py --data DIR
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from detection import SAME, SIZES, generated
from shared import Benchmark, data_option

from facepriv.cli.console import table
from facepriv.contracts import Detections
from facepriv.datasets import readers
from facepriv.errors import UsageError
from facepriv.faces import find_faces
from facepriv.faces.align import Face
from facepriv.faces.boxes import overlap
from facepriv.faces.detectors import Auto


@click.command(cls=Benchmark, help=__doc__)
@data_option
@click.option("--photos", type=click.IntRange(1), default=80, show_default=True, help="Of each size.")
def main(data: Path | None, photos: int) -> None:
    if data is None:
        raise UsageError("name the data sets' folder with --data or FACEPRIV_DATA")
    pool = sorted(record.path for record in readers.read("lfw", data / "lfw"))[1::2]
    rows = []
    for side in SIZES:
        moves = []
        for rgb, _ in generated(photos, side, pool):
            now = Auto().parts()[0].detect(rgb)
            moves += [moved(face, now) for face in find_faces(rgb)]
        kept = np.array([move for move in moves if move is not None])
        shares = (f"{np.median(kept):.2%}", f"{np.quantile(kept, 0.95):.2%}", f"{kept.max():.2%}")
        rows.append((str(side), str(len(moves)), str(len(kept)), str(int((kept == 0).sum())), *shares))
    table(("pixels", "dlib's boxes", "still dlib's", "unmoved", "moved: median", "95 %", "most"), rows)


def moved(face: Face, now: Detections) -> float | None:
    """Return the mean distance of a face's landmarks, as a share of its crop's side; None if dlib lost the face."""
    shared = overlap(np.array(face.box), now.boxes)
    if shared.max(initial=0) < SAME:
        return None
    return float(np.linalg.norm(now.landmarks[shared.argmax()] - face.points, axis=1).mean() / face.scale)


if __name__ == "__main__":
    main()
