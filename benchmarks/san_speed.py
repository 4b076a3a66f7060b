"""Speed of a semi-adversarial network against a plain forward pass with the same weights, in one run.

A real face (scikit-image's astronaut) is processed in turns by our implementation and layer by layer as by its authors,
both in float32, not compiled. Printed are the medians, their ratio, and the difference of the outputs.

    python benchmarks/san_speed.py
    python benchmarks/san_speed.py --weights converted.safetensors --threads 1
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from shared import Benchmark, in_turns, json_option, weights_option, write_json

from facepriv.cli.console import table
from facepriv.testing import specimens

TIMES_AS_FAST, ALIKE = 2.0, 1e-3


@click.command(cls=Benchmark, help=__doc__)
@weights_option
@click.option("--size", type=click.IntRange(32, 1024), default=224, show_default=True, help="A multiple of four.")
@click.option("--rounds", type=click.IntRange(1), default=40, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=None, help="[default: torch's choice]")
@json_option
def main(weights: Path | None, size: int, rounds: int, threads: int | None, json_path: Path | None) -> None:
    import torch
    from facepriv_san.method import San

    if threads:
        torch.set_num_threads(threads)
    loaded = San(weights).loaded()
    face = torch.from_numpy(specimens(size, landmarks=False).images[:1]).permute(0, 3, 1, 2)
    from facepriv_san.family import pictures

    from facepriv.training.augment import luminance

    male, female = pictures(loaded.sets[0], replace(loaded.form, size=size))[0, :2][:, None]
    net, given = loaded.nets[0], (luminance(face), female, female, male)
    with torch.inference_mode():
        jobs = {"ours": lambda: net(*given), "plain": lambda: net.plain(*given)}
        pairs = zip(jobs["ours"](), jobs["plain"](), strict=True)
        differs = max(float((a - b).abs().max()) for a, b in pairs)
        seconds = timed(jobs, rounds)
    ratio = seconds["plain"] / seconds["ours"]
    result: dict[str, Any] = {
        "size": size,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "seconds": seconds,
        "ratio": ratio,
        "differs": differs,
        "holds": ratio >= TIMES_AS_FAST and differs <= ALIKE,
    }
    table(("", "ms a face"), [(name, f"{1e3 * s:.1f}") for name, s in seconds.items()])
    print(
        f"\n{ratio:.1f} times as fast (needed: {TIMES_AS_FAST:g}); outputs differ by {differs:.1e} at most "
        f"(allowed: {ALIKE:g}); {result['threads']} threads, {size} pixels"
    )
    if json_path is not None:
        write_json(json_path, result)


def timed(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each job."""
    return {name: statistics.median(found) for name, found in in_turns(jobs, rounds).items()}


if __name__ == "__main__":
    main()
