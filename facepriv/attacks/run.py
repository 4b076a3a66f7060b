"""Runs the attacks of a comparison: every attack on every attribute that an output hides.

An attack first extracts features (notes) of every face, then answers for people that it was not trained on. Everything
is cached under hashes of its inputs: notes chunk by chunk, answers attack by attack. An interrupted run resumes, and a
repeated one computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from facepriv.attacks.cross_fit import Answers, cross_fit
from facepriv.attacks.rows import adversary_rows
from facepriv.contracts import Attack, AttributeEstimator, FaceMatcher, Notes, Tools
from facepriv.evaluation.cache_keys import component_key, core_hash
from facepriv.evaluation.compare import ComparisonRun
from facepriv.evaluation.measure import SEEN
from facepriv.evaluation.outputs import ORIGINAL, OutputPlan
from facepriv.evaluation.results import MAIN_FIGURES, Comparison, Output
from facepriv.evaluation.rows import Row
from facepriv.evaluation.setup import ComparisonSetup, NoProgress, Progress
from facepriv.evaluation.truth import Truth
from facepriv.files import digest, load_arrays, save_arrays
from facepriv.metrics.folds import FOLDS
from facepriv.metrics.logistic import fit_logistic
from facepriv.pool import spread, use_one_thread
from facepriv.registry import build_estimator, build_method, wanted_labels
from facepriv.schema import ATTRIBUTES


def attack(run: ComparisonRun, progress: Progress | None = None) -> Comparison:
    """Return a comparison with the rows of every adversary in its setup.

    Raises
    ------
    FaceprivError
        If an attack fails.
    """
    setup, progress = run.setup, progress or NoProgress()
    attack_runs = {method: _plan(done, run.truth, setup) for method, done in run.plans.items()}
    for method, attack_run in attack_runs.items():
        unnoted = attack_run.unnoted
        advance = progress.stage(f"{method}: notes of adversaries", len(unnoted))
        for _ in spread(partial(_observer, attack_run), unnoted, setup.workers) if unnoted else ():
            advance(1)
    # Methods share the floor.
    unlearnt = {r.answers[target]: (r, target) for r in attack_runs.values() for target in r.unlearnt}
    pending = list(unlearnt.values())
    advance = progress.stage("training of adversaries", len(pending))
    # A single target needs no other process.
    processes = min(setup.workers, len(pending)) if len(pending) > 1 else 0
    for _ in spread(_learner, pending, processes) if pending else ():
        advance(1)
    outputs = [
        replace(output, adversaries=tuple(_adversaries(output, run, attack_runs[output.method])))
        for output in run.comparison.outputs
    ]
    return replace(run.comparison, outputs=tuple(outputs))


@dataclass(frozen=True)
class Target:
    """Target of an attack: one output of a method (or `ORIGINAL`, for the floor), one hidden attribute, one attack."""

    output: str
    attribute: str
    attack: str


@dataclass(frozen=True)
class Observation:
    """A chunk of an output's faces that an attack describes."""

    target: Target
    output: str
    file: str


