"""The training loop: repeated steps, logs, checkpoints, and resuming."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facepriv.errors import DataError
from facepriv.training.records import in_words

#: File name of the checkpoint.
CHECKPOINT = "checkpoint.pt"

Log = Callable[[int, Mapping[str, float]], None]
Step = Callable[[], Mapping[str, Tensor]]


@dataclass
class Loop:
    """Repeats steps until the target number or the deadline is reached.

    Parameters
    ----------
    log : callable
        Called with a step and the means of the steps' values since the last call.
    save : callable
        Saves a checkpoint.
    deadline : float
        In terms of `time.monotonic`.
    log_every, save_every : int
        In steps.
    agreed : callable
        Turns one process's request to stop into a decision of all processes.
    """

    log: Log
    save: Callable[[], None]
    deadline: float = float("inf")
    log_every: int = 20
    save_every: int = 200
    agreed: Callable[[bool], bool] = bool

    def run(self, step: Step, done: Callable[[], int], until: int, *, before: int = 0) -> None:
        """Call `step`, which increases `done()`, until that reaches `until`; logged as step ``done() - before``."""
        values: dict[str, list[Tensor]] = {}
        while done() < until and not self.agreed(time.monotonic() >= self.deadline):
            for name, value in step().items():
                values.setdefault(name, []).append(value)
            if done() % self.log_every == 0:
                self.log(done() - before, {name: float(torch.stack(found).mean()) for name, found in values.items()})
                values = {}
            if done() % self.save_every == 0:
                self.save()


def deadline_in(minutes: float | None) -> float:
    """Return the deadline after so many minutes, in terms of `time.monotonic`; None: there is none."""
    return time.monotonic() + 60 * minutes if minutes else float("inf")


class RunLog:
    """The log of a run: per call one line in ``log.jsonl``, TensorBoard scalars, and a line for the user.

    Parameters
    ----------
    out : Path
        The run's folder.
    say : callable
        Called with each line for the user.
    active : bool
        False in all processes but the main one: nothing is written.
    """

    def __init__(self, out: Path, say: Callable[[str], None], *, active: bool = True) -> None:
        self.out, self.say, self.active = out, say, active

    def __enter__(self) -> RunLog:
        """Open TensorBoard's file and start the clock."""
        from torch.utils.tensorboard import SummaryWriter

        self.start = time.monotonic()
        self.writer = SummaryWriter(str(self.out / "tensorboard")) if self.active else None
        return self

    def __exit__(self, *exception: object) -> None:
        """Close TensorBoard's file."""
        if self.writer:
            self.writer.close()

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Log some values of one step."""
        if not self.writer:
            return
        row = {"step": step, "seconds": round(time.monotonic() - self.start, 1), **values}
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps({k: round(v, 5) for k, v in row.items()}) + "\n")
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.say(f"step {step}  {row['seconds']} s  " + in_words(values))


def save_checkpoint(
    path: Path,
    nets: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    numbers: Mapping[str, Any],
) -> None:
    """Write networks, optimisers and `numbers` to a file atomically."""
    state = {
        **numbers,
        "nets": {name: net.state_dict() for name, net in nets.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the contents written by `save_checkpoint`; raises `DataError` if missing, damaged or another file."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such checkpoint; train first, or name the folder of another run") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"{path}: is no checkpoint, or damaged: copy it again, or name another folder") from error
    return state


def load_checkpoint(
    path: Path,
    nets: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    device: torch.device,
) -> dict[str, Any]:
    """Load networks and optimisers from a file, and return its numbers.

    Raises
    ------
    DataError
        If the file is damaged or has other networks.
    """
    state = read_checkpoint(path, device)
    try:
        for name, net in nets.items():
            net.load_state_dict(state["nets"][name])
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{path}: belongs to another recipe: give the options that it had, or name another folder"
        ) from error
    return {name: value for name, value in state.items() if name not in ("nets", "optimisers")}
