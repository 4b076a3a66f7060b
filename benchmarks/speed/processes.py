"""Loss curves of multi-process training beside those of one process."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import click
import numpy as np
import torch
from facepriv_privacynet.config import OURS, Recipe
from facepriv_privacynet.training import Trainer
from numpy.typing import NDArray

from facepriv.cli.console import note
from facepriv.errors import UsageError
from speed.harness import Ratio, Result, answer, in_process, part
from speed.networks import TINY, accelerator, portrait_faces, stand_ins

#: Loss part -> its value at each step, NaN if it was not evaluated.
Curves = dict[str, NDArray[np.float64]]
#: Largest relative difference attributed to rounding in an exact run.
ROUNDING = 1e-3
#: Steps of the judges before the others.
WARM_UP = 10


@part(rounds=3)
@click.option("--processes", "count", type=click.IntRange(2), default=2, show_default=True)
@click.option("--batch", type=click.IntRange(2), default=12, show_default=True, help="Faces a step, of all processes.")
@click.option("--steps", type=click.IntRange(1), default=40, show_default=True)
@click.option("--exact", is_flag=True, help="Without what processes do not share: equal but for rounding.")
@click.option("--tiny", is_flag=True, help="Tiny networks, to see that the command works.")
def processes(rounds: int, count: int, batch: int, steps: int, exact: bool, tiny: bool) -> Result:
    """Loss curves of several processes beside those of one, which has all of their faces, on the CPU.

    They draw the same faces, targets and judges, and average their gradients. They differ in the random numbers of
    augmentation, and in terms that use a whole batch. The difference of the curves is compared with that between the
    first of `--rounds` seeds of one process and the others. `--exact` disables what differs; the curves are then equal
    up to rounding. Rounding errors grow from step to step, as in any adversarial training: compare an exact run over
    few steps.
    """
    if batch % count:
        raise UsageError(f"--batch {batch} cannot be shared by {count} processes: choose a multiple")
    if rounds < 2 and not exact:
        raise UsageError("--rounds: the curves of one seed have no spread to compare with; take 2 or more")

    def trained(count: int, seed: int) -> dict[str, Any]:
        note(f"{count} process{'es' if count > 1 else ''}, seed {seed}")
        job = {"batch": batch // count, "steps": steps, "warm_up": WARM_UP, "seed": seed}
        return launched(count, job | {"exact": exact, "tiny": tiny})

    several, alone = trained(count, 0), [trained(1, seed) for seed in range(1 if exact else rounds)]
    parts, ratios = compared(several, alone)
    return Result(
        f"processes: {count} beside one, the same {batch} faces a step, {steps} steps",
        ("loss", "mean of one process", "several less one", "seeds of one apart"),
        [
            (name, *("" if value is None else f"{value:.3g}" for value in (r["level"], r["apart"], r["between_seeds"])))
            for name, r in parts.items()
        ],
        ratios,
        {"processes": count, "batch": batch, "steps": steps, "exact": exact, "parts": parts},
    )


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


def curves(*, tiny: bool, exact: bool, **settings: int) -> dict[str, Any]:
    """Train in this process, one of several if the environment is set so; returns the means over the processes."""
    chosen = recipe(tiny=tiny, exact=exact, **settings)
    own = accelerator("no", cpu=True)
    faces = portrait_faces(chosen.generator.size, own.device)
    matcher, classifier = stand_ins(tiny)
    trainer = Trainer(chosen, faces, [matcher], own, [classifier])
    parts = [trainer.warm_up() for _ in range(chosen.warm_up)]
    trainer.step = int(exact)  # past the step with a penalty
    parts += [trainer.train_step() for _ in range(chosen.steps)]
    names = sorted({name for step in parts for name in step})
    missing = torch.tensor(float("nan"))
    values = torch.stack([torch.stack([step.get(name, missing) for name in names]) for step in parts])
    values = own.reduce(values, "mean")
    weights = {
        name: sum(float(p.detach().double().abs().sum()) for p in net.parameters())
        for name, net in trainer.nets().items()
    }
    return {"parts": {n: values[:, i].tolist() for i, n in enumerate(names)}, "weights": weights}


def launched(count: int, job: dict[str, Any]) -> dict[str, Any]:
    """Run `curves` in `count` processes and return the result of the main one; raises `DataError` if one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)),
    }

    def worker(rank: int) -> dict[str, Any]:
        return in_process("processes", job, environment={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})

    with ThreadPoolExecutor(count) as pool:
        main, *_ = pool.map(worker, range(count))  # an error of any is raised here
    return main


def as_arrays(found: dict[str, Any]) -> Curves:
    """Return the curves of a run as arrays."""
    return {name: np.array(values, dtype=np.float64) for name, values in found["parts"].items()}


def distance(one: Curves, other: Curves) -> dict[str, float]:
    """Return part -> mean absolute difference of two curves over the steps where both have a value."""
    return {name: float(np.nanmean(np.abs(one[name] - other[name]))) for name in one.keys() & other.keys()}


def compared(
    several: dict[str, Any], alone: list[dict[str, Any]]
) -> tuple[dict[str, dict[str, float | None]], dict[str, Ratio]]:
    """Return the differences of several processes' curves from one process's, and those between its seeds; and bars.

    With several seeds, each loss is divided by the difference between the seeds. With one seed the run was exact, and
    losses and weights are compared up to rounding.
    """
    first, *others = [as_arrays(found) for found in alone]
    apart = distance(as_arrays(several), first)
    noise = [distance(first, other) for other in others]
    parts: dict[str, dict[str, float | None]] = {
        name: {
            "level": float(np.nanmean(np.abs(first[name]))),
            "apart": apart[name],
            "between_seeds": float(np.mean([n[name] for n in noise])) if noise else None,
        }
        for name in sorted(apart)
    }
    if noise:
        shares = [r["apart"] / max(r["between_seeds"], 1e-12) for r in parts.values()]
        text = "of the seeds' difference is the largest difference of a loss"
        return parts, {"apart": Ratio(text, [float(np.max(shares))], 1.0, at_most=True)}
    losses = float(np.max([r["apart"] / max(1.0, r["level"]) for r in parts.values()]))
    weights = max(abs(several["weights"][name] - value) / value for name, value in alone[0]["weights"].items())
    return parts, {
        "losses_apart": Ratio("is the largest relative difference of a loss", [losses], ROUNDING, at_most=True),
        "weights_apart": Ratio("is that of the weights", [weights], ROUNDING, at_most=True),
    }


if __name__ == "__main__":
    answer(curves)
