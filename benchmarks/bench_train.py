"""Training speed of PrivacyNet against plain training of the same networks, measured in one run.

Plain training uses float32, contiguous memory, one kernel per parameter, no compiling, and every term in every update:
the cycle, the gradient penalty, all judges, family A and its copy, each on its own augmented view. Ours evaluates terms
in turns (see the rows of the table), and computes the rest faster. Both make the same updates of the same networks with
the same batch size: for 12 updates of G, 4 of D, 12 of the judges, 6 of the copies, which is counted and printed. Each
row adds an optimisation to the row above. Rows run in turns, so that a busy machine slows all of them.

    python benchmarks/bench_train.py
    python benchmarks/bench_train.py --ends --rounds 5 --json bench.json

It needs no data set: the faces are two public-domain portraits, and the matcher has random weights of the same cost.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from facepriv_privacynet import losses
from facepriv_privacynet.config import OURS, Recipe
from facepriv_privacynet.data import Work
from facepriv_privacynet.players import Execution
from facepriv_privacynet.training import Trainer
from shared import Benchmark, json_option, write_json
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from training_parts import TINY, accelerator, portrait_faces, stand_ins

from facepriv._version import __version__
from facepriv.cli.console import note, table
from facepriv.training.faces import Faces, Labels
from facepriv.training.steps import descend, frozen_precision

#: Steps of G in a block; each term evaluated in turns occurs equally often in every block.
BLOCK = 12
#: Target ratio of samples per second to plain training.
BAR = 2.0


@dataclass(frozen=True)
class Row:
    """One training configuration, with the optimisations of all rows so far."""

    name: str
    recipe: Recipe
    execution: Execution
    precision: str = "no"
    all_teach: bool = False
    own_views: bool = False


class Plain(Trainer):
    """Uses every judge in each step; trains each on its own views, with separate calls for real and changed faces."""

    all_teach = own_views = True

    def teachers(self, work: Work) -> list[nn.Module]:
        """Return all judges, the trained classifiers and their copies."""
        return [*self.judges, *self.fixed, *self.copies] if self.all_teach else super().teachers(work)

    def judges_step(self, real: tuple[Tensor, Labels], changed: tuple[Tensor, Labels] | None) -> dict[str, Tensor]:
        """Update every judge with the recipe's loss, without sharing anything between judges."""
        if not self.own_views:
            return super().judges_step(real, changed)
        groups = [real] if changed is None else [real, changed]
        with self.accelerator.autocast():
            values = [losses.attributes(judge(self._augmented(x)), own) for judge in self.judges for x, own in groups]
            values.append(losses.attributes(self.probe(self._augmented(real[0])), real[1]))
        descend(self.accelerator, self.opt_j, torch.stack(values).sum(), self._judging())
        return {}

    def copies_step(self, real: tuple[Tensor, Labels], changed: tuple[Tensor, Labels]) -> dict[str, Tensor]:
        """Update the copies, each on its own views."""
        if not self.own_views or self.opt_c is None:
            return super().copies_step(real, changed)
        with frozen_precision(self.accelerator.device):
            values = [
                losses.attributes(net(self._augmented(x.float())), own)
                for net in self.copies
                for x, own in (real, changed)
            ]
        learning = [p for net in self.copies for p in net.parameters()]
        descend(self.accelerator, self.opt_c, torch.stack(values).mean(), learning)
        return {}


def rows(recipe: Recipe, device: str) -> list[Row]:
    """Return the configurations, the plain one first and ours last; `recipe` is ours."""
    # The rows set whether terms are evaluated in turns.
    every = replace(recipe, cycle_every=1, penalty_every=1)
    slow = Execution(channels_last=False, fused=False)
    found = [Row("plain: float32, every term at every update", every, slow, all_teach=True, own_views=True)]

    def add(name: str, **changes: Any) -> None:
        found.append(replace(found[-1], name=name, **changes))

    add(
        f"+ way back at every {recipe.cycle_every}th update of G", recipe=replace(every, cycle_every=recipe.cycle_every)
    )
    add(f"+ penalty at every {recipe.penalty_every}th update of D, weighing as much more", recipe=recipe)
    add(
        f"+ {recipe.judges_each_step} of {len(recipe.judges)} judges teach, family A and its copy in turns",
        all_teach=False,
    )
    add("+ judges share a view, real and changed faces in one call", own_views=False)
    add("+ channels last", execution=replace(slow, channels_last=True))
    add("+ fused optimisers", execution=Execution())
    add("+ bfloat16" + (", TF32 beside it" if device == "cuda" else ""), precision="bf16")
    if device == "cuda":
        add("+ compiled", execution=Execution(backend="inductor"))
    return found