@dataclass(frozen=True)
class AttackRun:
    """Attacks on the outputs of a method whose face crops are stored; can be pickled.

    Parameters
    ----------
    plan : OutputPlan
        Completed, with `OutputRun.keep_crops`.
    truth : Truth
        Labels of the same photos.
    notes : dict
        Target -> output, and `ORIGINAL` if the attack needs it -> folder of the notes.
    answers : dict
        Target -> file of the answers.
    """

    plan: OutputPlan
    truth: Truth
    notes: Mapping[Target, Mapping[str, Path]]
    answers: Mapping[Target, Path]

    @property
    def unnoted(self) -> list[Observation]:
        """Missing notes, each listed once even if several targets use it."""
        wanted = {
            folder / file: Observation(target, output, file)
            for target, folders in self.notes.items()
            for output, folder in folders.items()
            for file in self.plan.files
        }
        return [observation for path, observation in wanted.items() if not path.is_file()]

    @property
    def unlearnt(self) -> list[Target]:
        """Targets without an answer."""
        return [target for target, file in self.answers.items() if not file.is_file()]

    def attack(self, target: Target) -> Attack:
        """Build a target's attack."""
        attack: Attack = self.plan.output_run.registry.create("attack", target.attack)
        return attack

    def tools(self, attribute: str) -> Tools:
        """Build the adversary's tools for an attribute."""
        output_run = self.plan.output_run
        models = output_run.judges.build()
        method = build_method(output_run.registry, output_run.method, "cpu")
        estimators = {n: m for n, m in models.items() if isinstance(m, AttributeEstimator) and m.attribute == attribute}
        matchers = {n: m for n, m in models.items() if isinstance(m, FaceMatcher)}
        labels = {name: build_estimator(output_run.registry, name).classes for name in wanted_labels([method])}
        return Tools(attribute, method.perturber, estimators, matchers, labels, fit_logistic)

    def observe(self, observation: Observation, tools: Tools) -> None:
        """Compute and store the notes of a chunk of faces."""
        target, output, file = observation.target, observation.output, observation.file
        faces = load_arrays(self.plan.crops[output] / file)
        seen = faces["seen"]
        notes: Notes = {"seen": seen}
        if seen.any():
            images = faces["images"].astype(np.float32) / np.float32(255)
            for name, rows in self.attack(target).observe(images, tools).items():
                notes[name] = np.zeros((len(seen), *rows.shape[1:]), rows.dtype)
                notes[name][seen] = rows
        if self.attack(target).asks == "change":
            notes["turned"] = faces["turned"]
        save_arrays(self.notes[target][output] / file, notes)

    def learn(self, target: Target) -> None:
        """Train an attack on one half of the people and predict the other, in turn; store the answers."""
        notes = {
            output: load_notes([folder / file for file in self.plan.files])
            for output, folder in self.notes[target].items()
        }
        attack, tools = self.attack(target), self.tools(target.attribute)
        turned = notes[target.output].pop("turned", None)
        if turned is not None:
            turned = turned[:, list(ATTRIBUTES).index(target.attribute)]
        before = notes.get(ORIGINAL) if attack.needs_originals else None
        answers = cross_fit(attack, tools, before, notes[target.output], self.truth, target.attribute, turned)
        parts = {"models": np.array(list(answers), np.str_)}
        for n, answer in enumerate(answers.values()):
            own = {field.name: getattr(answer, field.name) for field in fields(answer)}
            parts |= {f"{n} {name}": np.asarray(value) for name, value in own.items() if value is not None}
        save_arrays(self.answers[target], parts)

    def answers_on(self, output: str, attribute: str) -> dict[str, Answers]:
        """Return attack (and model, if it has several) -> answers on an attribute of an output or of the originals."""
        found = {}
        for target, file in self.answers.items():
            if (target.output, target.attribute) == (output, attribute):
                kept = load_arrays(file)
                for n, model in enumerate(kept["models"].tolist()):
                    parts = {field.name: kept.get(f"{n} {field.name}") for field in fields(Answers)}
                    answer = Answers(**{**parts, "refused": str(parts["refused"])})
                    found[f"{target.attack}, {model}" if model else target.attack] = answer
        return found


def _plan(plan: OutputPlan, truth: Truth, setup: ComparisonSetup) -> AttackRun:
    """Return the attacks on the outputs of a method, with the cache locations of their notes and answers."""
    place = setup.place / "attacks"
    notes: dict[Target, dict[str, Path]] = {}
    answers: dict[Target, Path] = {}
    models = [f"{name} {key}" for name, key in setup.judges.keys().items()]
    for target, attack in _targets(plan, setup):
        outputs = (target.output, ORIGINAL) if attack.needs_originals else (target.output,)
        keys = {output: _notes_key(plan, target, attack, output, models) for output in outputs}
        notes[target] = {o: place / f"notes-{target.attack}-{o}-{key}" for o, key in keys.items()}
        labels = [*truth.classes[target.attribute].astype(str), *truth.subjects.tolist()]
        decided = [*keys.values(), *plan.files, *labels, core_hash(), str(FOLDS)]
        answers[target] = place / "answers" / f"{digest([target.attribute, target.attack, *decided])}.npz"
    return AttackRun(plan, truth, notes, answers)


