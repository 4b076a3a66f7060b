"""Settings given as text, ``METHOD.NAME=VALUE``: each becomes a keyword of the constructor of a method or a model.

Users can set all constructor parameters: names and types come from the signature, so that plugins need no second
declaration. Options fixed by the descriptor cannot be set.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from facepriv.errors import UsageError
from facepriv.hookspecs import Descriptor, Kind
from facepriv.registry import Registry, load_target
from facepriv.schema import nearest

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false"}
_NAMES = {
    int: "whole number",
    float: "number",
    bool: "true | false",
    str: "text",
    Path: "file or folder",
    NoneType: "none",
}


@dataclass(frozen=True)
class Setting:
    """What a constructor's signature and docstring state about one setting.

    Parameters
    ----------
    name : str
    type : str
        What a value may be, in words; the words of a Literal are `choices`.
    choices : tuple of str
    default : object
        None as well where a value is required.
    required : bool
    limits : str
        The limits of a number as the docstring states them after its type: ``float, above 0, at most 1``.
    description : str
        One line, from the docstring in NumPy, Google or reST style.
    """

    name: str
    type: str
    choices: tuple[str, ...]
    default: object
    required: bool
    limits: str
    description: str


def settings_of(descriptor: Descriptor) -> list[Setting]:
    """Return the settings of a component; raises `PluginError` if it cannot be imported."""
    target = load_target(descriptor)
    documented = _documented(target)
    found = []
    for name, kind in _parameters(target, descriptor.options).items():
        default = inspect.signature(target).parameters[name].default
        type_text, description = documented.get(name, ("", ""))
        number = {int, float} & {kind, *get_args(kind)} and get_origin(kind) is not tuple
        # Braces hold the words of a Literal, with commas of their own.
        limits = re.sub(r"\{.*?\}", "", type_text).partition(",")[2].strip() if number else ""
        required = default is inspect.Parameter.empty
        words = (_in_words(kind), _choices(kind), None if required else default)
        found.append(Setting(name, *words, required, limits, description))
    return found


def _documented(target: Any) -> dict[str, tuple[str, str]]:
    """Return parameter -> type and description, from the docstrings of a class, its bases and their constructors."""
    from docstring_parser import parse

    classes = reversed(inspect.getmro(target)) if inspect.isclass(target) else ()
    texts = [part.__doc__ for cls in classes for part in (cls, cls.__init__)] or [target.__doc__]
    return {
        name.strip(): (parameter.type_name or "", " ".join((parameter.description or "").split()))
        for text in texts
        for parameter in parse(text or "").params
        for name in parameter.arg_name.split(",")
    }


def _choices(kind: Any) -> tuple[str, ...]:
    """Return the words of a Literal, alone or in a union."""
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return tuple(map(str, inner))
    return tuple(word for part in inner for word in _choices(part))


def _in_words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, UnionType):
        kinds = [k for k in inner if not (k is str and Path in inner)]  # a path-like is a file
        return " or ".join(map(_in_words, kinds))
    if kind is tuple or origin in (tuple, list, Sequence):
        return f"{_in_words(inner[0] if inner else str)},..."
    return _NAMES.get(kind, "text")


def configured(
    known: Registry,
    texts: Sequence[str],
    methods: Sequence[str],
    *,
    estimators: Sequence[str] = (),
    matchers: Sequence[str] = (),
    attacks: Sequence[str] = (),
) -> Registry:
    """Return a registry that builds methods, estimators, matchers and attacks with the settings in `texts`.

    Parameters
    ----------
    known : Registry
    texts : sequence of str
        ``METHOD.NAME=VALUE`` each. A value is read as the type in the constructor's annotation (bool, int, float, str,
        Path, a Literal's words, a tuple of these with commas; ``none`` where None is allowed), or as the type of the
        default.
    methods, estimators, matchers, attacks : sequence of str
        The components of this call; settings of any other component are refused.

    Raises
    ------
    UsageError
        If a text is not a setting, a name is unknown, repeated or ambiguous, or a value has the wrong type.
    PluginError
        If the method or model cannot be imported.
    """
    kinds: dict[str, list[Kind]] = {}
    used: tuple[tuple[Kind, Sequence[str]], ...] = (
        ("method", methods),
        ("estimator", estimators),
        ("matcher", matchers),
        ("attack", attacks),
    )
    for kind, names in used:
        for name in dict.fromkeys(names):
            kinds.setdefault(name, []).append(kind)
    for method, given in _sorted_out(texts, list(kinds)).items():
        if len(kinds[method]) > 1:
            raise UsageError(f"--set {method}: both {' and '.join(kinds[method])} have this name: rename one")
        known = with_settings(known, kinds[method][0], method, given)
    return known


def with_settings(known: Registry, kind: Kind, name: str, given: Mapping[str, str]) -> Registry:
    """Return a registry that builds one component with settings, name -> text; raises what `configured` raises."""
    descriptor = known.find(kind, name)
    free = _parameters(load_target(descriptor), descriptor.options)
    for setting in given:
        if setting not in free:
            can = f"can be set: {', '.join(free)}" if free else "has nothing to set"
            near = nearest(setting, list(free))
            raise UsageError(f"--set {name}.{setting}: no such setting{near}; {name} {can}")
    values = {s: _read(f"--set {name}.{s}={text}", text, free[s]) for s, text in given.items()}
    return known.with_options(kind, name, values)


def _sorted_out(texts: Sequence[str], methods: Sequence[str]) -> dict[str, dict[str, str]]:
    """Convert texts to method -> name -> value."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        method, dot, name = left.strip().rpartition(".")
        if not (equals and dot and method and name):
            raise UsageError(f"--set '{text}': expected METHOD.NAME=VALUE")
        if method not in methods:
            raise UsageError(f"--set {left}: '{method}' is not used in this call, which uses {', '.join(methods)}")
        if name in found.setdefault(method, {}):
            raise UsageError(f"--set {left}: given twice")
        found[method][name] = value.strip()
    return found


