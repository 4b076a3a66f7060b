"""Runs attacks on one method's outputs: what each noted of every face, and what it answers for people it never met.

Everything is kept under hashes of what decides it: notes chunk by chunk, answers attack by attack, so that an
interrupted run goes on and a repeated one computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.base import Attack, Known, Notes, Tools, taken
from facepriv.attacks.logistic import people_folds
from facepriv.components import build_estimator, build_method, wanted_labels
from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.engines.chunk import use_one_thread
from facepriv.errors import DataError, FaceprivError, PluginError, one_line
from facepriv.evaluate import Judges, load_looks, save_looks, spread
from facepriv.evaluation.looks import judge_key
from facepriv.fingerprints import CODE, digest, package_hash, target_hash
from facepriv.outcomes import Truth
from facepriv.trial import ORIGINAL, Plan, load_crops

#: People are dealt into so many folds; those of one are answered by what was learnt from the others.
FOLDS = 2
# Fewer faces than this of a class, in all folds but one, teach nothing.
_LEAST = 5


@dataclass(frozen=True)
class Target:
    """What is attacked: one output of a method, one attribute hidden in it, one attack."""

    output: str
    attribute: str
    attack: str


@dataclass(frozen=True)
class Answers:
    """What an attack said of N photos, each by what it learnt from other people; NaN where no face was found.

    Parameters
    ----------
    protected : ndarray
        (N, K) probabilities of the classes; of a detector (N,) that the protected face is protected.
    original : ndarray or None
        Of a detector, (N,) that the original is protected.
    refused : str
        Why there is no answer, or nothing.
    """

    protected: NDArray[np.float64]
    original: NDArray[np.float64] | None = None
    refused: str = ""


@dataclass(frozen=True)
class Siege:
    """Attacks on the outputs of a method whose faces are kept; travels to other processes.

    Parameters
    ----------
    plan : Plan
        Run already, with `Trial.keep_crops`.
    truth : Truth
        Of the same photos.
    targets : tuple of Target
    judges : Judges
        The classifiers and matchers that the adversary has.
    place : Path
        Where notes and answers are kept.
    """

    plan: Plan
    truth: Truth
    targets: tuple[Target, ...]
    judges: Judges
    place: Path

    def run(self, *, workers: int = 1, progress: Callable[[int], None] = lambda count: None) -> dict[Target, Answers]:
        """Note what is missing, learn what is missing, and return all answers.

        Parameters
        ----------
        workers : int
            Processes; 0 works in this one. The number changes no result.
        progress : callable, optional
            Told how many tasks of `missing` are done.
        """
        notes = self._missing_notes()
        for _ in spread(partial(_Observer, self), notes, workers) if notes else ():
            progress(1)
        lessons = [target for target in self.targets if not self._answers_file(target).is_file()]
        # Alone it needs no other process; more than there are lessons help nobody.
        hands = min(workers, len(lessons)) if len(lessons) > 1 else 0
        for _ in spread(partial(_Learner, self), lessons, hands) if lessons else ():
            progress(1)
        return {target: _load(self._answers_file(target)) for target in self.targets}

    @property
    def missing(self) -> int:
        """How many chunks are to be noted and targets to be learnt."""
        return len(self._missing_notes()) + sum(not self._answers_file(target).is_file() for target in self.targets)

    def attack(self, target: Target) -> Attack:
        """Build the attack of a target."""
        attack: Attack = self.plan.trial.registry.create("attack", target.attack)
        return attack

    def folders(self, target: Target) -> dict[str, Path]:
        """Return where the notes lie that an attack takes: of the output, and of the originals if it asks for them."""
        outputs = (target.output, ORIGINAL) if self.attack(target).needs_originals else (target.output,)
        return {
            output: self.place / f"notes-{target.attack}-{output}-{self._key(target, output)}" for output in outputs
        }

    def _missing_notes(self) -> list[_Task]:
        """Return what is to be noted, each once, however many targets take it."""
        wanted = {
            folder / file: _Task(target, output, file)
            for target in self.targets
            for output, folder in self.folders(target).items()
            for file in self.plan.files
        }
        return [task for path, task in wanted.items() if not path.is_file()]

    def _key(self, target: Target, output: str) -> str:
        """Return a hash of all that decides the notes of an output, but the photos."""
        known = self.plan.trial.registry
        attack = known.find("attack", target.attack)
        parts = [f"{attack.name} {sorted(attack.options.items())} {target_hash(attack.target)}"]
        parts += [f"{name} {judge_key(known, 'estimator', name)}" for name in self.estimators(target.attribute)]
        parts += [f"{name} {judge_key(known, 'matcher', name)}" for name in self.judges.matchers]
        faces = [self.plan.crops[output].name]
        if self.attack(target).uses_method:
            faces += [self.plan.crops[name].name for name in sorted(self.plan.trial.requests)]
        return digest([target.attribute, *parts, *faces])

    def _answers_file(self, target: Target) -> Path:
        places = sorted(str(folder.name) for folder in self.folders(target).values())
        truth = [*self.truth.classes[target.attribute].astype(str), *self.truth.subjects.tolist()]
        code = [package_hash("facepriv.attacks", CODE), str(FOLDS)]
        return self.place / "answers" / f"{digest([*places, *self.plan.files, *truth, *code])}.npz"

    def estimators(self, attribute: str) -> tuple[str, ...]:
        """Return those of the judges that tell this attribute."""
        known = self.plan.trial.registry
        return tuple(name for name in self.judges.estimators if attribute in known.find("estimator", name).attributes)

    def tools(self, target: Target) -> Tools:
        """Build what the adversary has."""
        known, models = self.plan.trial.registry, self.judges.build()
        method = build_method(known, self.plan.trial.method, "cpu")
        estimators = {n: m for n, m in models.items() if _tells(m, target.attribute)}
        matchers = {n: m for n, m in models.items() if isinstance(m, FaceMatcher)}
        labels = {name: build_estimator(known, name) for name in wanted_labels([method])}
        return Tools(target.attribute, method.perturber, estimators, matchers, labels)

    def learn(self, target: Target) -> Answers:
        """Let an attack study one half of the people and answer for the other, in turn."""
        attack, tools = self.attack(target), self.tools(target)
        folders = self.folders(target)
        after = _load_notes([folders[target.output] / file for file in self.plan.files])
        before = _load_notes([folders[ORIGINAL] / file for file in self.plan.files]) if ORIGINAL in folders else None
        return cross_fit(attack, tools, before, after, self.truth, target.attribute)

    def keep(self, target: Target, answers: Answers) -> None:
        """Keep what an attack said."""
        parts = {"protected": answers.protected, "refused": np.array(answers.refused)}
        if answers.original is not None:
            parts["original"] = answers.original
        save_looks(self._answers_file(target), parts)


@dataclass(frozen=True)
class _Task:
    """A chunk of an output's faces that an attack is to note."""

    target: Target
    output: str
    file: str


