"""Runs attacks on one method's outputs: the features (notes) of every face, and answers for people not trained on.

Everything is cached under hashes of its inputs: notes chunk by chunk, answers attack by attack. An interrupted run
resumes, and a repeated one computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.logistic import fit_logistic, people_folds
from facepriv.contracts import Attack, AttributeEstimator, FaceMatcher, Known, Notes, Tools, taken
from facepriv.errors import FaceprivError, PluginError, one_line
from facepriv.evaluation.cache_keys import component_key, core_hash, judge_key
from facepriv.evaluation.crops import load_crops
from facepriv.evaluation.judges import Judges
from facepriv.evaluation.outputs import ORIGINAL, OutputPlan
from facepriv.evaluation.truth import Truth
from facepriv.files import digest, load_arrays, save_arrays
from facepriv.pool import spread, use_one_thread
from facepriv.registry import build_estimator, build_method, wanted_labels

#: Number of folds of people; each fold is predicted by a model trained on the others.
FOLDS = 2
# Minimum number of faces of a class in the training folds.
_LEAST = 5


@dataclass(frozen=True)
class Target:
    """Target of an attack: one output of a method, one hidden attribute, one attack."""

    output: str
    attribute: str
    attack: str


@dataclass(frozen=True)
class Answers:
    """Predictions of an attack on N photos, each by a model trained on other people; NaN where no face was found.

    Parameters
    ----------
    protected : ndarray
        (N, K) probabilities of the classes; for a detector (N,) that the protected face is protected.
    original : ndarray or None
        For a detector, (N,) probability that the original is protected.
    refused : str
        Why there is no answer, or empty.
    """

    protected: NDArray[np.float64]
    original: NDArray[np.float64] | None = None
    refused: str = ""


@dataclass(frozen=True)
class AttackRun:
    """Attacks on the outputs of a method whose face crops are stored; can be pickled. See `plan_attacks`.

    Parameters
    ----------
    plan : OutputPlan
    truth : Truth
    judges : Judges
    notes : dict
        Target -> output, and `ORIGINAL` if the attack needs it -> folder of the notes.
    answers : dict
        Target -> file of the answers.
    """

    plan: OutputPlan
    truth: Truth
    judges: Judges
    notes: Mapping[Target, Mapping[str, Path]]
    answers: Mapping[Target, Path]

    def note(self, *, workers: int = 1, progress: Callable[[int], None] = lambda count: None) -> None:
        """Compute missing notes in `workers` processes (0: this one); the number does not change results."""
        todo = self.unnoted
        for _ in spread(partial(_AttackObserver, self), todo, workers) if todo else ():
            progress(1)

    @property
    def unlearnt(self) -> list[Target]:
        """Targets without an answer."""
        return [target for target, file in self.answers.items() if not file.is_file()]

    def said(self) -> dict[Target, Answers]:
        """Return all answers."""
        return {target: _load(file) for target, file in self.answers.items()}

    def attack(self, target: Target) -> Attack:
        """Build a target's attack."""
        attack: Attack = self.plan.output_run.registry.create("attack", target.attack)
        return attack

    @property
    def unnoted(self) -> list[_Task]:
        """Missing notes, each listed once even if several targets use it."""
        wanted = {
            folder / file: _Task(target, output, file)
            for target, folders in self.notes.items()
            for output, folder in folders.items()
            for file in self.plan.files
        }
        return [task for path, task in wanted.items() if not path.is_file()]

    def tools(self, target: Target) -> Tools:
        """Build the adversary's tools."""
        known, models = self.plan.output_run.registry, self.judges.build()
        method = build_method(known, self.plan.output_run.method, "cpu")
        estimators = {n: m for n, m in models.items() if _tells(m, target.attribute)}
        matchers = {n: m for n, m in models.items() if isinstance(m, FaceMatcher)}
        labels = {name: build_estimator(known, name).classes for name in wanted_labels([method])}
        return Tools(target.attribute, method.perturber, estimators, matchers, labels, fit_logistic)

    def learn(self, target: Target) -> None:
        """Train an attack on one half of the people and predict the other, in turn; store the answers."""
        attack, tools = self.attack(target), self.tools(target)
        folders = self.notes[target]
        after = _load_notes([folders[target.output] / file for file in self.plan.files])
        before = _load_notes([folders[ORIGINAL] / file for file in self.plan.files]) if ORIGINAL in folders else None
        answers = cross_fit(attack, tools, before, after, self.truth, target.attribute)
        parts = {"protected": answers.protected, "refused": np.array(answers.refused)}
        if answers.original is not None:
            parts["original"] = answers.original
        save_arrays(self.answers[target], parts)


