"""Speed of PrivacyNet on a GPU: its generator, compiled and in bfloat16, and ``facepriv apply``.

    python plugins/facepriv-privacynet/benchmarks/privacynet_gpu.py --json speed.json

`--device cpu --batch 1 --photos 1 2` runs all steps without a GPU.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import torch
from facepriv_privacynet.config import PRIVACYNET
from facepriv_privacynet.method import PrivacyNet, load_generator
from facepriv_privacynet.networks import Generator, label_width
from torch.utils.flop_counter import FlopCounterMode

from facepriv.errors import UsageError
from facepriv.samples import portraits

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from speed.harness import TIMES, Ratio, Result, milliseconds, part
from speed.training import matmul_peak, synchronised


@part(rounds=10)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, default=(1, 64, 512), show_default=True)
@click.option(
    "--photos",
    type=(click.IntRange(1), click.IntRange(2)),
    default=(8, 72),
    show_default=True,
    help="Of the two runs of apply; their difference removes the start-up.",
)
def main(rounds: int, device: str, batches: tuple[int, ...], photos: tuple[int, int]) -> Result:
    """PrivacyNet on a GPU: seconds of a batch, share of the device's matmul peak, and photos per second of apply."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here; --device cpu tries the command on the CPU")
    generator, _ = load_generator(PrivacyNet().weights_path(), device, PRIVACYNET.architecture)
    generator = generator.to(memory_format=torch.channels_last)
    peak = matmul_peak(torch.bfloat16, 8192 if device == "cuda" else 256, device)
    if device == "cuda":
        generator.compile()
    found = {}
    for batch in batches:
        seconds, operations = generator_speed(generator, batch, device, rounds)
        middle = statistics.median(seconds)
        share = operations / middle / peak
        found[batch] = {"seconds": seconds, "faces_a_second": batch / middle, "share_of_peak": share}
    rate = apply_speed(device, photos)
    return Result(
        f"generator on {torch.cuda.get_device_name() if device == 'cuda' else device}, bfloat16",
        ("faces", *TIMES, "faces/s", "of matmul peak"),
        [
            (
                str(batch),
                *milliseconds(of["seconds"]),
                f"{of['faces_a_second']:.0f}",
                f"{100 * of['share_of_peak']:.0f} %",
            )
            for batch, of in found.items()
        ],
        {"apply": Ratio("photos/s of facepriv apply without start-up", [rate])},
        {"device": device, "peak_flops": peak, "generator": found},
    )


def generator_speed(generator: Generator, batch: int, device: str, rounds: int) -> tuple[list[float], int]:
    """Return the seconds of each call, and the operations of one."""
    size = generator.shape.size
    x = torch.rand(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    v = torch.zeros(batch, label_width(), device=device)
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
        with FlopCounterMode(display=False) as counter:
            generator.forward(x, v)  # not the compiled call, whose operations cannot be counted
        # The first three calls compile and warm up.
        seconds = [synchronised(lambda: generator(x, v), device) for _ in range(rounds + 3)][3:]
    return seconds, counter.get_total_flops()


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


if __name__ == "__main__":
    main()
