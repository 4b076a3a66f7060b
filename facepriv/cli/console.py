"""Output of commands: results on stdout; errors, notes and progress on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any, Protocol

import click


class Failure(click.ClickException):
    """An error as shown to the user: one line on stderr, and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        error(self.message)


def error(text: str) -> None:
    """Print one error line on stderr."""
    click.echo(f"facepriv: error: {text}", err=True)


def warning(text: str) -> None:
    """Print one warning line on stderr."""
    click.echo(f"facepriv: warning: {text}", err=True)


def note(text: str) -> None:
    """Print one informational line on stderr."""
    click.echo(f"facepriv: {text}", err=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout; if that is not a terminal, each row is one line of any length."""
    terminal = sys.stdout.isatty()
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in head:
        shown.add_column(name, no_wrap=not terminal, overflow="fold")  # a long path is not cut
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    console = Console(width=None if terminal else 10_000)
    with console.capture() as text:
        console.print(shown)
    for line in text.get().splitlines():
        click.echo(line.rstrip())


def records(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of many columns: on a terminal each as a block of its own, otherwise as `table` does."""
    if not sys.stdout.isatty():
        table(head, rows)
        return
    for row in rows:
        table((head[0], row[0]), zip(head[1:], row[1:], strict=True))
        click.echo()


class ProgressDisplay(Protocol):
    """Shows the progress of a run."""

    def advance(self, count: int = 1) -> None:
        """Advance by `count` items."""

    def error(self, text: str) -> None:
        """Print an error line without disturbing the display."""


@contextmanager
def progress(total: int, what: str = "files") -> Iterator[ProgressDisplay]:
    """Show progress with rate and time left on stderr: a bar on a terminal, otherwise occasional lines.

    `what` names the counted items in the plain lines.
    """
    if sys.stderr.isatty():
        with _bar(total) as shown:
            yield shown
    else:
        yield _Lines(total, what)


class Stages:
    """Shows the progress of one stage after another; `announced`: also prints a line where a stage begins."""

    def __init__(self, *, announced: bool = False) -> None:
        self.announced = announced
        self.open = ExitStack()

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *error: Any) -> None:
        self.open.close()

    def stage(self, what: str, total: int) -> Callable[[int], None]:
        """Begin the next stage; a stage without steps is not shown."""
        self.open.close()
        if not total:
            return lambda count: None
        if self.announced:
            note(f"{what}: {total}")
        shown = self.open.enter_context(progress(total, what))
        return lambda count: shown.advance(count) if count else None


@contextmanager
def _bar(total: int) -> Iterator[ProgressDisplay]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    class Shown:
        def advance(self, count: int = 1) -> None:
            bar.advance(task, count)

        def error(self, text: str) -> None:
            bar.console.print(f"facepriv: error: {text}", markup=False, highlight=False, soft_wrap=True)

    columns = (BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        yield Shown()


class _Lines:
    """Plain progress: a line at most every few seconds, none for a shorter run."""

    interval = 5.0

    def __init__(self, total: int, what: str) -> None:
        self.total = total
        self.what = what
        self.done = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.printed < self.interval:
            return
        self.printed = now
        rate = self.done / (now - self.started)
        note(f"{self.done}/{self.total} {self.what}, {rate:.1f}/s, {duration((self.total - self.done) / rate)} left")

    def error(self, text: str) -> None:
        error(text)


def duration(seconds: float) -> str:
    """Return seconds as ``12 s``, ``3 min`` or ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
