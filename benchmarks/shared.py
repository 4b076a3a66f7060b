"""What the benchmark scripts share: one line for an error, percent for people, JSON for machines."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from facepriv.cli.console import Failure
from facepriv.errors import FaceprivError
from facepriv.images import atomic_write
from facepriv.metrics.bootstrap import Estimate


class Benchmark(click.Command):
    """A command whose `FaceprivError` is one line and an exit code."""

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
