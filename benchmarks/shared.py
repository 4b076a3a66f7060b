"""Shared code of the benchmark scripts: options, timing, and output as text and JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from facepriv.cli.console import Failure
from facepriv.errors import FaceprivError
from facepriv.files import atomic_write
from facepriv.metrics.bootstrap import REPLICATES, Estimate

FMR = 0.001


class Benchmark(click.Command):
    """A command that reports a `FaceprivError` as one line and an exit code; its help preserves lines of examples."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        # A line with a backspace at the start of a paragraph makes click preserve the lines.
        settings["help"] = settings["help"].replace("\n\n    ", "\n\n\b\n    ")
        super().__init__(*given, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except FaceprivError as error:
            raise Failure(str(error), error.exit_code) from error


data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="FACEPRIV_DATA",
    help="Folder of the data sets. [env: FACEPRIV_DATA]",
)

weights_option = click.option(
    "--weights",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The method's weights, for a candidate that is not packaged yet.",
)
replicates_option = click.option(
    "--replicates", type=click.IntRange(10), default=REPLICATES, show_default=True, help="Resamples."
)
json_option = click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the result there.")


def percent(figure: Estimate, digits: int = 1) -> str:
    """Return a share as percent with its interval."""
    return f"{100 * figure.value:.{digits}f} % ({100 * figure.low:.{digits}f} to {100 * figure.high:.{digits}f})"


def points(figure: Estimate) -> str:
    """Return a difference of shares in percentage points with its interval."""
    return f"{100 * figure.value:+.1f} ({100 * figure.low:+.1f} to {100 * figure.high:+.1f})"


def write_json(path: Path, result: Any) -> None:
    """Write a result; every estimate becomes value, low, high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, (json.dumps(result, default=_plain, indent=1) + "\n").encode())
    print(f"written: {path}", file=sys.stderr)


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return asdict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