def _parameters(target: Callable[..., Any], fixed: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters that may be set: name -> type, `str` if neither annotation nor default gives one."""
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # an annotation for type checkers only
        hints = {}
    return {
        name: hints.get(name) or (str if p.default in (p.empty, None) else type(p.default))
        for name, p in inspect.signature(target).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in fixed
    }


def _read(what: str, text: str, kind: Any) -> Any:
    """Read `text` as `kind`; `what` names the setting in an error."""
    origin, inner = get_origin(kind), get_args(kind)
    if not text and (kind is Path or (origin in (Union, UnionType) and Path in inner)):
        raise UsageError(f"{what}: expected a file or folder")  # an empty path would be the current folder
    if origin in (Union, UnionType):
        if NoneType in inner and text.lower() == "none":
            return None
        # A path-like is given as a str, so a union is read as the first of its types that fits.
        return _first_fitting(what, text, [k for k in inner if k is not NoneType])
    if origin is Literal:
        if text not in inner:
            raise UsageError(f"{what}: expected one of {', '.join(map(str, inner))}{nearest(text, list(inner))}")
        return text
    if kind is tuple or origin in (tuple, list, Sequence):
        each = inner[0] if inner else str
        return tuple(_read(what, part.strip(), each) for part in text.split(",") if part.strip())
    if kind is bool:
        if text.lower() not in _WORDS:
            raise UsageError(f"{what}: expected {_EXPECTED[bool]}")
        return _WORDS[text.lower()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"{what}: expected {_EXPECTED[kind]}") from None
    return Path(text) if kind is Path else text


def _first_fitting(what: str, text: str, kinds: Sequence[Any]) -> Any:
    for kind in kinds[:-1]:
        try:
            return _read(what, text, kind)
        except UsageError:
            continue
    return _read(what, text, kinds[-1])


R = TypeVar("R")


def with_numbers(recipe: R, changes: Sequence[str]) -> R:
    """Return a recipe, a dataclass, with some of its int and float fields changed (``NAME=NUMBER``).

    Raises
    ------
    UsageError
        If there is no such field, or the text is not a number.
    """
    types = {f.name: getattr(f.type, "__name__", f.type) for f in fields(recipe)}  # type: ignore[arg-type]
    numbers = {name: kind for name, kind in types.items() if kind in ("int", "float")}
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
