"""Speed of a semi-adversarial network against a plain forward pass with the same weights, in one run.

`--help` says what is measured.

    python plugins/facepriv-san/benchmarks/san_speed.py
    python plugins/facepriv-san/benchmarks/san_speed.py --weights converted.safetensors
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
import torch
from facepriv_san.family import pictures
from facepriv_san.method import San

from facepriv.testing import specimens
from facepriv.training.augment import luminance

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from shared import weights_option
from speed.harness import TIMES, Ratio, Result, by_round, in_turns, milliseconds, part

TIMES_AS_FAST, ALIKE = 2.0, 1e-3


@part(rounds=40, threads=1)
@weights_option
@click.option("--size", type=click.IntRange(32, 1024), default=224, show_default=True, help="A multiple of four.")
def main(rounds: int, threads: int, weights: Path | None, size: int) -> Result:
    """A semi-adversarial network beside a plain forward pass.

    A real face (scikit-image's astronaut) is processed in turns by our implementation and layer by layer as by its
    authors, both in float32, not compiled.
    """
    torch.set_num_threads(threads)
    loaded = San(weights).loaded()
    face = torch.from_numpy(specimens(size, landmarks=False).images[:1]).permute(0, 3, 1, 2)
    male, female = pictures(loaded.sets[0], replace(loaded.form, size=size))[0, :2][:, None]
    net, given = loaded.nets[0], (luminance(face), female, female, male)
    with torch.inference_mode():
        jobs = {"ours": lambda: net(*given), "plain": lambda: net.plain(*given)}
        pairs = zip(jobs["ours"](), jobs["plain"](), strict=True)
        differs = max(float((a - b).abs().max()) for a, b in pairs)
        seconds = in_turns(jobs, rounds)
    return Result(
        f"a face of {size} pixels, {threads} threads",
        ("", *TIMES),
        [(name, *milliseconds(found)) for name, found in seconds.items()],
        {
            "times_plain": Ratio("times as fast as plain", by_round(seconds["plain"], seconds["ours"]), TIMES_AS_FAST),
            "differs": Ratio("is the largest difference of the outputs", [differs], ALIKE, at_most=True),
        },
        {"size": size, "threads": threads, "seconds": seconds},
    )


if __name__ == "__main__":
    main()
