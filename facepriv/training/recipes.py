"""Changes to the numbers of a recipe, as a command line gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from facepriv.errors import UsageError
from facepriv.schema import nearest

R = TypeVar("R")


def with_numbers(recipe: R, changes: Sequence[str]) -> R:
    """Return a recipe, a dataclass, with some of its int and float fields changed (``NAME=NUMBER``).

    Raises
    ------
    UsageError
        If there is no such number, or the text is none.
    """
    numbers = {f.name: f.type for f in fields(recipe) if f.type in ("int", "float")}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in numbers:
            raise UsageError(f"--set {change}: no number '{name}' in the recipe{nearest(name, list(numbers))}")
        try:
            values[name] = int(text) if numbers[name] == "int" else float(text)
        except ValueError:
            raise UsageError(f"--set {change}: '{text}' is no {numbers[name]}") from None
    return replace(recipe, **values)  # type: ignore[type-var]
