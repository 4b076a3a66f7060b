"""What every part of the speed benchmarks uses: its options, timing in turns, ratios with bars, and the output."""

from __future__ import annotations

import functools
import inspect
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from shared import Benchmark, json_option, write_json

from facepriv import __version__
from facepriv.cli.console import table
from facepriv.errors import DataError


@dataclass
class Ratio:
    """A measured ratio, or another figure, beside its bar if it has one.

    Parameters
    ----------
    text : str
        What it is, printed after its value.
    rounds : sequence of float
        Its value in each round; the median decides on the bar.
    bar : float or None
    at_most : bool
        The bar is a maximum, otherwise a minimum.
    """

    text: str
    rounds: Sequence[float]
    bar: float | None = None
    at_most: bool = False

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def holds(self) -> bool:
        """Whether the median reaches the bar."""
        if self.bar is None:
            return True
        return self.median <= self.bar if self.at_most else self.median >= self.bar

    def __str__(self) -> str:
        """Return the line to print."""
        span = f" ({min(self.rounds):.3g} to {max(self.rounds):.3g})" if len(self.rounds) > 1 else ""
        text = f"{self.median:.3g}{span} {self.text}"
        if self.bar is None:
            return text
        verdict = "holds" if self.holds else "FALLS SHORT"
        return f"{text}; at {'most' if self.at_most else 'least'} {self.bar:g}: {verdict}"

    def to_json(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        spread = {"least": min(self.rounds), "median": self.median, "most": max(self.rounds)}
        return {"text": self.text, **spread, "bar": self.bar, "at_most": self.at_most, "holds": self.holds}


@dataclass
class Result:
    """What a part has measured.

    Parameters
    ----------
    title : str
        One line above the table.
    head, rows : sequence
        The table.
    ratios : mapping
        Name in the JSON file -> ratio.
    figures : mapping
        Further figures for the JSON file.
    notes : sequence of str
        Lines below the ratios.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def show(self) -> None:
        """Print title, table, ratios and notes."""
        print(f"\n{self.title}")
        table(self.head, self.rows)
        for line in (*self.ratios.values(), *self.notes):
            print(line)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the table for JSON."""
        ratios = {name: ratio.to_json() for name, ratio in self.ratios.items()}
        return {"facepriv": __version__, "title": self.title, **self.figures, "ratios": ratios}


def part(*, rounds: int = 0, threads: int | None = 0) -> Callable[[Callable[..., Result]], click.Command]:
    """Turn a function into a command with the common options; its docstring is the help.

    Parameters
    ----------
    rounds : int
        Default of ``--rounds``; 0: the command has no such option.
    threads : int or None
        Default of ``--threads``, None: torch's choice; 0: the command has no such option.
    """

    def made(measure: Callable[..., Result]) -> click.Command:
        @functools.wraps(measure)
        def run(json_path: Path | None, **settings: Any) -> None:
            result = measure(**settings)
            result.show()
            if json_path is not None:
                write_json(json_path, result.to_json())

        run = json_option(run)
        if threads != 0:
            default = "[default: torch's choice]" if threads is None else None
            shown = threads is not None
            run = click.option("--threads", type=click.IntRange(1), default=threads, show_default=shown, help=default)(
                run
            )
        if rounds:
            run = click.option("--rounds", type=click.IntRange(1), default=rounds, show_default=True)(run)
        return click.command(cls=Benchmark, help=inspect.cleandoc(measure.__doc__ or ""))(run)

    return made


def in_turns(
    jobs: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds of each job, round by round; jobs run in turns, so that a busy machine slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds + warm_up):
        for name, job in jobs.items():
            start = clock()
            job()
            taken[name].append(clock() - start)
    return {name: found[warm_up:] for name, found in taken.items()}


def by_round(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(above, below, strict=True)]


#: Columns of `milliseconds`.
TIMES = ("ms: least", "median", "most")


def milliseconds(seconds: Sequence[float]) -> list[str]:
    """Return minimum, median and maximum in milliseconds."""
    return [f"{1e3 * of(seconds):.1f}" for of in (min, statistics.median, max)]


def in_process(
    module: str,
    job: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    limit: Callable[[], object] | None = None,
) -> Any:
    """Run a module of this package in a process of its own; see `answer`. Returns its answer.

    Parameters
    ----------
    job : mapping
        Arguments of the module's function.
    environment : mapping or None
        Additional environment variables.
    timeout : float or None
        In seconds.
    limit : callable or None
        Called in the new process before it starts.

    Raises
    ------
    DataError
        If it fails; with its last line of output.
    subprocess.TimeoutExpired
        If it takes longer than `timeout`.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.{module}"],
        input=json.dumps(job),
        cwd=Path(__file__).parents[1],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        preexec_fn=limit,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise DataError(f"a process of {module} failed: {lines[-1] if lines else done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(function: Callable[..., object]) -> None:
    """Call a function with the job of this process; see `in_process`."""
    print(json.dumps(function(**json.load(sys.stdin))))


def bound(threads: int) -> Callable[[], object] | None:
    """Return a function that limits a new process to `threads` processors; None if the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    mine = sorted(os.sched_getaffinity(0))[:threads]
    return lambda: os.sched_setaffinity(0, mine)


def within(box: Sequence[float], place: Sequence[float]) -> bool:
    """Return whether the centre of a box (left, top, right, bottom) lies in `place`."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return place[0] <= x <= place[2] and place[1] <= y <= place[3]
