"""Options that several commands share, and commands that receive their options as one dataclass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

PATH = click.Path(path_type=Path)

fmr = click.option(
    "--fmr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    help="False match rate, a share, at which matchers are measured.",
)
replicates = click.option(
    "--replicates",
    type=click.IntRange(10),
    default=1000,
    show_default=True,
    help="Resamples of people behind each 95 % interval.",
)
workers = click.option(
    "--workers", type=click.IntRange(1), help="Processes. Results do not depend on it. [default: one per core]"
)


def passes(record: type, *declarations: Decorator) -> Decorator:
    """Return a decorator that passes the options which `record` has as fields, as one instance.

    Parameters
    ----------
    record : type
        A dataclass with a field for each option. It is the command's first argument; other options follow by name.
    *declarations
        Arguments and options to add to the command, in the order of its help.
    """
    names = [field.name for field in fields(record)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(**given: Any) -> Any:
            return command(record(**{name: given.pop(name) for name in names}), **given)

        functools.update_wrapper(wrapped, command)
        return functools.reduce(lambda inner, declaration: declaration(inner), reversed(declarations), wrapped)

    return decorate