def plan_attacks(plan: OutputPlan, truth: Truth, targets: Sequence[Target], judges: Judges, place: Path) -> AttackRun:
    """Return the attack run with the cache locations of its notes and answers.

    Parameters
    ----------
    plan : OutputPlan
        Completed, with `OutputRun.keep_crops`.
    truth : Truth
        Labels of the same photos.
    judges : Judges
        The classifiers and matchers that the adversary has.
    place : Path
        Folder for notes and answers, stored under hashes of their inputs.
    """
    notes: dict[Target, dict[str, Path]] = {}
    answers: dict[Target, Path] = {}
    models = {name: f"{name} {judge_key(plan.output_run.registry, 'estimator', name)}" for name in judges.estimators}
    models |= {name: f"{name} {judge_key(plan.output_run.registry, 'matcher', name)}" for name in judges.matchers}
    for target in targets:
        attack: Attack = plan.output_run.registry.create("attack", target.attack)
        outputs = (target.output, ORIGINAL) if attack.needs_originals else (target.output,)
        keys = {output: _notes_key(plan, target, attack, output, list(models.values())) for output in outputs}
        notes[target] = {o: place / f"notes-{target.attack}-{o}-{key}" for o, key in keys.items()}
        labels = [*truth.classes[target.attribute].astype(str), *truth.subjects.tolist()]
        decided = [*keys.values(), *plan.files, *labels, core_hash(), str(FOLDS)]
        answers[target] = place / "answers" / f"{digest([target.attribute, target.attack, *decided])}.npz"
    return AttackRun(plan, truth, judges, notes, answers)


def _notes_key(plan: OutputPlan, target: Target, attack: Attack, output: str, models: list[str]) -> str:
    """Return a hash of everything that an output's notes depend on, except the photos."""
    descriptor = plan.output_run.registry.find("attack", target.attack)
    own = f"{descriptor.name} {component_key(descriptor)}"
    faces = [plan.crops[output].name]
    if attack.uses_method:
        faces += [plan.crops[name].name for name in sorted(plan.output_run.requests)]
    return digest([target.attribute, own, *models, *faces])


@dataclass(frozen=True)
class _Task:
    """A chunk of an output's faces whose notes are to be computed."""

    target: Target
    output: str
    file: str


def cross_fit(
    attack: Attack, tools: Tools, before: Notes | None, after: Notes, truth: Truth, attribute: str
) -> Answers:
    """Predict every person with a model of the attack trained on the other folds.

    Parameters
    ----------
    before, after : dict
        Notes of N originals (None if not needed) and of N protected faces; ``seen`` (N,) bool is True where a face was
        found, other values are undefined elsewhere.

    Raises
    ------
    PluginError
        If the attack fails, or its answers are not probabilities.
    """
    classes = truth.classes[attribute]
    detects = attack.asks == "protection"
    folds = people_folds(truth.subjects, classes, FOLDS)
    usable = after["seen"] if before is None else after["seen"] & before["seen"]
    study = usable if detects else usable & (classes >= 0)
    width = 2 if detects else tools.classes
    protected = np.full((len(classes), width), np.nan)
    original = np.full((len(classes), width), np.nan)
    taught = [classes[study & (folds != fold)] * (not detects) for fold in range(FOLDS)]
    if any(np.count_nonzero(np.bincount(c) >= _LEAST) < (1 if detects else 2) for c in taught):
        text = f"too few faces to learn {'protection' if detects else attribute} from: each half needs {_LEAST} a class"
        return Answers(protected[:, 0] if detects else protected, original[:, 0] if detects else None, text)
    notes, old = _without_seen(after), _without_seen(before or {})
    for fold in range(FOLDS):
        rows = study & (folds != fold)
        known = Known(taken(old, rows), taken(notes, rows), classes[rows] * (not detects), truth.subjects[rows])
        asked = (folds == fold) & after["seen"]
        try:
            answer = attack.learn(known, tools)
            protected[asked] = _checked(answer(taken(notes, asked)), int(asked.sum()), width)
            if detects and before is not None:
                asked = (folds == fold) & before["seen"]
                original[asked] = _checked(answer(taken(old, asked)), int(asked.sum()), width)
        except FaceprivError:
            raise
        except Exception as error:  # a plugin may raise anything
            raise PluginError(f"attack '{type(attack).__name__}' failed: {one_line(error)}") from error
    return Answers(protected[:, 1], original[:, 1]) if detects else Answers(protected)


