"""What is compared: methods, the outputs that each makes, and judges, from names as the command line gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from facepriv.datasets.record import Record
from facepriv.errors import UsageError
from facepriv.evaluation.judges import Judges, find_judges, fitting
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import REPLICATES
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry, build_method, registry
from facepriv.schema import AGE, ATTRIBUTES, RACE_PAIRS, nearest, selections
from facepriv.settings import configured, with_settings

#: All outputs of the paper; a random gender; each face's own labels as targets.
ALL, RANDOM, OWN = "all", "random", "own"
#: Name of the strength among a method's settings.
STRENGTH = "strength"


@dataclass(frozen=True)
class ComparisonSetup:
    """Configuration of a comparison.

    Parameters
    ----------
    photos : sequence of Record
        Photos, all different files.
    name : str
        Name of the photos in the report.
    methods : tuple of str
        Names or aliases in the judges' registry, see `aliased`.
    requests : mapping
        Name of an output -> request; each method makes the outputs that it supports.
    judges : Judges
        Judges of every output, see `fitting`; their registry also builds the methods and attacks, with their settings.
    place : Path
        Folder for all cached results.
    attacks : tuple of str
    workers, replicates, fmr
        Number of processes (does not change results); resamples of the intervals; the main false match rate.
    left_out : mapping
        What was not tried -> reason, for the report.
    against : str
        The reference method for paired differences; empty: none.
    true_labels : bool
        Give the methods the true classes of the faces instead of estimates, where the data have labels.
    in_place : bool
        See `facepriv.evaluation.outputs.OutputRun`.
    strengths : mapping
        Methods with a strength of their own -> that strength, in place of the requests'.
    """

    photos: Sequence[Record]
    name: str
    methods: tuple[str, ...]
    requests: Mapping[str, PrivacyRequest]
    judges: Judges
    place: Path
    attacks: tuple[str, ...] = ()
    workers: int = 1
    replicates: int = REPLICATES
    fmr: float = 0.001
    left_out: Mapping[str, str] = field(default_factory=dict)
    against: str = ""
    true_labels: bool = False
    in_place: bool = False
    strengths: Mapping[str, float] = field(default_factory=dict)

    def request(self, method: str, output: str) -> PrivacyRequest:
        """Return what a method is asked for to make an output."""
        request = self.requests[output]
        return replace(request, strength=self.strengths.get(method, request.strength))

    @property
    def registry(self) -> Registry:
        """Registry of methods, judges and attacks."""
        return self.judges.registry

    def seen(self, method: str) -> list[str]:
        """Return the judges that a method was trained against; they do not count for it."""
        return sorted(self.judges.among(build_method(self.registry, method, "cpu").info()["seen"]))


def make_setup(
    photos: Sequence[Record],
    place: Path,
    *,
    name: str = "photos",
    methods: Sequence[str] = (),
    outputs: Sequence[str] = ("gender",),
    estimators: Sequence[str] = (),
    matchers: Sequence[str] = (),
    settings: Sequence[str] = (),
    attacks: Sequence[str] = (),
    known: Registry | None = None,
    request: Mapping[str, Any] | None = None,
    **more: Any,
) -> ComparisonSetup:
    """Return a setup from names as on the command line.

    Parameters
    ----------
    photos, place, name, attacks
        See `ComparisonSetup`.
    methods : sequence of str
        In the form of `aliased`; empty: all installed methods.
    outputs : sequence of str
        In the form of `named_output`, or `ALL` for the paper's 15.
    estimators, matchers, settings : sequence of str
        In the form of `facepriv.evaluation.judges.find_judges`; settings also for methods, ``METHOD.NAME=VALUE``.
    known : Registry, optional
        By default all installed plugins.
    request : mapping, optional
        ``policy``, ``strength``, ``seed`` of every output.
    **more
        Other fields of `ComparisonSetup`.

    Raises
    ------
    UsageError
        If a name, a setting or an output is wrong, or no judge can evaluate these photos.
    """
    known = known or registry()
    chosen, known, strengths = aliased(known, methods or tuple(known.descriptors("method")))
    if more.get("against", "") not in ("", *chosen):
        raise UsageError(f"--against {more['against']}: not among the methods here, {', '.join(chosen)}")
    for attack in attacks:
        known.find("attack", attack)
    requests: dict[str, PrivacyRequest] = {}
    for output in outputs:
        options = dict(request or {})
        requests |= paper_outputs(**options) if output == ALL else {output: named_output(output, **options)}
    ours = (*chosen, *attacks)
    of_those = [text for text in settings if text.partition("=")[0].rpartition(".")[0].strip() in ours]
    of_judges = [text for text in settings if text not in of_those]
    judges = find_judges(configured(known, of_those, chosen, attacks=attacks), estimators, matchers, of_judges)
    judges, left_out = fitting(judges, Truth.of(photos))
    if not judges.kinds:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise UsageError(f"no evaluator can judge these photos ({reasons or 'no evaluator is installed'})")
    found = {"left_out": left_out, "strengths": strengths, **more}
    return ComparisonSetup(photos, name, chosen, requests, judges, place, tuple(attacks), **found)


def aliased(known: Registry, texts: Sequence[str]) -> tuple[tuple[str, ...], Registry, dict[str, float]]:
    """Return the names of methods, a registry that builds them, and the strengths of those that have their own.

    Parameters
    ----------
    known : Registry
    texts : sequence of str
        ``METHOD``; ``METHOD:NAME=VALUE`` (such as ``privacynet:precision=float32``, which is then also the name); or
        ``OWN=METHOD:NAME=VALUE`` with a custom name. Further settings follow after another colon. ``strength`` is the
        request's, not a setting of the method.

    Raises
    ------
    UsageError
        If a method or a setting is unknown, a strength is not from 0 to 1, or a name comes twice.
    """
    names: list[str] = []
    strengths: dict[str, float] = {}
    for text in texts:
        head, *settings = text.split(":")
        own, equals, method = (part.strip() for part in head.partition("="))
        method = method if equals else own
        name = own if equals else text
        if name in names:
            raise UsageError(f"two methods are called '{name}': give one a name of its own, such as mine={text}")
        known.find("method", method)
        if name != method:
            known = known.with_alias("method", name, method)
        given = dict(_setting(text, setting) for setting in settings)
        if STRENGTH in given:
            strengths[name] = _strength(text, given.pop(STRENGTH))
        known = with_settings(known, "method", name, given) if given else known
        names.append(name)
    return tuple(names), known, strengths


def _setting(text: str, setting: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in setting.partition("="))
    if not (name and equals):
        raise UsageError(f"method '{text}': expected METHOD:NAME=VALUE, got '{setting}' after the colon")
    return name, value


def _strength(text: str, value: str) -> float:
    try:
        return PrivacyRequest(strength=float(value)).strength
    except (ValueError, UsageError) as error:
        raise UsageError(f"method '{text}': {STRENGTH} is a number from 0 to 1, not '{value}'") from error


def paper_outputs(**options: Any) -> dict[str, PrivacyRequest]:
    """Return name -> request for the paper's 15 outputs.

    Gender is flipped or kept, race is changed to its pair or kept, age is kept or moved to each of its three groups.

    Parameters
    ----------
    **options
        Options of every request: ``strength``, ``seed``, ``policy``.
    """
    names = [
        "+".join(f"age={age}" if name == AGE.name else name for name in chosen)
        for chosen in selections()
        for age in (AGE.classes if AGE.name in chosen else ("",))
    ]
    return {name: named_output(name, **options) for name in names}


def named_output(name: str, **options: Any) -> PrivacyRequest:
    """Return the request for an output's name.

    Parameters
    ----------
    name : str
        Attributes to hide, joined by ``+``, each alone (``race``) or with a target class (``age=old``); or `RANDOM`,
        or `OWN`.

    Raises
    ------
    UsageError
        If an attribute or class is unknown, or an attribute comes twice.
    """
    if name == RANDOM:
        options["policy"] = "random"
    hidden, targets = [], {}
    for part in {RANDOM: ("gender",), OWN: ()}.get(name, name.split("+")):
        own, equals, wanted = (text.strip() for text in part.partition("="))
        if own not in ATTRIBUTES:
            words = [*ATTRIBUTES, RANDOM, OWN]
            raise UsageError(
                f"output '{name}': no attribute '{own}'{nearest(own, words)}: known are {', '.join(words)}"
            )
        if own in targets or own in hidden:
            raise UsageError(f"output '{name}' names {own} twice")
        if equals:
            targets[own] = wanted
        else:
            hidden.append(own)
    return PrivacyRequest(tuple(hidden), targets, pairs={"race": dict(RACE_PAIRS)}, **options)


class Progress(Protocol):
    """Receives the progress of a comparison."""

    def stage(self, what: str, total: int) -> Callable[[int], None]:
        """Begin a stage of `total` steps; returns a callback that takes the number of steps just done."""


class NoProgress:
    """Ignores progress."""

    def stage(self, what: str, total: int) -> Callable[[int], None]:
        """Return a callback that does nothing."""
        return lambda count: None
