"""Speed of face morphing against scikit-image's piecewise-affine transform on the same points, in one run.

A real face (scikit-image's astronaut) is mixed with each average that `facepriv-face-mixing` ships. Timed in turns, the
best of several rounds each, on one core: our whole mix of two faces (mesh, warp of both, tone, mask, blend); our warp
of one face; scikit-image's PiecewiseAffineTransform of one face (estimate and warp).

    python benchmarks/morphing.py
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from shared import Benchmark, json_option, write_json

from facepriv.cli.console import table
from facepriv.faces import morph
from facepriv.testing import specimens

FACES_A_SECOND, TIMES_AS_FAST = 20, 3


@click.command(cls=Benchmark, help=__doc__)
@click.option("--size", type=click.IntRange(64, 1024), default=224, show_default=True, help="Side of the crops.")
@click.option("--faces", type=click.IntRange(1), default=8, show_default=True, help="Faces a round.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@json_option
def main(size: int, faces: int, rounds: int, json_path: Path | None) -> None:
    one_core()
    jobs = {"ours, two faces mixed": mixes(size, faces), **warps(size, faces)}
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():  # in turns, so that a busy machine slows all of them
            best[name] = min(best[name], timed(job) / faces)
    ours, theirs = best["ours, one face warped"], best["scikit-image, one face warped"]
    result: dict[str, Any] = {
        "size": size,
        "seconds_a_face": best,
        "ratio": theirs / ours,
        "mixed_a_second": 1 / best["ours, two faces mixed"],
    }
    table(("", "ms a face", "faces/s"), [(name, f"{1e3 * s:.1f}", f"{1 / s:.1f}") for name, s in best.items()])
    print(f"\nwarp: {result['ratio']:.1f} times as fast as scikit-image (needed: {TIMES_AS_FAST})")
    print(f"mix: {result['mixed_a_second']:.1f} faces/s at {size} pixels on one core (needed: {FACES_A_SECOND})")
    if json_path is not None:
        write_json(json_path, result)


def one_core() -> None:
    """Pin this process to one core, if the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def timed(job: Callable[[], object]) -> float:
    """Return the CPU seconds of one call, without the time of other processes."""
    start = time.process_time()
    job()
    return time.process_time() - start


def mixes(size: int, faces: int) -> Callable[[], object]:
    """Return a function that mixes the astronaut with `faces` averages."""
    from facepriv_face_mixing import gallery
    from facepriv_face_mixing.mixing import mix

    batch, averages = specimens(size), gallery.load(gallery.shipped())

    def job() -> None:
        for n in range(faces):
            other = n % len(averages)
            mix(
                batch.images[0],
                batch.landmarks[0],
                averages.picture(other),
                averages.points[other],
                shape=0.5,
                texture=0.5,
                window=averages.window,
            )

    return job


def warps(size: int, faces: int) -> dict[str, Callable[[], object]]:
    """Return functions that warp the astronaut to the shapes of averages, ours and scikit-image's; both agree."""
    from facepriv_face_mixing import gallery
    from skimage.transform import PiecewiseAffineTransform, warp

    batch, averages = specimens(size), gallery.load(gallery.shipped())
    image, points = batch.images[0], batch.landmarks[0].astype(np.float64)
    goals = [(points + averages.points[n % len(averages)] * size - 0.5) / 2 for n in range(faces)]

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
        "ours, one face warped": lambda: list(map(ours, goals)),
        "scikit-image, one face warped": lambda: list(map(theirs, goals)),
    }


if __name__ == "__main__":
    main()
