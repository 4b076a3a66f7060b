"""Speed of facepriv and of its references, measured in one run.

generator
    PrivacyNet's generator, one face at a time, against the plain StarGAN generator (64 channels, six residual blocks,
    eager float32, crops of the same size), its own weights in eager float32, and its own convolutions alone.
folder
    ``facepriv apply`` over photos of 1350 x 1013 pixels, from decoding to encoding, against ``deface`` (PyPI), which
    blurs faces, with the same number of threads. Needs ``pip install -e '.[bench]'``.
growth
    ``facepriv apply`` over increasing numbers of files: does the time per file or the memory grow?

Photos are generated from two public-domain portraits. Candidates run in turns, so that a busy machine slows all of
them. Reported are minimum, median and maximum of the ratios over the rounds; the median decides on a bar.

    python benchmarks/bench.py
    python benchmarks/bench.py --part generator --rounds 50
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import bench_folder
import bench_generator
import click
from shared import Benchmark, json_option, weights_option, write_json

from facepriv._version import __version__
from facepriv.cli.console import note, table
from facepriv.errors import UsageError

PARTS = ("generator", "folder", "growth")


@click.command(cls=Benchmark, help=__doc__)
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), default=PARTS, show_default="all")
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of the generator; a worker of apply has one.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Of apply; deface has as many threads."
)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="Of the generator.")
@click.option("--photos", type=click.IntRange(2), default=150, show_default=True, help="Of the folder.")
@click.option("--folder-rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--files",
    type=click.IntRange(1),
    multiple=True,
    default=(100, 500, 10_000),
    show_default=True,
    help="Of the runs that grow, the fewest first.",
)
@weights_option
@json_option
def main(
    parts: tuple[str, ...],
    threads: int,
    workers: int,
    rounds: int,
    photos: int,
    folder_rounds: int,
    files: tuple[int, ...],
    weights: Path | None,
    json_path: Path | None,
) -> None:
    if photos <= workers:
        raise UsageError(f"--photos {photos}: with {workers} workers more than {workers} are needed")
    if len(files) < 3 or list(files) != sorted(set(files)):
        raise UsageError("--files: name three numbers or more, each greater than the one before")
    result: dict[str, Any] = {"facepriv": __version__}
    with tempfile.TemporaryDirectory() as name:
        if "generator" in parts:
            result["generator"] = bench_generator.measure(rounds, threads, weights)
            show_generator(result["generator"])
        if "folder" in parts:
            result["folder"] = bench_folder.end_to_end(Path(name), photos, folder_rounds, workers)
            show_folder(result["folder"])
        if "growth" in parts:
            result["growth"] = bench_folder.growth(Path(name), files, workers)
            show_growth(result["growth"])
    if json_path is not None:
        write_json(json_path, result)


def show_generator(found: dict[str, Any]) -> None:
    """Print milliseconds per face, and the ratios with their bars."""
    by = f"{found['dtype']} ({found['units'] or 'no units for bfloat16'})"
    print(f"\ngenerator, a face of {found['size']} pixels, {found['threads']} threads, {by}")
    table(
        ("", "ms a face: least", "median", "most"), [(name, *_thousandths(s)) for name, s in found["seconds"].items()]
    )
    bars = (
        ("times the faces/s of StarGAN", "times_stargan", bench_generator.TIMES_STARGAN, True),
        (
            "times the faces/s of its own eager float32",
            "times_own",
            bench_generator.TIMES_OWN,
            True,
        ),
        ("times the seconds of its convolutions", "times_convolutions", bench_generator.TIMES_CONVOLUTIONS, False),
    )
    for text, key, bar, least in bars:
        print(f"{_spread(found[key])} {text}; {_bar(found[key]['median'], bar, least=least)}")
    print(f"faces differ by {255 * found['differs']:.2f} / 255 at most from those in float32")


def show_folder(found: dict[str, Any]) -> None:
    """Print photos per second and faces found, and their ratios to deface's."""
    wide, high = found["pixels"]
    print(f"\nend to end, {found['photos']} photos of {wide} x {high} pixels, {found['threads']} threads each")
    rows = [("facepriv apply", found["ours"]), *((f"deface, {b}", said) for b, said in found["deface"].items())]
    table(
        ("", "ms a photo: least", "median", "most", f"of {found['faces']} faces", "more", "start-up, s"),
        [
            (
                name,
                *_thousandths(said["seconds_a_photo"]),
                str(said["found"]),
                str(said["more"]),
                f"{median(said['start']):.1f}",
            )
            for name, said in rows
        ],
    )
    for backend, said in found["deface"].items():
        apart = said["faces_apart"]
        print(
            f"{_spread(said['times'])} times the photos/s of deface ({backend}); "
            f"{_bar(said['times']['median'], bench_folder.TIMES_DEFACE)}; faces found {100 * apart:.1f} % apart, "
            f"{_bar(apart, bench_folder.FACES_APART, least=False)}"
        )
    if not found["deface"]:
        note("deface is not installed, so nothing stands beside ours: pip install -e '.[bench]'")


def show_growth(found: dict[str, Any]) -> None:
    """Print a row per run, and the growth of time per file and memory."""
    print(f"\ngrowth, small photos of one face, {found['workers']} workers; memory of all processes together")
    table(
        ("files", "seconds", "files/s", "MiB at most"),
        [
            (
                f"{r['files']:,}",
                f"{r['seconds']:.1f}",
                f"{r['files'] / r['seconds']:.1f}",
                "unknown" if r["memory_mib"] is None else f"{r['memory_mib']:.0f}",
            )
            for r in found["runs"]
        ],
    )
    middle, last = (f"{r['files']:,}" for r in found["runs"][-2:])
    early, late = found["seconds_a_file"]["early"], found["seconds_a_file"]["late"]
    print(f"a file takes {1e3 * early:.1f} ms up to {middle} files, {1e3 * late:.1f} ms from there to {last}")
    if found["memory_grows"] is not None:
        grows, most = 100 * found["memory_grows"], 100 * bench_folder.MEMORY_GROWS
        print(f"memory from {middle} to {last} files, in percent: {grows:+.1f}; {_bar(grows, most, least=False)}")


def _thousandths(seconds: list[float]) -> list[str]:
    """Return minimum, median and maximum in thousandths."""
    return [f"{1e3 * of(seconds):.1f}" for of in (min, median, max)]


def _spread(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.1f} ({ratio['least']:.1f} to {ratio['most']:.1f})"


def _bar(value: float, bar: float, *, least: bool = True) -> str:
    holds = value >= bar if least else value <= bar
    return f"{'at least' if least else 'at most'} {bar:g}: {'holds' if holds else 'FALLS SHORT'}"


if __name__ == "__main__":
    main()
