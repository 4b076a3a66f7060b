"""Speed of verification figures against pyeer, and cost of 10^8 impostor scores.

Both get the same random scores (genuine about 2 standard deviations above impostors). Each job runs in a separate
process, with limited address space for pyeer, and reports its time and peak memory. pyeer's sets double until it runs
out of memory (or of time). On the largest set that succeeded, both are timed in turns, best of several rounds: for
pyeer `calculate_roc`, area and EER, for us all of `ScoreStream` (EER, area, d', TMR at three FMRs). Then 10^8 impostor
scores are processed in blocks.

    python benchmarks/scores.py
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from shared import Benchmark, json_option, write_json

from facepriv.cli.console import note, table
from facepriv.errors import DataError

TIMES_AS_FAST, MOST_MIB = 10, 1024
FIRST, GENUINE, BLOCK = 250_000, 20_000, 2**22
#: Time limit of our jobs, in seconds; 10^8 scores need a fraction of it.
OUR_LIMIT = 3600


@click.command(cls=Benchmark, help=__doc__)
@click.option("--memory", type=click.FloatRange(0.5), default=4.0, show_default=True, help="pyeer's memory in GiB.")
@click.option("--seconds", type=click.IntRange(1), default=600, show_default=True, help="pyeer's time for one set.")
@click.option("--impostors", type=click.IntRange(1000), default=10**8, show_default=True, help="Of the large set.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--job", hidden=True, help="What the process of one job is told, as JSON.")
@json_option
def main(memory: float, seconds: int, impostors: int, rounds: int, job: str | None, json_path: Path | None) -> None:
    if job:
        print(json.dumps(do(**json.loads(job))))
        return
    largest, why = largest_of_pyeer(memory, seconds)
    best = {"pyeer": float("inf"), "facepriv": float("inf")}
    answers: dict[str, Any] = {}
    for _ in range(rounds):
        for tool in best:  # in turns, so that a busy machine slows both
            answers[tool] = run({"tool": tool, "impostors": largest}, memory if tool == "pyeer" else None, seconds)
            best[tool] = min(best[tool], answers[tool]["seconds"])
    large = run({"tool": "facepriv", "impostors": impostors}, None, OUR_LIMIT)
    result = {
        "largest_of_pyeer": largest,
        "why_no_larger": why,
        "memory_gib": memory,
        "seconds": best,
        "ratio": best["pyeer"] / best["facepriv"],
        "peak_mib": {t: a["peak_mib"] for t, a in answers.items()},
        "eer_fvc_difference": abs(answers["pyeer"]["eer_fvc"] - answers["facepriv"]["eer_fvc"]),
        "large": large,
    }
    show(result, answers)
    if json_path is not None:
        write_json(json_path, result)


def largest_of_pyeer(memory: float, seconds: int) -> tuple[int, str]:
    """Return the largest of the doubling set sizes that pyeer completes, and why it fails on the next one."""
    held = 0
    size = FIRST
    while True:
        answer = run({"tool": "pyeer", "impostors": size}, memory, seconds)
        if "failed" in answer:
            if not held:
                raise DataError(f"pyeer does not hold {size} scores ({answer['failed']}): give it more --memory")
            return held, f"{size}: {answer['failed']}"
        note(f"pyeer: {size} impostor scores in {answer['seconds']:.1f} s, {answer['peak_mib']:.0f} MiB")
        held, size = size, 2 * size


def run(job: dict[str, Any], memory: float | None, seconds: int) -> dict[str, Any]:
    """Run a job in a separate process; returns its result, or ``failed``."""

    def limit() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (int(memory * 2**30),) * 2)

    command = [sys.executable, __file__, "--job", json.dumps(job)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, preexec_fn=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"longer than {seconds} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return {"failed": f"out of memory at {memory:g} GiB" if "MemoryError" in last else last}
    return json.loads(done.stdout)


def do(tool: str, impostors: int) -> dict[str, Any]:
    """Compute one tool's figures for a given number of impostor scores."""
    genuine = np.random.default_rng(1).normal(2, 1, GENUINE).astype(np.float32)
    work = of_pyeer if tool == "pyeer" else ours
    found = work(genuine, impostors)
    return {**found, "impostors": impostors, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def blocks(impostors: int) -> Iterator[NDArray[np.float32]]:
    """Yield impostor scores, the same for every tool."""
    rng = np.random.default_rng(2)
    for start in range(0, impostors, BLOCK):
        yield rng.standard_normal(min(BLOCK, impostors - start), dtype=np.float32)


def of_pyeer(genuine: NDArray[np.float32], impostors: int) -> dict[str, Any]:
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


def show(result: dict[str, Any], answers: dict[str, Any]) -> None:
    """Print the comparison and the cost of the large set."""
    largest = result["largest_of_pyeer"]
    print(
        f"\n{largest} impostor and {GENUINE} genuine scores, the largest set that pyeer held within "
        f"{result['memory_gib']:g} GiB ({result['why_no_larger']})"
    )
    rows = [
        (tool, f"{seconds:.2f}", f"{answers[tool]['peak_mib']:.0f}", f"{100 * answers[tool]['auc']:.6f}")
        for tool, seconds in result["seconds"].items()
    ]
    table(("", "s", "peak MiB", "AUC %"), rows)
    print(
        f"{result['ratio']:.1f} times as fast as pyeer (needed: {TIMES_AS_FAST}); "
        f"EER in pyeer's definition differs by {result['eer_fvc_difference']:.1g}"
    )
    large = result["large"]
    if "failed" in large:
        print(f"the large set failed: {large['failed']}")
        return
    print(
        f"\n{large['impostors']} impostor scores in blocks, exact: {large['seconds']:.1f} s, peak "
        f"{large['peak_mib']:.0f} MiB (allowed: {MOST_MIB}); EER {100 * large['eer']:.4f} %, "
        f"AUC {100 * large['auc']:.4f} %"
    )


if __name__ == "__main__":
    main()
