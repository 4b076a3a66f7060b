"""Option types shared by several commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from facepriv.errors import UsageError


class Names(click.ParamType):
    """Names separated by commas."""

    name = "NAMES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split one value; raises `UsageError` if a name is missing next to a comma."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(","))
        if not all(names):
            raise UsageError(f"{_option(param)} '{value}': {_gap(names)}")
        return names

    @staticmethod
    def joined(values: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """Join the values of a repeated option without duplicates."""
        return tuple(dict.fromkeys(name for value in values for name in value))


def pairs(option: str, values: Sequence[str]) -> dict[str, str]:
    """Convert ``name=value`` texts to a dict; commas separate several pairs.

    Raises
    ------
    UsageError
        If a text is not a pair, or a name occurs twice.
    """
    result: dict[str, str] = {}
    for value in values:
        parts = tuple(part.strip() for part in value.split(","))
        if len(parts) > 1 and not all(parts):
            raise UsageError(f"{option} '{value}': {_gap(parts)}")
    for text in (part for value in values for part in value.split(",")):
        name, equals, value = (piece.strip() for piece in text.partition("="))
        if not (name and equals and value):
            raise UsageError(f"{option} '{text}': expected NAME=VALUE")
        if name in result:
            raise UsageError(f"{option}: '{name}' is given twice")
        result[name] = value
    return result


def _gap(parts: Sequence[str]) -> str:
    """Return a hint for a list with an empty part, usually because the shell split it at a space."""
    known = ",".join(part for part in parts if part)
    if not known:
        return "names nothing"
    return f"a name is missing beside a comma; write lists without spaces: {known},NAME"


def _option(param: click.Parameter | None) -> str:
    return param.opts[0] if param is not None else "a list"
