"""Compare the loss curves of multi-process training with those of one process.

One process has a batch of N, and P processes have N / P each, on the CPU (gloo), from the same seed. They draw the same
faces, targets and judges, and average their gradients. They differ in the random numbers of augmentation, and in terms
that use a whole batch. `--exact` disables these; the curves are then equal up to rounding. Otherwise the difference of
the curves is compared with that between several seeds of one process.

    python benchmarks/processes.py
    python benchmarks/processes.py --exact --tiny --steps 10

Rounding errors grow from step to step, as in any adversarial training: compare an exact run over few steps.

It needs no data set: the faces are two public-domain portraits, and the matcher has random weights.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from facepriv_privacynet.config import OURS, Recipe
from facepriv_privacynet.training import Trainer
from numpy.typing import NDArray
from shared import Benchmark, json_option, write_json
from training_parts import TINY, accelerator, portrait_faces, stand_ins

from facepriv.cli.console import note, table
from facepriv.errors import DataError, UsageError

#: Loss part -> its value at each step, NaN if it was not evaluated.
Curves = dict[str, NDArray[np.float64]]
#: Largest relative difference attributed to rounding in an exact run.
ROUNDING = 1e-3


def recipe(*, tiny: bool, exact: bool, batch: int, steps: int, warm_up: int, seed: int) -> Recipe:
    """Return the recipe of a process with `batch` faces per step."""
    chosen = replace(
        TINY if tiny else OURS,
        batch=batch,
        judges_batch=batch,
        warm_batch=2 * batch,
        warm_up=warm_up,
        steps=steps,
        seed=seed,
    )
    if not exact:
        return chosen
    # Keep only terms that are means over faces and need no other random numbers. The penalty mixes faces at random and
    # occurs at the first step only; a critic with labels and the term `alike` use all faces of a batch together.
    return replace(
        chosen,
        augment=None,
        matcher_shift=0.0,
        w_alike=0.0,
        conditional=False,
        critic_every=1,
        cycle_every=1,
        penalty_every=10**9,
    )


def curves(recipe: Recipe, *, tiny: bool, exact: bool, precision: str) -> dict[str, Any]:
    """Train in this process, one of several if the environment is set so; returns the means over the processes."""
    own = accelerator(precision, cpu=True)
    faces = portrait_faces(recipe.generator.size, own.device)
    matcher, classifier = stand_ins(tiny)
    trainer = Trainer(recipe, faces, [matcher], own, [classifier])
    parts = [trainer.warm_up() for _ in range(recipe.warm_up)]
    trainer.step = int(exact)  # past the step with a penalty
    parts += [trainer.train_step() for _ in range(recipe.steps)]
    names = sorted({name for step in parts for name in step})
    missing = torch.tensor(float("nan"))
    values = torch.stack([torch.stack([step.get(name, missing) for name in names]) for step in parts])
    values = own.reduce(values, "mean")
    weights = {
        name: sum(float(p.detach().double().abs().sum()) for p in net.parameters())
        for name, net in trainer.nets().items()
    }
    return {
        "parts": {n: values[:, i].tolist() for i, n in enumerate(names)},
        "weights": weights,
        "main": own.is_main_process,
    }


def launched(count: int, arguments: list[str]) -> dict[str, Any]:
    """Run this script as `count` workers and return the result of the main one.

    Raises
    ------
    DataError
        If a worker fails; with its last line of output.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = max(1, (os.cpu_count() or 1) // count)
    common = {
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": str(threads),
    }
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--worker", str(found)]
        workers = [
            subprocess.Popen(
                command,
                env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        said = [worker.communicate()[1] for worker in workers]
        for worker, text in zip(workers, said, strict=True):
            if worker.returncode:
                lines = text.strip().splitlines()
                raise DataError(f"a process of {count} failed: {lines[-1] if lines else worker.returncode}")
        return json.loads(found.read_text())


def as_arrays(found: dict[str, Any]) -> Curves:
    """Return the curves of a run as arrays."""
    return {name: np.array(values, dtype=np.float64) for name, values in found["parts"].items()}


def distance(one: Curves, other: Curves) -> dict[str, float]:
    """Return part -> mean absolute difference of two curves over the steps where both have a value."""
    return {name: float(np.nanmean(np.abs(one[name] - other[name]))) for name in one.keys() & other.keys()}


@click.command(cls=Benchmark, help=__doc__)
@click.option("--processes", type=click.IntRange(2), default=2, show_default=True)
@click.option("--batch", type=click.IntRange(2), default=12, show_default=True, help="Faces a step, of all processes.")
@click.option("--steps", type=click.IntRange(1), default=40, show_default=True)
@click.option("--warm-up", type=click.IntRange(0), default=10, show_default=True, help="Steps of the judges before.")
@click.option("--seeds", type=click.IntRange(2), default=3, show_default=True, help="Of one process, for the noise.")
@click.option("--exact", is_flag=True, help="Without what processes do not share: equal but for rounding.")
@click.option("--precision", type=click.Choice(["no", "bf16"]), default="no", show_default=True)
@click.option("--tiny", is_flag=True, help="Tiny networks, to see that the command works.")
@json_option
@click.option("--seed", type=int, default=0, hidden=True)
@click.option("--worker", type=click.Path(path_type=Path), hidden=True)
def main(
    processes: int,
    batch: int,
    steps: int,
    warm_up: int,
    seeds: int,
    exact: bool,
    precision: str,
    tiny: bool,
    json_path: Path | None,
    seed: int,
    worker: Path | None,
) -> None:
    if worker is not None:
        count = int(os.environ["WORLD_SIZE"])
        chosen = recipe(tiny=tiny, exact=exact, batch=batch // count, steps=steps, warm_up=warm_up, seed=seed)
        found = curves(chosen, tiny=tiny, exact=exact, precision=precision)
        if found.pop("main"):
            worker.write_text(json.dumps(found))
        return
    if batch % processes:
        raise UsageError(f"--batch {batch} cannot be shared by {processes} processes: choose a multiple")

    def trained(count: int, seed: int) -> dict[str, Any]:
        note(f"{count} process{'es' if count > 1 else ''}, seed {seed}")
        arguments = ["--batch", batch, "--steps", steps, "--warm-up", warm_up, "--precision", precision, "--seed", seed]
        flags = [name for name, on in (("--tiny", tiny), ("--exact", exact)) if on]
        return launched(count, [*map(str, arguments), *flags])

    several, alone = trained(processes, 0), [trained(1, s) for s in range(1 if exact else seeds)]
    result = compared(several, alone, processes)
    result |= {"batch": batch, "steps": steps, "warm_up": warm_up, "exact": exact, "precision": precision}
    show(result)
    if json_path is not None:
        write_json(json_path, result)


def compared(several: dict[str, Any], alone: list[dict[str, Any]], processes: int) -> dict[str, Any]:
    """Return the differences of several processes' curves from one process's, and those between its seeds."""
    first, *others = [as_arrays(found) for found in alone]
    apart = distance(as_arrays(several), first)
    noise = [distance(first, other) for other in others]
    level = {name: float(np.nanmean(np.abs(values))) for name, values in first.items()}
    rows = {
        name: {
            "level": level[name],
            "difference": apart[name],
            "between_seeds": float(np.mean([n[name] for n in noise])) if noise else None,
        }
        for name in sorted(apart)
    }
    weights = {name: abs(several["weights"][name] - value) / value for name, value in alone[0]["weights"].items()}
    holds = (
        all(row["difference"] <= row["between_seeds"] for row in rows.values())
        if noise
        else max(weights.values()) <= ROUNDING
        and all(row["difference"] <= ROUNDING * max(1.0, row["level"]) for row in rows.values())
    )
    return {"processes": processes, "parts": rows, "weights_apart": weights, "holds": bool(holds)}


def show(result: dict[str, Any]) -> None:
    """Print the table: mean over the steps of each loss part, and mean absolute differences of the curves."""
    print(
        f"{result['processes']} processes beside one, the same {result['batch']} faces a step, {result['steps']} steps"
    )
    rows = [
        (
            name,
            f"{r['level']:.4f}",
            f"{r['difference']:.2e}",
            "" if r["between_seeds"] is None else f"{r['between_seeds']:.2e}",
        )
        for name, r in result["parts"].items()
    ]
    table(("loss", "mean of one process", "several less one", "seeds of one apart"), rows)
    wanted = f"within {ROUNDING:g}" if result["exact"] else "no further apart than seeds"
    print(f"\n{wanted}: {'holds' if result['holds'] else 'FALLS SHORT'}")


if __name__ == "__main__":
    main()
