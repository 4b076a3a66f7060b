"""The settings of an ONNX model: the form of its input, and the meaning of its output.

The settings are in a TOML or JSON file beside the model (``arcface.onnx``, ``arcface.toml``), or are given as keywords,
which take precedence. Every field is checked, and an error names the file, the field and its allowed values.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from facepriv.errors import UsageError
from facepriv.faces.align import CROP_PADDING
from facepriv.files import parse
from facepriv.schema import ATTRIBUTES, nearest

ALIGNMENTS = ("dlib", "arcface")
KINDS = ("probabilities", "logits", "years")
SUFFIXES = (".toml", ".json")


@dataclass(frozen=True, kw_only=True)
class OnnxSettings:
    """The input of a model, and the part of its output to use.

    Parameters
    ----------
    size : int
        Side of the square input in pixels.
    trained_on : str
        Description of its training data. Whether it counts as an unseen model for a method depends on this.
    align : {"dlib", "arcface"}
        dlib's face chip with `padding`, or the square of ArcFace's five-point alignment (`arcface_window`).
    padding : float
        dlib's padding around the mean face, 0 to 0.5 (our whole crop); FairFace: 0.25. Not used by ``arcface``.
    colours : {"rgb", "bgr"}
        Order of the input's channels.
    layout : {"nchw", "nhwc"}
        Order of the input's axes.
    white : float
        The value of white before normalisation: 1 or 255.
    mean, std : tuple of 3 float
        The input is (pixel - mean) / std, one value per channel in the input's own order; one number stands for three.
    output : str
        Name of the model's output; optional if there is only one.
    columns : tuple of int or None
        [start, stop) of the output's numbers to use; all by default. FairFace: race [0, 7], gender [7, 9],
        age [9, 18].
    threads : int
        Threads within one operator; with more than one the last bits may differ between machines.
    """

    size: int
    trained_on: str
    align: str = "dlib"
    padding: float = 0.25
    colours: str = "rgb"
    layout: str = "nchw"
    white: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    output: str = ""
    columns: tuple[int, ...] | None = None
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class MatcherSettings(OnnxSettings):
    """The settings of a matcher.

    Parameters
    ----------
    threshold : float or None
        The model's published threshold on the cosine similarity, at or above which two faces are one person.
    """

    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class EstimatorSettings(OnnxSettings):
    """The meaning of an estimator's output.

    Parameters
    ----------
    attribute : str
        gender, race or age.
    kind : {"probabilities", "logits", "years"}
        A softmax is applied to ``logits``. A single column of either is the second of two classes (with a sigmoid for
        logits). ``years``: one column holds the age.
    classes : tuple of str
        The attribute's class for each column. A class may occur more than once (its probabilities are added); ``""``
        omits a column, and the others are scaled to sum to 1.
    ages : tuple of float
        Instead of `classes`, if the columns are ages or age groups: the years of each column. The estimate is then
        their mean, weighted by the probabilities.
    scale : float
        Years in one unit of a ``years`` output, for models that give an age in [0, 1].
    """

    attribute: str
    kind: str = "probabilities"
    classes: tuple[str, ...] = ()
    ages: tuple[float, ...] = ()
    scale: float = 1.0

    @property
    def gives_years(self) -> bool:
        """Whether the estimate is an age in years instead of probabilities."""
        return self.kind == "years" or bool(self.ages)


S = TypeVar("S", bound=OnnxSettings)


def read_settings(kind: type[S], model: str | Path, sidecar: str | Path | None, given: Mapping[str, Any]) -> S:
    """Gather and check the settings of a model.

    Parameters
    ----------
    kind : class
        `MatcherSettings` or `EstimatorSettings`.
    model : path-like
        The ONNX file.
    sidecar : path-like or None
        Its settings file; None: the model's name with the suffix .toml or .json, if there is one.
    given : mapping
        Settings that override the file's.

    Raises
    ------
    UsageError
        If the file cannot be read, or a field is unknown, missing or wrong; the message lists the allowed values.
    """
    path = _find(Path(model), sidecar)
    told = {name: (value, path) for name, value in _load(path).items()} if path else {}
    told |= {name: (value, None) for name, value in given.items()}
    known = {f.name: f for f in fields(kind)}
    values = {}
    for name, (value, source) in told.items():
        where = source or f"settings of {model}"
        if name not in known:
            raise UsageError(f"{where}: unknown field '{name}'{nearest(name, known)}: known are {', '.join(known)}")
        values[name] = _checked(where, name, value)
    missing = [f.name for f in known.values() if f.default is MISSING and f.name not in values]
    if missing:
        where = path or f"{model}: no settings beside it ({Path(model).with_suffix('.toml').name})"
        raise UsageError(f"{where}: missing {', '.join(missing)}")
    settings = kind(**values)
    if isinstance(settings, EstimatorSettings):
        _check_meaning(path or f"settings of {model}", settings)
    return settings


def _find(model: Path, sidecar: str | Path | None) -> Path | None:
    if sidecar is not None:
        return Path(sidecar)
    beside = [path for path in (model.with_suffix(s) for s in SUFFIXES) if path.is_file()]
    if len(beside) > 1:
        raise UsageError(f"{model}: both {beside[0].name} and {beside[1].name} stand beside it: remove one")
    return beside[0] if beside else None


def _load(path: Path) -> dict[str, Any]:
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: settings are a .toml or a .json file")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else parse(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # from either format, and from bytes that are not text
        raise UsageError(f"{path}: no valid {path.suffix[1:].upper()} ({error})") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected fields with values, got a {type(values).__name__}")
    return values


def _checked(where: object, name: str, value: Any) -> Any:
    check, expected = _FIELDS[name]
    try:
        return check(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {name} is {value!r}, expected {expected}") from error


def _check_meaning(where: object, settings: EstimatorSettings) -> None:
    """Check the fields that depend on one another."""
    spec = ATTRIBUTES[settings.attribute]
    if settings.gives_years and not spec.thresholds:
        raise UsageError(f"{where}: kind and ages speak of years, but {spec.name} is not measured in years")
    if settings.kind == "years":
        if settings.classes or settings.ages:
            raise UsageError(f"{where}: kind 'years' is the age itself: leave out classes and ages")
        return
    if bool(settings.classes) == bool(settings.ages):
        either = "classes or ages (not both)" if spec.thresholds else "classes"
        raise UsageError(f"{where}: give {either}, what each column of the output stands for")
    unknown = [name for name in settings.classes if name and name not in spec.classes]
    absent = [name for name in spec.classes if settings.classes and name not in settings.classes]
    if unknown or absent:
        problem = f"knows no '{unknown[0]}'" if unknown else f"lacks '{absent[0]}'"
        raise UsageError(f'{where}: classes {problem}: {spec.name} is {", ".join(spec.classes)}, or "" to leave out')


def _is(kind: type, accept: Callable[[Any], object] = lambda value: True) -> Callable[[Any], Any]:
    """Return a check that a value is accepted and of a kind; a bool is no number."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, kind) or not accept(value):
            raise ValueError
        return value

    return check


