"""Speed of verification figures against pyeer, and cost of 10^8 impostor scores."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from facepriv.cli.console import note
from facepriv.errors import DataError
from speed.harness import Ratio, Result, answer, by_round, in_process, part

TIMES_AS_FAST, MOST_MIB = 10.0, 1024.0
FIRST, GENUINE, BLOCK = 250_000, 20_000, 2**22


@part(rounds=3)
@click.option("--memory", type=click.FloatRange(0.5), default=4.0, show_default=True, help="pyeer's memory in GiB.")
@click.option("--seconds", type=click.IntRange(1), default=600, show_default=True, help="pyeer's time for one set.")
@click.option("--impostors", type=click.IntRange(1000), default=10**8, show_default=True, help="Of the large set.")
def scores(rounds: int, memory: float, seconds: int, impostors: int) -> Result:
    """Verification figures beside pyeer, and the cost of 10^8 impostor scores.

    Both get the same random scores (genuine about 2 standard deviations above impostors). Each job runs in a separate
    process, with limited address space for pyeer, and reports its time and peak memory. pyeer's sets double until it
    runs out of memory (or of time). On the largest set that succeeded, both are timed in turns: for pyeer
    `calculate_roc`, area and EER, for us all of `ScoreStream` (EER, area, d', TMR at two FMRs). Then a large set of
    impostor scores is processed in blocks.
    """
    largest, why = largest_of_pyeer(memory, seconds)
    turns: dict[str, list[dict[str, Any]]] = {"pyeer": [], "facepriv": []}
    for _ in range(rounds):
        turns["pyeer"].append(of_pyeer(largest, memory, seconds))
        turns["facepriv"].append(in_process("scores", {"tool": "facepriv", "impostors": largest}))
    large = in_process("scores", {"tool": "facepriv", "impostors": impostors})
    taken = {tool: [answer["seconds"] for answer in answers] for tool, answers in turns.items()}
    last = {tool: answers[-1] for tool, answers in turns.items()}
    apart = abs(last["pyeer"]["eer_fvc"] - last["facepriv"]["eer_fvc"])
    rows = [(tool, largest, min(taken[tool]), last[tool]) for tool in turns]
    rows.append(("facepriv", impostors, large["seconds"], large))
    return Result(
        f"scores: {GENUINE:,} genuine ones, and impostors as pyeer holds them within {memory:g} GiB ({why})",
        ("", "impostors", "s", "peak MiB", "AUC %"),
        [
            (tool, f"{count:,}", f"{s:.2f}", f"{answer['peak_mib']:.0f}", f"{100 * answer['auc']:.6f}")
            for tool, count, s, answer in rows
        ],
        {
            "times_pyeer": Ratio("times as fast as pyeer", by_round(taken["pyeer"], taken["facepriv"]), TIMES_AS_FAST),
            "peak_mib": Ratio("MiB for the large set", [large["peak_mib"]], MOST_MIB, at_most=True),
        },
        {"largest_of_pyeer": largest, "why_no_larger": why, "memory_gib": memory, "seconds": taken}
        | {"eer_fvc_difference": apart, "large": large},
        [f"the EER in pyeer's definition differs by {apart:.1g}"],
    )


def largest_of_pyeer(memory: float, seconds: int) -> tuple[int, str]:
    """Return the largest of the doubling set sizes that pyeer completes, and why it fails on the next one."""
    held, size = 0, FIRST
    while True:
        try:
            answer = of_pyeer(size, memory, seconds)
        except (DataError, subprocess.TimeoutExpired) as error:
            why = f"longer than {seconds} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
            why = "out of memory" if "MemoryError" in why else why
            if not held:
                raise DataError(f"pyeer does not hold {size} scores ({why}): give it more --memory") from error
            return held, f"{size:,}: {why}"
        note(f"pyeer: {size} impostor scores in {answer['seconds']:.1f} s, {answer['peak_mib']:.0f} MiB")
        held, size = size, 2 * size


def of_pyeer(impostors: int, memory: float, seconds: int) -> dict[str, Any]:
    """Compute pyeer's figures in a process of limited memory and time; see `do`."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory * 2**30),) * 2)

    return in_process("scores", {"tool": "pyeer", "impostors": impostors}, timeout=seconds, limit=limit)


def do(tool: str, impostors: int) -> dict[str, Any]:
    """Compute one tool's figures for a given number of impostor scores."""
    genuine = np.random.default_rng(1).normal(2, 1, GENUINE).astype(np.float32)
    work = theirs if tool == "pyeer" else ours
    found = work(genuine, impostors)
    return {**found, "impostors": impostors, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def blocks(impostors: int) -> Iterator[NDArray[np.float32]]:
    """Yield impostor scores, the same for every tool."""
    rng = np.random.default_rng(2)
    for start in range(0, impostors, BLOCK):
        yield rng.standard_normal(min(BLOCK, impostors - start), dtype=np.float32)


def theirs(genuine: NDArray[np.float32], impostors: int) -> dict[str, Any]:
    """Return pyeer's EER and area; making the scores is not timed."""
    from pyeer.eer_stats import calculate_roc, calculate_roc_auc, get_eer_values

    own, other = genuine.astype(np.float64), np.concatenate(list(blocks(impostors))).astype(np.float64)
    started = time.perf_counter()
    _, fmr, fnmr = calculate_roc(own, other)
    eer = get_eer_values(fmr, fnmr)[3]
    area = calculate_roc_auc(fmr, fnmr)
    return {"eer_fvc": float(eer), "auc": float(area), "seconds": time.perf_counter() - started}


def ours(genuine: NDArray[np.float32], impostors: int) -> dict[str, Any]:
    """Return all figures of the stream; making the scores is not timed."""
    from facepriv.metrics.stream import ScoreStream
    from facepriv.metrics.verification import eer_fvc

    spent, started = 0.0, time.perf_counter()
    counted = ScoreStream(genuine)
    spent += time.perf_counter() - started
    for block in blocks(impostors):
        started = time.perf_counter()
        counted.add(block)
        spent += time.perf_counter() - started
    started = time.perf_counter()
    found = {
        "eer": counted.eer(),
        "auc": counted.auc(),
        "d_prime": counted.d_prime(),
        "tmr": {fmr: counted.tmr_at_fmr(fmr).tmr for fmr in (0.01, 0.001)},
    }
    spent += time.perf_counter() - started
    # pyeer's definition needs the scores around the crossing; computed for comparison if the set fits in memory.
    held = impostors <= 10 * BLOCK
    fvc = eer_fvc(genuine, np.concatenate(list(blocks(impostors)))) if held else None
    return {**found, "eer_fvc": fvc, "seconds": spent}


if __name__ == "__main__":
    answer(do)