def _targets(plan: OutputPlan, setup: ComparisonSetup) -> list[tuple[Target, Attack]]:
    """Return the targets in the outputs of a method, each with its attack."""
    judged = {judge["attribute"] for judge in setup.judges.describe().values()}
    attacks: dict[str, Attack] = {name: setup.registry.create("attack", name) for name in setup.attacks}
    targets: list[tuple[Target, Attack]] = []
    for output, request in plan.output_run.requests.items():
        asked = [name for name in request.hidden if name in judged]
        for name, attack in attacks.items():
            # Detection of protection does not depend on the hidden attribute, so it runs once.
            wanted = asked[:1] if attack.asks == "protection" else asked
            if attack.asks == "change":  # else all faces change, or all get one class
                wanted = [a for a in asked if request.policy == "random" and a not in request.targets]
            targets += [(Target(output, attribute, name), attack) for attribute in wanted]
            if attack.floor:
                targets += [(Target(ORIGINAL, attribute, name), attack) for attribute in wanted]
    return list(dict.fromkeys(targets))


def _notes_key(plan: OutputPlan, target: Target, attack: Attack, output: str, models: Sequence[str]) -> str:
    """Return a hash of everything that an output's notes depend on, except the photos."""
    descriptor = plan.output_run.registry.find("attack", target.attack)
    own = f"{descriptor.name} {component_key(descriptor)}"
    faces = [plan.crops[output].name]
    if attack.uses_method:
        faces += [plan.crops[name].name for name in sorted(plan.output_run.requests)]
    return digest([target.attribute, own, *models, *faces])


def _observer(attack_run: AttackRun) -> Callable[[Observation], None]:
    """Return a function that makes notes; it keeps the tools of the last attribute, as chunks are sorted by it."""
    use_one_thread()
    tools: Tools | None = None

    def observe(observation: Observation) -> None:
        nonlocal tools
        if tools is None or tools.attribute != observation.target.attribute:
            tools = attack_run.tools(observation.target.attribute)
            use_one_thread()  # a plugin may have imported torch
        attack_run.observe(observation, tools)

    return observe


def _learner() -> Callable[[tuple[AttackRun, Target]], None]:
    """Return a function that trains the attack of one target."""
    use_one_thread()
    return lambda pending: pending[0].learn(pending[1])


def load_notes(files: Sequence[Path]) -> Notes:
    """Join the notes of chunks; a chunk without any face has only ``seen``, and is padded to the other arrays."""
    parts = [load_arrays(file) for file in files]
    # Without a face in any photo only `seen` remains: too few to learn from, which `cross_fit` reports.
    examples = max(parts, key=len)
    return {
        name: np.concatenate(
            [part.get(name, np.zeros((len(part["seen"]), *rows.shape[1:]), rows.dtype)) for part in parts]
        )
        for name, rows in examples.items()
    }


def _adversaries(output: Output, run: ComparisonRun, attack_run: AttackRun) -> list[Row]:
    """Return the rows of all adversaries on the attributes that an output hides."""
    predictions = run.predictions[output.method]
    rows: list[Row] = []
    for name in output.hidden:
        answers, floor = (attack_run.answers_on(made, name) for made in (output.name, ORIGINAL))
        if answers:
            # An adversary has all estimators, seen or not; only those too weak on the originals are excluded.
            figures = output.pick(MAIN_FIGURES[name])
            able = [row.evaluator for row in figures if row.counts or row.note.startswith(SEEN)]
            sides = predictions[ORIGINAL], predictions[output.name]
            rows += adversary_rows(name, run.truth, *sides, able, answers, floor, replicates=run.setup.replicates)
    return rows
