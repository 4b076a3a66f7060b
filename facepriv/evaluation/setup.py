"""Configuration of a comparison, and the protocol for progress reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from facepriv.datasets.record import Record
from facepriv.errors import UsageError
from facepriv.evaluation.judges import Judges, Panel, panel
from facepriv.evaluation.requests import named_output, paper_outputs
from facepriv.evaluation.truth import Truth
from facepriv.metrics.bootstrap import REPLICATES
from facepriv.protection.request import PrivacyRequest
from facepriv.registry import Registry, build_method, registry
from facepriv.settings import configured, with_settings

#: All outputs of the paper.
ALL = "all"


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
        Names or aliases in the panel's registry, see `aliased`.
    requests : mapping
        Name of an output -> request; each method makes the outputs that it supports.
    panel : Panel
        The judges, see `fitting_panel`; its registry also builds the methods, with their settings.
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
    """

    photos: Sequence[Record]
    name: str
    methods: tuple[str, ...]
    requests: Mapping[str, PrivacyRequest]
    panel: Panel
    place: Path
    attacks: tuple[str, ...] = ()
    workers: int = 1
    replicates: int = REPLICATES
    fmr: float = 0.001
    left_out: Mapping[str, str] = field(default_factory=dict)
    against: str = ""
    true_labels: bool = False
    in_place: bool = False

    @property
    def registry(self) -> Registry:
        """Registry of methods, judges and attacks."""
        return self.panel.judges.registry

    @property
    def judges(self) -> Judges:
        """Judges of every output."""
        return self.panel.judges

    def seen(self, method: str) -> list[str]:
        """Return the judges that a method was trained against; they do not count for it."""
        return sorted(self.panel.seen(build_method(self.registry, method, "cpu").info()["seen"]))

    def telling(self, attribute: str) -> list[str]:
        """Return the judges that estimate an attribute."""
        said = self.panel.describe()
        return [name for name in self.judges.estimators if said[name]["attribute"] == attribute]


def fitting_panel(panel: Panel, truth: Truth) -> tuple[Panel, dict[str, str]]:
    """Return the panel's judges that the photos' labels can evaluate, and the reasons for leaving out the others.

    Raises
    ------
    UsageError
        If no judge is left.
    """
    kept: dict[str, list[str]] = {"estimator": [], "matcher": []}
    left_out: dict[str, str] = {}
    for name, said in panel.describe().items():
        if said["attribute"] and not truth.knows(said["attribute"]):
            left_out[name] = f"the photos have no {said['attribute']} label"
        elif not said["attribute"] and not truth.named:
            left_out[name] = "not all photos name people, so nothing can be matched"
        else:
            kept[said["kind"]].append(name)
    if not any(kept.values()):
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise UsageError(f"no evaluator can judge these photos ({reasons or 'no evaluator is installed'})")
    judges = replace(panel.judges, estimators=tuple(kept["estimator"]), matchers=tuple(kept["matcher"]))
    return replace(panel, judges=judges), left_out


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
        In the form of `facepriv.evaluation.judges.panel`; settings also for methods, ``METHOD.NAME=VALUE``.
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
    chosen, known = aliased(known, methods or tuple(known.descriptors("method")))
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
    judges = panel(configured(known, of_those, chosen, attacks=attacks), estimators, matchers, of_judges)
    fitting, left_out = fitting_panel(judges, Truth.of(photos))
    return ComparisonSetup(photos, name, chosen, requests, fitting, place, tuple(attacks), left_out=left_out, **more)


def aliased(known: Registry, texts: Sequence[str]) -> tuple[tuple[str, ...], Registry]:
    """Return the names of methods, and a registry that builds them.

    Parameters
    ----------
    known : Registry
    texts : sequence of str
        ``METHOD``; ``METHOD:NAME=VALUE`` (such as ``privacynet:precision=float32``, which is then also the name); or
        ``OWN=METHOD:NAME=VALUE`` with a custom name. Further settings follow after another colon.

    Raises
    ------
    UsageError
        If a method or a setting is unknown, or a name comes twice.
    """
    names: list[str] = []
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
        known = with_settings(known, "method", name, given) if given else known
        names.append(name)
    return tuple(names), known


def _setting(text: str, setting: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in setting.partition("="))
    if not (name and equals):
        raise UsageError(f"method '{text}': expected METHOD:NAME=VALUE, got '{setting}' after the colon")
    return name, value


class Progress(Protocol):
    """Receives the progress of a comparison."""

    def stage(self, what: str, total: int) -> Callable[[int], None]:
        """Begin a stage of `total` steps; returns a callback that takes the number of steps just done."""


class NoProgress:
    """Ignores progress."""

    def stage(self, what: str, total: int) -> Callable[[int], None]:
        """Return a callback that does nothing."""
        return lambda count: None
