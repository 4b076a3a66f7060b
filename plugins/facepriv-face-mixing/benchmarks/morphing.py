"""Speed of face morphing against scikit-image's piecewise-affine transform on the same points, in one run.

`--help` says what is measured.

    python plugins/facepriv-face-mixing/benchmarks/morphing.py
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from facepriv_face_mixing import gallery
from facepriv_face_mixing.mixing import mix
from skimage.transform import PiecewiseAffineTransform, warp

from facepriv.faces import morph
from facepriv.testing import specimens

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from speed.harness import TIMES, Ratio, Result, bound, by_round, in_turns, milliseconds, part

FACES_A_SECOND, TIMES_AS_FAST = 20.0, 3.0
#: Faces in a round.
FACES = 8
MIXED, OURS, THEIRS = "ours, two faces mixed", "ours, one face warped", "scikit-image, one face warped"


@part(rounds=5)
@click.option("--size", type=click.IntRange(64, 1024), default=224, show_default=True, help="Side of the crops.")
def main(rounds: int, size: int) -> Result:
    """Face morphing beside scikit-image.

    A real face (scikit-image's astronaut) is mixed with the averages that `facepriv-face-mixing` ships. Timed in turns,
    on one core: our whole mix of two faces (mesh, warp of both, tone, mask, blend); our warp of one face;
    scikit-image's PiecewiseAffineTransform of one face (estimate and warp). The seconds are those of the processor.
    """
    if one_core := bound(1):
        before = os.sched_getaffinity(0)
        one_core()
    try:
        taken = in_turns(jobs(size), rounds, warm_up=1, clock=time.process_time)
    finally:
        if one_core:
            os.sched_setaffinity(0, before)
    seconds = {name: [s / FACES for s in found] for name, found in taken.items()}
    return Result(
        f"morphing, a face of {size} pixels, one core",
        ("", *TIMES),
        [(name, *milliseconds(found)) for name, found in seconds.items()],
        {
            "times": Ratio("times as fast as scikit-image", by_round(seconds[THEIRS], seconds[OURS]), TIMES_AS_FAST),
            "mixed": Ratio("faces/s mixed", [1 / s for s in seconds[MIXED]], FACES_A_SECOND),
        },
        {"size": size, "seconds": seconds},
    )


def jobs(size: int) -> dict[str, Callable[[], object]]:
    """Return functions that mix or warp `FACES` faces; the two ways to warp agree."""
    batch, averages = specimens(size), gallery.load(gallery.shipped())
    image, points = batch.images[0], batch.landmarks[0].astype(np.float64)
    others = [n % len(averages) for n in range(FACES)]
    goals = [(points + averages.points[n] * size - 0.5) / 2 for n in others]

    def mixed(other: int) -> object:
        picture, at = averages.picture(other), averages.points[other]
        return mix(image, batch.landmarks[0], picture, at, shape=0.5, texture=0.5, window=averages.window)

    def ours(goal: np.ndarray) -> np.ndarray:
        return morph.warp(image, points, goal, morph.mesh(goal, size), size)

    def theirs(goal: np.ndarray) -> np.ndarray:
        transform = PiecewiseAffineTransform()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `from_estimate` requires version 0.26
            transform.estimate(morph.with_border(goal, size), morph.with_border(points, size))
        return warp(image, transform, order=1, mode="edge")

    np.testing.assert_allclose(ours(goals[0]), theirs(goals[0]), atol=1e-3)
    return {
        MIXED: lambda: list(map(mixed, others)),
        OURS: lambda: list(map(ours, goals)),
        THEIRS: lambda: list(map(theirs, goals)),
    }


if __name__ == "__main__":
    main()
