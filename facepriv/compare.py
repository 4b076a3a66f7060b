"""Any set of methods over a data set: every output made once, judged by everybody, attacked on demand, reported.

What costs time is kept under hashes of all that decides it (photos, code, weights, settings): what judges saw of every
output, figures, what attacks noted and answered. An interrupted run goes on where it was, and a repeated one only lays
out the report again. Drawn targets hang on a key that stands here, so that figures repeat: no output leaves this run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from facepriv import __version__
from facepriv.caches import make_private
from facepriv.compare_attacks import adversaries_of, attack_outputs
from facepriv.compare_figures import measure_outputs
from facepriv.compare_setup import Setup, Unwatched, Watch
from facepriv.components import build_method
from facepriv.errors import FaceprivError, UsageError, one_line
from facepriv.evaluate import Looks
from facepriv.evaluation.answers import not_taken
from facepriv.outcomes import Truth
from facepriv.report.comparison import Comparison
from facepriv.report.examples import make_examples
from facepriv.requests import possible
from facepriv.trial import ORIGINAL, Plan, Trial, plan

#: Decides drawn targets, no secret here: a repeated run gives the same figures.
KEY = b"facepriv compare, reproducible"


def compare(setup: Setup, watch: Watch | None = None) -> Comparison:
    """Run a comparison, or what is missing of it.

    Raises
    ------
    UsageError
        If no method can make any output.
    FaceprivError
        If a photo cannot be read, or a method, a judge or an attack fails.
    """
    make_private(setup.place)
    told = watch or Unwatched()
    truth = Truth.of(setup.photos)
    trials, skipped = trials_of(setup)
    plans, looks = _make_and_judge(trials, setup, told)
    outputs, original, silent = measure_outputs(plans, looks, truth, setup, told)
    if setup.attacks:
        answers = attack_outputs(plans, truth, setup, told)
        found = [adversaries_of(o, looks[o.method], answers[o.method], truth, setup) for o in outputs]
        outputs = [replace(o, adversaries=tuple(rows)) for o, rows in zip(outputs, found, strict=True)]
    skipped |= {**_not_taken(looks, setup), **setup.left_out, **silent}
    described = setup.panel.describe()
    return Comparison(
        facepriv=__version__,
        data=_data(setup),
        settings=_settings(setup),
        methods=tuple(_described(setup, name) for name in trials),
        judges=tuple({"name": name, **described[name]} for name in setup.judges.estimators + setup.judges.matchers),
        skipped=tuple({"what": what, "why": why} for what, why in skipped.items()),
        original=original,
        outputs=tuple(outputs),
        examples=tuple(make_examples(trials, setup.examples, setup.place / "examples")),
    )


def trials_of(setup: Setup) -> tuple[dict[str, Trial], dict[str, str]]:
    """Return the trial of every method that can make an output, and what is skipped, with the reason."""
    trials, skipped = {}, {}
    for name in setup.methods:
        try:
            can = build_method(setup.registry, name, "cpu").perturber.attributes
        except UsageError:
            raise  # no such method, or its settings are wrong
        except FaceprivError as error:
            skipped[name] = one_line(error)
            continue
        able = possible(dict(setup.requests), can)
        for output in setup.requests.keys() - able.keys() if able else ():
            skipped[f"{name}: {output}"] = f"changes {', '.join(can)} only"
        if not able:
            skipped[name] = f"cannot hide this: it changes {', '.join(can) or 'nothing'}"
            continue
        trials[name] = Trial(
            setup.registry, name, able, setup.judges, KEY, encode_originals=True, keep_crops=bool(setup.attacks)
        )
    if not trials:
        reasons = "; ".join(f"{what}: {why}" for what, why in skipped.items())
        raise UsageError(f"no method can make any of the outputs ({reasons or 'none was named'})")
    return trials, dict(sorted(skipped.items()))


def _make_and_judge(
    trials: Mapping[str, Trial], setup: Setup, watch: Watch
) -> tuple[dict[str, Plan], dict[str, dict[str, Looks]]]:
    """Make and judge what is missing; returns by method the plan, and output (and `ORIGINAL`) -> what was seen."""
    paths = [record.path for record in setup.photos]
    plans, looks = {}, {}
    for method, trial in trials.items():
        # One after the other: the originals are all methods', what one has judged the next finds.
        plans[method] = plan(trial, paths, setup.place / "looks")
        advance = watch.stage(f"{method}: outputs of a photo", plans[method].missing)
        looks[method], _ = plans[method].run(workers=setup.workers, progress=advance)
    return plans, looks


def _not_taken(looks: Mapping[str, Mapping[str, Looks]], setup: Setup) -> dict[str, str]:
    """Return what judges could not take, and why; of the originals once."""
    names = [record.name for record in setup.photos]
    found: dict[str, str] = {}
    for method, outputs in looks.items():
        for output, seen in outputs.items():
            where = "" if output == ORIGINAL else f"{method}, {output}: "
            words = "originals" if output == ORIGINAL else "protected photos"
            found |= {f"{where}{judge}": text for judge, text in not_taken(seen, names, words).items()}
    return found


def _described(setup: Setup, name: str) -> dict[str, Any]:
    """Return what a method says of itself, and how it is set; of weights it is the hash that tells, not their place."""
    descriptor = setup.registry.find("perturber", name)
    settings = {key: str(value) for key, value in descriptor.options.items() if key != "weights"}
    info = build_method(setup.registry, name, "cpu").info()
    more = {"summary": descriptor.summary, "reference": descriptor.reference}
    return {**info, "seen": setup.seen(name), "settings": settings, **more}


def _data(setup: Setup) -> dict[str, Any]:
    people = {record.subject for record in setup.photos if record.subject}
    return {"name": setup.name, "photos": len(setup.photos), "people": len(people)}


def _settings(setup: Setup) -> dict[str, Any]:
    request = next(iter(setup.requests.values()))
    return {
        "policy": request.policy, "strength": request.strength, "seed": request.seed,
        "fmr": setup.fmr, "replicates": setup.replicates, "attacks": list(setup.attacks),
    }  # fmt: skip