def _whole(low: int, high: int) -> Callable[[Any], int]:
    return _is(int, lambda value: low <= value <= high)


def _number(accept: Callable[[float], bool]) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool | str) or not accept(float(value)):
            raise ValueError
        return float(value)

    return check


def _one_of(*choices: str) -> Callable[[Any], str]:
    return lambda value: _is(str, lambda text: text.lower() in choices)(value).lower()


def _listed(check: Callable[[Any], Any], at_least: int, at_most: float = inf) -> Callable[[Any], tuple[Any, ...]]:
    def check_all(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list | tuple) or not at_least <= len(values) <= at_most:
            raise ValueError
        return tuple(check(value) for value in values)

    return check_all


def _channels(check: Callable[[Any], float]) -> Callable[[Any], tuple[float, ...]]:
    three = _listed(check, 3, 3)
    return lambda values: three([values] * 3 if isinstance(values, int | float) else values)


def _columns(values: Any) -> tuple[int, ...]:
    return _is(tuple, lambda pair: pair[0] < pair[1])(_listed(_whole(0, 1_000_000), 2, 2)(values))


_text = _is(str, str.strip)
_finite = _number(lambda v: abs(v) < inf)
_positive = _number(lambda v: 0 < v < inf)
# For each field, its check and the error message's text on allowed values.
_FIELDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "size": (_whole(2, 1024), "a whole number of pixels, 2 to 1024"),
    "trained_on": (_text, "a text that says what it was trained on"),
    "align": (_one_of(*ALIGNMENTS), f"one of {', '.join(ALIGNMENTS)}"),
    "padding": (_number(lambda v: 0 <= v <= CROP_PADDING), f"a number from 0 to {CROP_PADDING:g}"),
    "colours": (_one_of("rgb", "bgr"), "rgb or bgr"),
    "layout": (_one_of("nchw", "nhwc"), "nchw or nhwc"),
    "white": (_number(lambda v: v in (1, 255)), "1 or 255"),
    "mean": (_channels(_finite), "a number or a list of three"),
    "std": (_channels(_positive), "a number above 0 or a list of three"),
    "output": (_text, "the name of one of the model's outputs"),
    "columns": (_columns, "[start, stop], whole numbers, stop above start"),
    "threshold": (_number(lambda v: -1 <= v <= 1), "a cosine similarity from -1 to 1"),
    "threads": (_whole(1, 256), "a whole number from 1 to 256"),
    "attribute": (_one_of(*ATTRIBUTES), f"one of {', '.join(ATTRIBUTES)}"),
    "kind": (_one_of(*KINDS), f"one of {', '.join(KINDS)}"),
    "classes": (_listed(_is(str), 2), "a list of class names, one a column"),
    "ages": (_listed(_number(lambda v: 0 <= v <= 120), 2), "a list of ages in years, 0 to 120, one a column"),
    "scale": (_positive, "a number above 0"),
}