def _checked(said: NDArray[np.float64], count: int, width: int) -> NDArray[np.float64]:
    said = np.asarray(said, np.float64)
    if said.shape != (count, width) or not np.isfinite(said).all():
        raise PluginError(f"an attack answered {said.shape}, expected ({count}, {width}) finite probabilities")
    return said


class _AttackObserver:
    """Computes notes of chunks of faces; caches the tools of the last attribute, as tasks are sorted by it."""

    def __init__(self, attack_run: AttackRun) -> None:
        use_one_thread()
        self.attack_run = attack_run
        self.tools: tuple[str, Tools] | None = None

    def __call__(self, task: _Task) -> None:
        attack_run = self.attack_run
        if self.tools is None or self.tools[0] != task.target.attribute:
            self.tools = (task.target.attribute, attack_run.tools(task.target))
            use_one_thread()  # a plugin may have imported torch
        crops = load_crops(attack_run.plan.crops[task.output] / task.file)
        found = [crop for crop in crops if not isinstance(crop, str)]
        seen = np.array([not isinstance(crop, str) for crop in crops])
        notes: Notes = {"seen": seen}
        if found:
            images = np.stack(found).astype(np.float32) / np.float32(255)
            for name, rows in attack_run.attack(task.target).observe(images, self.tools[1]).items():
                notes[name] = np.zeros((len(seen), *rows.shape[1:]), rows.dtype)
                notes[name][seen] = rows
        save_arrays(attack_run.notes[task.target][task.output] / task.file, notes)


def learn_all(attack_runs: Sequence[AttackRun], *, workers: int, progress: Callable[[int], None]) -> None:
    """Compute missing answers of several runs in `workers` processes (0: this one); results do not depend on it."""
    pending = [(attack_run, target) for attack_run in attack_runs for target in attack_run.unlearnt]
    # A single target needs no other process.
    processes = min(workers, len(pending)) if len(pending) > 1 else 0
    for _ in spread(_AttackLearner, pending, processes) if pending else ():
        progress(1)


class _AttackLearner:
    """Trains the attack of one target at a time."""

    def __init__(self) -> None:
        use_one_thread()

    def __call__(self, target_of_run: tuple[AttackRun, Target]) -> None:
        attack_run, target = target_of_run
        attack_run.learn(target)


def _load_notes(files: Sequence[Path]) -> Notes:
    """Join the notes of chunks; a chunk without any face has only ``seen``, and is padded to the other arrays."""
    parts = [load_arrays(file) for file in files]
    full = next((part for part in parts if len(part) > 1), None)
    if full is None:  # no face in any photo: too few to learn from, which the caller reports
        return {"seen": np.concatenate([part["seen"] for part in parts])}
    joined: Notes = {}
    for name, rows in full.items():
        empty = {id(p): np.zeros((len(p["seen"]), *rows.shape[1:]), rows.dtype) for p in parts if name not in p}
        joined[name] = np.concatenate([part.get(name, empty.get(id(part))) for part in parts])
    return joined


def _load(file: Path) -> Answers:
    kept = load_arrays(file)
    return Answers(kept["protected"], kept.get("original"), str(kept["refused"]))


def _without_seen(notes: Mapping[str, NDArray[np.generic]]) -> Notes:
    return {name: rows for name, rows in notes.items() if name != "seen"}


def _tells(model: object, attribute: str) -> bool:
    return isinstance(model, AttributeEstimator) and model.attribute == attribute