def build(row: Row, faces: Faces, matcher: nn.Module, classifier: nn.Module, cpu: bool) -> Plain:
    """Return the trainer of one row; all start with the same weights."""
    own = replace(faces, crops=faces.crops.contiguous(memory_format=row.execution.layout))
    # Copies, because each row uses its own memory format.
    nets = copy.deepcopy(matcher), copy.deepcopy(classifier)
    place = accelerator(row.precision, cpu=cpu)
    trainer = Plain(row.recipe, own, [nets[0]], place, [nets[1]], execution=row.execution)
    trainer.all_teach, trainer.own_views = row.all_teach, row.own_views
    if not row.execution.channels_last:
        for judge in (*trainer.judges, trainer.probe):  # a judge arranges its input itself
            judge.trunk.register_forward_pre_hook(lambda _, args: (args[0].contiguous(),))
    return trainer


def counted(trainer: Trainer) -> Counter[str]:
    """Return a counter of subsequent updates of each optimiser."""
    counter: Counter[str] = Counter()
    for name, optimiser in trainer.optimisers().items():
        optimiser.register_step_post_hook(lambda *_, name=name: counter.update([name]))
    return counter


def block(trainer: Trainer) -> None:
    """Run `BLOCK` updates of G with all related updates, starting at the first step."""
    trainer.step = 0
    for _ in range(BLOCK):
        trainer.train_step()


def synchronised(job: Callable[[], None], device: str) -> float:
    """Return the seconds that a job takes, including device synchronisation."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    job()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matmul_peak(device: str, dtype: torch.dtype, size: int, rounds: int = 5) -> float:
    """Return the peak operations per second of a product of two square matrices."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    a @ b
    return 2 * size**3 / min(synchronised(lambda: a @ b, device) for _ in range(rounds))


