"""Training speed of PrivacyNet against plain training of the same networks."""

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
from dataclasses import replace
from pathlib import Path

import click
import torch
from facepriv_privacynet import losses
from facepriv_privacynet.config import OURS
from facepriv_privacynet.data import Work
from facepriv_privacynet.players import Execution
from facepriv_privacynet.training import Trainer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facepriv.cli.console import note
from facepriv.training.faces import Labels
from facepriv.training.steps import descend, frozen_precision
from speed.harness import Ratio, Result, by_round, in_turns, part
from speed.networks import TINY, accelerator, portrait_faces, stand_ins

#: Steps of G in a block; each term evaluated in turns occurs equally often in every block.
BLOCK = 12
#: Minimum ratio of samples per second to plain training.
TIMES_PLAIN = 2.0


class Plain(Trainer):
    """Plain training: every term in every step, every judge on its own views, nothing shared between judges.

    The recipe and the execution must be plain as well, see `trainers`.
    """

    def teachers(self, work: Work) -> list[nn.Module]:
        """Return all judges, the trained classifiers and their copies."""
        return [*self.judges, *self.fixed, *self.copies]

    def judges_step(self, real: tuple[Tensor, Labels], changed: tuple[Tensor, Labels] | None) -> dict[str, Tensor]:
        """Update every judge with the recipe's loss, with separate calls for real and changed faces."""
        groups = [real] if changed is None else [real, changed]
        with self.accelerator.autocast():
            values = [losses.attributes(judge(self._augmented(x)), own) for judge in self.judges for x, own in groups]
            values.append(losses.attributes(self.probe(self._augmented(real[0])), real[1]))
        descend(self.accelerator, self.opt_j, torch.stack(values).sum(), self._judging())
        return {}

    def copies_step(self, real: tuple[Tensor, Labels], changed: tuple[Tensor, Labels]) -> dict[str, Tensor]:
        """Update the copies, each on its own views."""
        if self.opt_c is None:
            return {}
        with frozen_precision(self.accelerator.device):
            values = [
                losses.attributes(net(self._augmented(x.float())), own)
                for net in self.copies
                for x, own in (real, changed)
            ]
        learning = [p for net in self.copies for p in net.parameters()]
        descend(self.accelerator, self.opt_c, torch.stack(values).mean(), learning)
        return {}


@part(rounds=3, threads=None)
@click.option("--batch", type=click.IntRange(1), default=OURS.batch, show_default=True)
@click.option("--tiny", is_flag=True, help="Tiny networks, to see that the command works.")
def training(rounds: int, threads: int | None, batch: int, tiny: bool) -> Result:
    """Training of PrivacyNet beside plain training of the same networks, on the CPU.

    Plain training uses float32, contiguous memory, one kernel per parameter, and every term in every update: the cycle,
    the gradient penalty, all judges, family A and its copy, each on its own augmented view. Ours evaluates terms in
    turns, and computes the rest faster. Both make the same updates of the same networks with the same batch size, which
    are counted and printed. The matcher has random weights of the same cost.
    """
    if threads:
        torch.set_num_threads(threads)
    plain, ours = trainers(tiny, batch)
    both = {"plain": plain, "ours": ours}
    precisions = {"plain": torch.float32, "ours": torch.bfloat16}
    peaks = {name: matmul_peak(dtype, 256 if tiny else 2048) for name, dtype in precisions.items()}
    flops, memory, updates = {}, {}, {}
    for name, trainer in both.items():
        counter = counted(trainer)
        with FlopCounterMode(display=False) as counting:  # also serves as the warm-up
            memory[name] = memory_of(lambda trainer=trainer: block(trainer))
        flops[name], updates[name] = counting.get_total_flops(), dict(counter)
        note(f"ready: {name}")
    if updates["plain"] != updates["ours"]:
        raise AssertionError(f"plain training and ours make different numbers of updates: {updates}")
    jobs = {name: lambda trainer=trainer: block(trainer) for name, trainer in both.items()}
    seconds = in_turns(jobs, rounds, warm_up=0)
    samples = BLOCK * batch
    figures = {
        name: {
            "samples_a_second": samples / statistics.median(seconds[name]),
            "gigaflop_a_sample": flops[name] / samples / 1e9,
            "share_of_peak": flops[name] / statistics.median(seconds[name]) / peaks[name],
            "peak_gigaflops": peaks[name] / 1e9,
            "memory_mib": memory[name],
            "seconds_a_block": seconds[name],
        }
        for name in both
    }
    counts = ", ".join(f"{count} of {name}" for name, count in updates["ours"].items())
    return Result(
        f"training on {processor()}, {torch.get_num_threads()} threads, batch {batch}; a block is {counts}",
        ("", "samples/s", "Gflop/sample", "of matmul peak, Gflop/s", "memory on top, MiB"),
        [
            (
                f"{name}, {str(precisions[name]).removeprefix('torch.')}",
                f"{found['samples_a_second']:.2f}",
                f"{found['gigaflop_a_sample']:.1f}",
                f"{100 * found['share_of_peak']:.0f} % of {found['peak_gigaflops']:.0f}",
                "unknown" if found["memory_mib"] is None else f"{found['memory_mib']:.0f}",
            )
            for name, found in figures.items()
        ],
        {"times_plain": Ratio("times plain training", by_round(seconds["plain"], seconds["ours"]), TIMES_PLAIN)},
        {"threads": torch.get_num_threads(), "batch": batch, "updates_a_block": updates["ours"], **figures},
    )


def trainers(tiny: bool, batch: int) -> tuple[Trainer, Trainer]:
    """Return the trainers of both ways, with the same initial weights."""
    recipe = replace(TINY if tiny else OURS, batch=batch, judges_batch=batch)
    faces = portrait_faces(recipe.generator.size, torch.device("cpu"))
    matcher, classifier = stand_ins(tiny)

    def made(kind: type[Trainer], precision: str, execution: Execution, **changes: int) -> Trainer:
        own = replace(faces, crops=faces.crops.contiguous(memory_format=execution.layout))
        # Copies, because each way uses its own memory format.
        nets = copy.deepcopy(matcher), copy.deepcopy(classifier)
        place = accelerator(precision, cpu=True)
        return kind(replace(recipe, **changes), own, [nets[0]], place, [nets[1]], execution=execution)

    plain = made(Plain, "no", Execution(channels_last=False, fused=False), cycle_every=1, penalty_every=1)
    for judge in (*plain.judges, plain.probe):  # a judge arranges its input itself
        judge.trunk.register_forward_pre_hook(lambda _, args: (args[0].contiguous(),))
    return plain, made(Trainer, "bf16", Execution())


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


def matmul_peak(dtype: torch.dtype, size: int, device: str = "cpu") -> float:
    """Return the peak operations per second of a product of two square matrices."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    a @ b
    return 2 * size**3 / min(synchronised(lambda: a @ b, device) for _ in range(5))


def synchronised(job: Callable[[], object], device: str) -> float:
    """Return the seconds that a job takes, including device synchronisation."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    job()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def memory_of(job: Callable[[], None]) -> float | None:
    """Run a job; returns its peak memory above the memory in use before, in MiB, or None outside Linux."""
    gc.collect()
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


def processor() -> str:
    """Return the name of the processor."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()
