"""The command-line options that the trainers of networks share. Imports no heavy library."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from facepriv.errors import UsageError
from facepriv.settings import with_numbers
from facepriv.training.records import in_words

_PATH = click.Path(path_type=Path)
#: Also for trainers with other options.
threads_option = click.option("--threads", type=click.IntRange(1), help="CPU threads; default: torch's choice.")

R = TypeVar("R")


@dataclass(frozen=True)
class TrainingOptions:
    """The options that trainers share, see the help text of each; raises `UsageError` if some exclude each other."""

    pack: Path
    out: Path
    matcher: Path | None
    start: Path | None
    steps: int | None
    batch: int | None
    minutes: float | None
    precision: str | None
    changes: tuple[str, ...]
    threads: int | None
    export: bool
    gain: float
    curve: bool

    def __post_init__(self) -> None:
        if self.export and self.curve:
            raise UsageError("--export and --curve exclude each other: look at the curve, then export at a --gain")
        if self.gain != 1 and not self.export:
            raise UsageError("--gain goes with --export: training has no gain")

    def recipe(self, preset: R) -> R:
        """Return a recipe, a dataclass, with the numbers of --set, --steps and --batch; others raise `UsageError`."""
        given = {name: value for name in ("steps", "batch") if (value := getattr(self, name)) is not None}
        return replace(with_numbers(preset, self.changes), **given)  # type: ignore[type-var]


def training_options(
    *, weights: str, start: str, matched: bool = True, smallest_batch: int = 1, largest_gain: float = 1.0
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options that trainers share, as one `TrainingOptions`.

    `weights` is the name of the file that --export writes, `start` the help text of --start; `matched` requires a
    matcher.
    """
    options = (
        click.argument("pack", type=_PATH),
        click.option("--out", "-o", type=_PATH, required=True, help="Folder of the run."),
        click.option(
            "--matcher",
            type=_PATH,
            required=matched,
            help="MobileFaceNet ONNX file" + ("." if matched else "; teaches nothing, only measures."),
        ),
        click.option("--start", type=_PATH, help=start),
        click.option("--steps", type=click.IntRange(1), help="Steps of each network, instead of the recipe's."),
        click.option(
            "--batch", type=click.IntRange(smallest_batch), help="Faces a step and process, instead of the recipe's."
        ),
        click.option("--minutes", type=float, help="Stop, saved, after so many minutes; the same command goes on."),
        click.option(
            "--precision", type=click.Choice(["bf16", "no"]), help="[default: bf16 where the processor has it]"
        ),
        click.option("--set", "changes", multiple=True, metavar="NAME=NUMBER", help="Change one number of the recipe."),
        threads_option,
        click.option("--export", is_flag=True, help=f"Train nothing; write {weights} from what is trained."),
        click.option(
            "--gain",
            type=click.FloatRange(0, largest_gain, min_open=True),
            default=1.0,
            show_default=True,
            help="With --export: multiply what a network changes.",
        ),
        click.option("--curve", is_flag=True, help="Train nothing; print validation figures at several gains."),
    )
    shared = [field.name for field in fields(TrainingOptions)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(**given: Any) -> Any:
            return command(TrainingOptions(**{name: given.pop(name) for name in shared}), **given)

        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate


class Trained(Protocol):
    """A run whose results can be shown."""

    def curve(self) -> Iterator[str]:
        """Yield a line of validation figures per gain."""

    def export(self, shown: str, gain: float) -> tuple[Path, dict[str, float]]:
        """Write the weights file of a training with the command `shown`; return its path and validation figures."""


def show_results(run: Trained, options: TrainingOptions, shown: str) -> bool:
    """Print what --curve or --export asks for; return whether one of them is given."""
    if options.curve:
        for line in run.curve():
            click.echo(line)
    if options.export:
        path, figures = run.export(shown, options.gain)
        click.echo(f"{path}  {in_words(figures)}")
    return options.curve or options.export


def say(line: str) -> None:
    """Print a line of progress."""
    click.echo(line, err=True)