class Memory:
    """Peak memory of a job above the memory in use before, in MiB; None if unavailable."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, job: Callable[[], None]) -> float | None:
        """Run a job and measure it."""
        gc.collect()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            job()
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        status = Path("/proc/self/status")
        before_kib = None
        with suppress(OSError, AttributeError, TypeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)  # else reuse of freed memory would hide the job's allocations
        with suppress(OSError):  # not Linux
            Path("/proc/self/clear_refs").write_text("5")  # reset the peak to the current use
            before_kib = _status(status, "VmRSS")
        job()
        return None if before_kib is None else (_status(status, "VmHWM") - before_kib) / 1024


def _status(path: Path, key: str) -> int:
    return int(next(line for line in path.read_text().splitlines() if line.startswith(key)).split()[1])


@click.command(cls=Benchmark, help=__doc__)
@click.option("--batch", type=click.IntRange(1), default=OURS.batch, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=3, show_default=True, help="Blocks of every row.")
@click.option("--ends", is_flag=True, help="The plain way and ours alone, without the rows between.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda where there is one]")
@click.option("--threads", type=click.IntRange(1), help="CPU threads. [default: torch's choice]")
@click.option("--tiny", is_flag=True, help="Tiny networks, to see that the command works.")
@json_option
def main(
    batch: int, rounds: int, ends: bool, device: str | None, threads: int | None, tiny: bool, json_path: Path | None
) -> None:
    if threads:
        torch.set_num_threads(threads)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    wanted = rows(replace(TINY if tiny else OURS, batch=batch, judges_batch=batch), place)
    result = measure([wanted[0], wanted[-1]] if ends else wanted, place, rounds, tiny=tiny)
    show(result)
    if json_path is not None:
        write_json(json_path, result)


def measure(wanted: list[Row], device: str, rounds: int, *, tiny: bool = False) -> dict[str, Any]:
    """Return the figures of all rows."""
    faces = portrait_faces(wanted[0].recipe.generator.size, torch.device(device))
    matcher, classifier = stand_ins(tiny)
    kinds = {"no": torch.float32, "bf16": torch.bfloat16}
    with_tf32(device, False)
    side = 256 if tiny else 2048 if device == "cpu" else 8192
    peaks = {kind: matmul_peak(device, dtype, side) for kind, dtype in kinds.items()}

    trainers, flops, memory, updates = [], [], [], []
    for row in wanted:
        trainer = build(row, faces, matcher, classifier, device == "cpu")
        trainers.append(trainer)
        with_tf32(device, row.precision == "bf16")
        counter = counted(trainer)
        with FlopCounterMode(display=False) as counting:  # also serves as the warm-up
            memory.append(Memory(device)(lambda trainer=trainer: block(trainer)))
        updates.append(dict(counter))
        # Operations of compiled code cannot be counted; they equal those of the row above.
        flops.append(flops[-1] if row.execution.backend else counting.get_total_flops())
        note(f"ready: {row.name}")
    if any(found != updates[0] for found in updates):
        raise AssertionError(f"the rows make different numbers of updates: {updates}")

    seconds: list[list[float]] = [[] for _ in wanted]
    for turn in range(rounds):
        for row, trainer, found in zip(wanted, trainers, seconds, strict=True):
            with_tf32(device, row.precision == "bf16")
            found.append(synchronised(lambda trainer=trainer: block(trainer), device))
        note(f"round {turn + 1} of {rounds}")
    samples = BLOCK * wanted[0].recipe.batch
    measured = []
    for row, found, operations, peak_memory in zip(wanted, seconds, flops, memory, strict=True):
        middle = statistics.median(found)
        measured.append(
            {
                "row": row.name,
                "samples_a_second": samples / middle,
                "least": samples / max(found),
                "most": samples / min(found),
                "gigaflop_a_sample": operations / samples / 1e9,
                "share_of_peak": operations / middle / peaks[row.precision],
                "memory_mib": peak_memory,
                "seconds_a_block": found,
            }
        )
    ratios = [a / b for a, b in zip(seconds[0], seconds[-1], strict=True)]
    return {
        "facepriv": __version__,
        "torch": torch.__version__,
        "device": _device(device),
        "threads": torch.get_num_threads(),
        "batch": wanted[0].recipe.batch,
        "updates_a_block": updates[0],
        "tf32": "on beside bfloat16, off in float32 rows" if device == "cuda" else "none on a CPU",
        "matmul_peak_gigaflops": {kind: peak / 1e9 for kind, peak in peaks.items()},
        "rows": measured,
        "ratio": statistics.median(ratios),
        "ratio_least": min(ratios),
        "ratio_most": max(ratios),
        "bar": BAR,
    }


def with_tf32(device: str, on: bool) -> None:
    """Enable or disable TF32 for float32 products; no effect on a CPU."""
    if device == "cuda":
        torch.set_float32_matmul_precision("high" if on else "highest")
        torch.backends.cudnn.allow_tf32 = on
        torch.backends.cudnn.benchmark = True


def _device(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def show(result: dict[str, Any]) -> None:
    """Print the table; medians over the rounds, with the slowest and the fastest."""
    peaks = result["matmul_peak_gigaflops"]
    print(f"{result['device']}, {result['threads']} threads, torch {result['torch']}; batch {result['batch']}")
    print(
        f"TF32: {result['tf32']}; "
        f"measured matmul peak, in Gflop/s: float32 {peaks['no']:.0f}, bfloat16 {peaks['bf16']:.0f}"
    )
    counts = ", ".join(f"{count} of {name}" for name, count in result["updates_a_block"].items())
    print(f"updates a block, in every row: {counts}\n")
    first = result["rows"][0]["samples_a_second"]
    table(
        ("way", "samples/s", "least to most", "times plain", "Gflop/sample", "of matmul peak", "memory, MiB"),
        [
            (
                r["row"],
                f"{r['samples_a_second']:.2f}",
                f"{r['least']:.2f} to {r['most']:.2f}",
                f"{r['samples_a_second'] / first:.2f}",
                f"{r['gigaflop_a_sample']:.1f}",
                f"{100 * r['share_of_peak']:.0f} %",
                "unknown" if r["memory_mib"] is None else f"{r['memory_mib']:.0f}",
            )
            for r in result["rows"]
        ],
    )
    holds = "holds" if result["ratio"] >= result["bar"] else "FALLS SHORT"
    print(
        f"\nours: {result['ratio']:.2f} times plain, round by round {result['ratio_least']:.2f} to "
        f"{result['ratio_most']:.2f}; wanted {result['bar']:g}: {holds}"
    )


if __name__ == "__main__":
    main()
