"""Benchmark and train PrivacyNet on a GPU that is available for a few minutes only.

It stops after --minutes and writes a few small files to OUT: `speed.json`, the curve of the rounds, the generator and
the opponents of the last round, both in half precision. On CUDA, networks are compiled and use bfloat16. First make the
pack small enough for transfer:

    facepriv pack --light PACK --most 33 -o LIGHT
    python benchmarks/privacynet_gpu.py LIGHT --matcher mobilefacenet.onnx --start WEIGHTS -o OUT --minutes 9

`--tiny --device cpu` runs all steps with small networks and two portraits, without PACK and FILE.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from bench_train import matmul_peak, synchronised
from facepriv_privacynet.config import OURS, PRIVACYNET
from facepriv_privacynet.method import PrivacyNet, load_generator
from facepriv_privacynet.networks import label_width
from facepriv_privacynet.rounds import CURVE, Rounds
from facepriv_privacynet.runs import Material, opened
from shared import Benchmark, write_json
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from training_parts import TINY, accelerator, portrait_faces, stand_ins

from facepriv.cli.console import note
from facepriv.errors import DataError, UsageError
from facepriv.samples import portraits

#: Batch sizes for the timing of the generator.
BATCHES = (1, 64, 512)
#: Numbers of photos of the two runs of `apply`; their difference removes the start-up.
PHOTOS = (8, 72)


@click.command(cls=Benchmark, help=__doc__)
@click.argument("pack", type=click.Path(path_type=Path), required=False)
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the files to bring back.")
@click.option("--matcher", type=click.Path(path_type=Path), help="MobileFaceNet ONNX file.")
@click.option("--start", type=click.Path(path_type=Path), help="Weights to begin with.")
@click.option("--opponents", type=click.Path(path_type=Path), help="File of opponents to begin with.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=9.0, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Steps of a round.")
@click.option("--batch", type=click.IntRange(1), default=48, show_default=True, help="Faces a step.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--tiny", is_flag=True, help="Small networks and two portraits, to see that the command works.")
def main(
    pack: Path | None,
    out: Path,
    matcher: Path | None,
    start: Path | None,
    opponents: Path | None,
    minutes: float,
    steps: int,
    batch: int,
    device: str,
    tiny: bool,
) -> None:
    deadline = time.monotonic() + 60 * minutes
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here; --tiny --device cpu tries the command on the CPU")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "speed.json", speed(device, tiny))
    with tempfile.TemporaryDirectory() as folder:
        rounds = training(Path(folder), pack, matcher, steps, batch, device, tiny)
        rounds.start, rounds.opponents = start, opponents
        done = rounds.train(1000, (deadline - time.monotonic()) / 60, note, shown=f"benchmarks/{Path(__file__).name}")
        collect(rounds, done, out)


def speed(device: str, tiny: bool = False) -> dict[str, Any]:
    """Return the generator's faces per second and share of the device's peak per batch size, and `apply`'s speed."""
    generator, _ = load_generator(PrivacyNet().weights_path(), device, PRIVACYNET.architecture)
    generator = generator.to(memory_format=torch.channels_last)
    dtype = torch.bfloat16
    peak = matmul_peak(device, dtype, 256 if tiny else 8192)
    found: dict[str, Any] = {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "peak_flops": peak}
    if device == "cuda":
        generator.compile()
    for batch in BATCHES[:1] if tiny else BATCHES:
        faces, operations = generator_speed(generator, batch, device, dtype)
        found[f"generator_{batch}"] = {"faces_a_second": faces, "share_of_peak": faces * operations / peak}
    found["apply_photos_a_second"] = apply_speed(device, (1, 2) if tiny else PHOTOS)
    return found


def generator_speed(generator: nn.Module, batch: int, device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Return faces per second (median of ten calls), and operations per face."""
    size = generator.shape.size  # type: ignore[union-attr,operator]
    x = torch.rand(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    v = torch.zeros(batch, label_width(), device=device)
    with torch.inference_mode(), torch.autocast(device, dtype):
        with FlopCounterMode(display=False) as counter:
            generator.forward(x, v)  # not the compiled call, whose operations cannot be counted

        def job() -> None:
            generator(x, v)

        for _ in range(3):  # compile and warm up
            job()
        seconds = statistics.median(synchronised(job, device) for _ in range(10))
    return batch / seconds, counter.get_total_flops() / batch


def apply_speed(device: str, photos: tuple[int, int]) -> float:
    """Return photos per second of ``facepriv apply`` without start-up, from two runs of different length."""
    portrait = portraits()[0].path
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for count in photos:
            source = Path(folder) / f"{count}"
            source.mkdir()
            for n in range(count):
                shutil.copy(portrait, source / f"{n}{portrait.suffix}")
            start = time.perf_counter()
            apply = ["apply", str(source), "-o", f"{source}-out", "--method", "privacynet", "--obfuscate", "gender"]
            command = [sys.executable, "-m", "facepriv", *apply, "--device", device]
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    return (photos[1] - photos[0]) / max(seconds[1] - seconds[0], 1e-9)


def training(
    folder: Path, pack: Path | None, matcher: Path | None, steps: int, batch: int, device: str, tiny: bool
) -> Rounds:
    """Return the rounds, with their inputs loaded."""
    if tiny:
        place = accelerator("no", cpu=device == "cpu")
        faces, (matching, classifier) = portrait_faces(TINY.generator.size, place.device), stand_ins(tiny=True)
        material = Material(faces, faces, "two portraits", classifier, matching, grouped=classifier)
        return Rounds(PRIVACYNET, folder, replace(TINY, steps=steps, batch=batch), material, place)
    if pack is None or matcher is None:
        raise UsageError("name the pack, and MobileFaceNet's file with --matcher")
    # Larger batches than on a CPU, to keep the GPU busy; the judges use the same size.
    recipe = replace(OURS, steps=steps, batch=batch, judges_batch=batch, warm_up=200, decay=0.5)
    material, place = opened(pack, folder, recipe, matcher, "bf16", None)
    return Rounds(PRIVACYNET, folder, recipe, material, place)


def collect(rounds: Rounds, done: int, out: Path) -> None:
    """Copy the results: the curve, and the last finished round's files; else the current generator."""
    if done:
        last = rounds.out / f"round-{done}"
        for path in (rounds.out / CURVE, *last.glob("*.safetensors*")):
            if not path.name.startswith("labels-"):
                shutil.copy(path, out)
    unfinished = rounds.out / f"round-{done + 1}"
    if unfinished.is_dir():
        try:
            path, _ = rounds.run(done + 1).export(f"benchmarks/{Path(__file__).name}")
        except DataError:  # no step was completed
            note(f"round {done + 1} had no time")
        else:
            shutil.copy(path, out / f"unfinished-{path.name}")
    note(f"{out}: {', '.join(sorted(p.name for p in out.iterdir()))}")


if __name__ == "__main__":
    main()