def cross_fit(
    attack: Attack, tools: Tools, before: Notes | None, after: Notes, truth: Truth, attribute: str
) -> Answers:
    """Let an attack answer for every person by what it learnt from people of other folds.

    Parameters
    ----------
    before, after : dict
        Notes of N originals (None: it asks for none) and of N protected faces; ``seen`` (N,) bool tells where a face
        was found, the rest holds any value elsewhere.

    Raises
    ------
    PluginError
        If the attack fails, or answers something else than probabilities.
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


class _Observer:
    """Notes chunks of faces; keeps the tools of the last attribute, since tasks come sorted by it."""

    def __init__(self, siege: Siege) -> None:
        use_one_thread()
        self.siege = siege
        self.tools: tuple[str, Tools] | None = None
        for target in siege.targets:  # what cannot be built is said now
            siege.attack(target)

    def __call__(self, task: _Task) -> None:
        siege = self.siege
        if self.tools is None or self.tools[0] != task.target.attribute:
            self.tools = (task.target.attribute, siege.tools(task.target))
            use_one_thread()  # a plugin may have brought torch in
        crops = load_crops(siege.plan.crops[task.output] / task.file)
        found = [crop for crop in crops if not isinstance(crop, str)]
        seen = np.array([not isinstance(crop, str) for crop in crops])
        notes: Notes = {"seen": seen}
        if found:
            images = np.stack(found).astype(np.float32) / np.float32(255)
            for name, rows in siege.attack(task.target).observe(images, self.tools[1]).items():
                notes[name] = np.zeros((len(seen), *rows.shape[1:]), rows.dtype)
                notes[name][seen] = rows
        save_looks(siege.folders(task.target)[task.output] / task.file, notes)


class _Learner:
    """Learns targets."""

    def __init__(self, siege: Siege) -> None:
        use_one_thread()
        self.siege = siege

    def __call__(self, target: Target) -> None:
        self.siege.keep(target, self.siege.learn(target))


def _load_notes(files: Sequence[Path]) -> Notes:
    """Join the notes of chunks; one without any face has none but ``seen``, and is filled up."""
    parts = [load_looks(file) for file in files]
    full = next((part for part in parts if len(part) > 1), None)
    if full is None:
        raise DataError("no face was found in any photo: there is nothing to attack")
    joined: Notes = {}
    for name, rows in full.items():
        empty = {id(p): np.zeros((len(p["seen"]), *rows.shape[1:]), rows.dtype) for p in parts if name not in p}
        joined[name] = np.concatenate([part.get(name, empty.get(id(part))) for part in parts])
    return joined


def _load(file: Path) -> Answers:
    kept = load_looks(file)
    return Answers(kept["protected"], kept.get("original"), str(kept["refused"]))


def _without_seen(notes: Mapping[str, NDArray[np.generic]]) -> Notes:
    return {name: rows for name, rows in notes.items() if name != "seen"}


def _tells(model: object, attribute: str) -> bool:
    return isinstance(model, AttributeEstimator) and model.attribute == attribute
