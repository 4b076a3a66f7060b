"""Shared code of the benchmark scripts: options, data sets, checks, and output as text and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from facepriv import files
from facepriv.cli.console import Failure
from facepriv.datasets import readers
from facepriv.datasets.readers import lfw
from facepriv.datasets.record import Record
from facepriv.errors import DataError, FaceprivError, UsageError
from facepriv.files import atomic_write
from facepriv.metrics.bootstrap import REPLICATES, Estimate
from facepriv.registry import Registry

#: Key for random targets; not secret, so that a repeated run gives the same figures.
KEY = b"the visible LFW, reproducible"
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
workers_option = click.option("--workers", type=click.IntRange(1), help="Processes. [default: one a core]")
replicates_option = click.option(
    "--replicates", type=click.IntRange(10), default=REPLICATES, show_default=True, help="Resamples."
)
json_option = click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the result there.")


def cache_folder(work: Path | None, name: str) -> Path:
    """Return `work`, or a folder of this name in the user's cache; prints what is stored there."""
    place = work or files.cache_folder(name)
    print(files.prepare_work_folder(place), file=sys.stderr)
    return place


def visible(root: Path, limit: int | None = None) -> list[Record]:
    """Return the visible LFW, or the photos of `limit` evenly spaced people; each must have a gender."""
    photos = lfw.visible(readers.read("lfw", root))
    unlabelled = [r.subject for r in photos if "gender" not in r.labels]
    if unlabelled:
        raise DataError(f"{root}: no gender for {unlabelled[0]} in lfw_gender.csv beside it")
    return of_people(photos, limit)


def of_people(photos: list[Record], limit: int | None) -> list[Record]:
    """Return the photos of `limit` evenly spaced people, or single photos if there are no identities."""
    people = sorted({r.subject or r.name for r in photos})
    if limit is not None and limit < len(people):
        kept = {people[i] for i in np.linspace(0, len(people) - 1, limit).round().astype(int)}
        photos = [r for r in photos if (r.subject or r.name) in kept]
    return photos


def with_weights(known: Registry, methods: Sequence[str], weights: Path) -> Registry:
    """Return the registry with one method using other weights."""
    if len(methods) != 1:
        raise UsageError("--weights belongs to one method: name just one")
    return known.with_options("method", methods[0], {"weights": str(weights.absolute())})


def refuse_seen(known: Registry, methods: Sequence[str], judges: Sequence[str]) -> list[dict[str, Any]]:
    """Return descriptions and settings of the methods; a judge that one was trained against raises an error.

    Weights are identified by hash, not by path.
    """
    described = []
    for name in methods:
        info = known.create("method", name).info()
        seen = sorted(set(info.get("seen") or ()) & set(judges))
        if seen:
            raise UsageError(f"'{name}' was trained against {', '.join(seen)}: no unseen evidence; choose others")
        options = known.find("method", name).options.items()
        settings = {key: str(value) for key, value in options if key != "weights"}
        described.append({"name": name, "settings": settings, **info})
    return described


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
