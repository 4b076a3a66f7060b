"""A classifier retrained on protected faces of other people.

The adversary protects photos of people whose class is known, with the public method, and learns from the result:

1. If a fixed change of colours explains much of what the method did, the attack undoes it first (`recolouring`).
2. A logistic regression is fitted on the outputs of every available classifier and matcher for the protected faces. A
   systematic error of a classifier is informative, and descriptors that identify people also encode gender. The weight
   relative to the unmodified classifiers is chosen by cross-validation over people.
3. A classifier's network is fine-tuned, all layers, on the protected faces.
4. People left out of 2 and 3 determine the weight of each. If they are too few to cover every class, only 2 is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.evidence import descriptors, evidence, log_odds
from facepriv.attacks.pixels import as_tensor, small_pixels
from facepriv.attacks.recolouring import ColourMap, gain, learn_colours
from facepriv.contracts import Answer, Attack, AttributeEstimator, Images, Known, Notes, Tools
from facepriv.errors import UsageError
from facepriv.metrics.folds import people_folds
from facepriv.metrics.logistic import balance, fit_logistic

#: Colours are undone if that removes at least this share of the difference to the originals.
WORTH = 0.25
# Number of folds of the training people; one is held out to weight the models.
_FOLDS = 4
_BATCH = 16

Model = Callable[[Notes], NDArray[np.float64]]


class Retrained(Attack):
    """Learns from protected faces of other people.

    Parameters
    ----------
    epochs : float
        Training epochs of the network; 0 disables it.
    trunk : str
        The classifier whose network is fine-tuned; by default the first that offers one.
    rate : float
        Learning rate (AdamW, with cosine decay to 0).
    seed : int
    """

    needs_originals = True
    sizes = (100, 300, 1000)

    def __init__(self, epochs: float = 3.0, trunk: str = "", rate: float = 2e-4, seed: int = 0) -> None:
        self.epochs, self.trunk, self.rate, self.seed = epochs, trunk, rate, seed

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return small copies of the faces, see `small_pixels`, and the outputs of classifiers and matchers."""
        described = descriptors(images, tools.matchers).values()
        return {
            "pixels": small_pixels(images),
            "evidence": evidence(images, tools.estimators),
            "described": np.concatenate([np.zeros((len(images), 0)), *described], axis=1),
        }

    def learn(self, known: Known, tools: Tools) -> Answer:
        """Undo colours, train and weight the models; see the module."""
        left_out = people_folds(known.subjects, known.classes, _FOLDS) == 0
        study, rest = known.take(~left_out), known.take(left_out)
        if any(len(np.unique(part.classes)) < len(np.unique(known.classes)) for part in (study, rest)):
            return _frozen(known.after, known, tools.classes)
        colours = _colours(study, rest)
        prepare = partial(_prepared, colours=colours, estimators=tools.estimators)
        study_notes, rest_notes = prepare(study.after), prepare(rest.after)
        models = [_frozen(study_notes, study, tools.classes)]
        if self.epochs and (trunk := self._trunk(tools.estimators)) is not None:
            models.append(self._tuned(trunk, study_notes["pixels"], study.classes, tools.classes))
        if len(models) == 1:
            return _after(prepare, _frozen(prepare(known.after), known, tools.classes))
        weigh = fit_logistic(_answers(models, rest_notes), rest.classes, rest.subjects, tools.classes)
        # The weights are set; refit the cheap model on all people, including those held out.
        models[0] = _frozen(prepare(known.after), known, tools.classes)
        return _after(prepare, lambda notes: weigh(_answers(models, notes)))

    def _trunk(self, estimators: Mapping[str, AttributeEstimator]) -> Any:
        """Return a copy of a classifier's network to train, or None if no classifier offers one."""
        if self.trunk and self.trunk not in estimators:
            raise UsageError(f"retrained.trunk: '{self.trunk}' is none of {', '.join(estimators)}")
        for name in [self.trunk] if self.trunk else estimators:
            module = estimators[name].torch_module()
            if module is not None:
                # Keep the batch statistics of the original training: our batches are small and uniform.
                return copy.deepcopy(module).eval().requires_grad_(True)
        if self.trunk:
            raise UsageError(f"retrained.trunk: '{self.trunk}' offers no network to train")
        return None

    def _tuned(self, net: Any, pixels: NDArray[np.uint8], classes: NDArray[np.int64], count: int) -> Model:
        """Train a network on crops (N, SIDE, SIDE, 3) and their classes (N,); returns it as a model."""
        import torch
        from torch.nn import functional as F

        from facepriv.training.augment import Augmentation

        augment = Augmentation(rotate=6, shift=0.03, scale=0.05, light=0.15, colour=0.0, smallest=1.0, noise=0, grey=0)
        steps = max(1, round(self.epochs * len(pixels) / _BATCH))
        weights = torch.from_numpy(balance(classes, count) * len(classes)).float()
        optimiser = torch.optim.AdamW(net.parameters(), lr=self.rate, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        rng = np.random.default_rng(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for _ in range(steps):
                rows = rng.choice(len(pixels), min(_BATCH, len(pixels)), replace=False)
                logits = net(augment(as_tensor(pixels[rows]))).float()
                loss = (
                    weights[rows] * F.cross_entropy(logits, torch.from_numpy(classes[rows]), reduction="none")
                ).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        net.requires_grad_(False)

        def answer(notes: Notes) -> NDArray[np.float64]:
            with torch.inference_mode():
                x = [as_tensor(notes["pixels"][n : n + 1]) for n in range(len(notes["pixels"]))]
                p = [(net(face).softmax(1) + net(face.flip(3)).softmax(1)) / 2 for face in x]
                return torch.cat(p).double().numpy()

        return answer


def _colours(study: Known, rest: Known) -> ColourMap | None:
    """Return the map that undoes a fixed change of colours, or None; held-out people decide whether it helps."""
    found = learn_colours(study.after["pixels"], study.before["pixels"])
    return found if gain(found, rest.after["pixels"], rest.before["pixels"]) >= WORTH else None


def _prepared(
    notes: Notes, *, colours: ColourMap | None, estimators: Mapping[str, AttributeEstimator]
) -> dict[str, NDArray[Any]]:
    """Return notes with the colours undone, plus the classifiers' evidence on the result."""
    if colours is None:
        return notes
    pixels = colours(notes["pixels"])
    again = [evidence(p[None].astype(np.float32) / np.float32(255), estimators)[0] for p in pixels]
    return {**notes, "pixels": pixels, "evidence": np.concatenate([notes["evidence"], np.stack(again)], axis=1)}


def _frozen(notes: Notes, known: Known, count: int) -> Model:
    """Fit a logistic regression on all outputs, and a second one that combines it with the classifiers alone."""
    everything = _everything(notes)
    model = fit_logistic(everything, known.classes, known.subjects, count)
    folds = people_folds(known.subjects, known.classes, _FOLDS)
    if len(np.unique(folds)) < 2:  # a single person with several ages: no other fold for validation
        return lambda other: model(_everything(other))
    unmet = np.empty((len(folds), count))
    for fold in np.unique(folds):
        out = folds == fold
        unmet[out] = fit_logistic(everything[~out], known.classes[~out], known.subjects[~out], count)(everything[out])
    weigh = fit_logistic(_beside(notes, unmet), known.classes, known.subjects, count)
    return lambda other: weigh(_beside(other, model(_everything(other))))


def _everything(notes: Notes) -> NDArray[np.float64]:
    return np.concatenate([notes["evidence"], notes["described"]], axis=1)


def _beside(notes: Notes, answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the classifiers' predictions and a model's answers (N, K) as evidence (N, D)."""
    return np.concatenate([notes["evidence"], log_odds(answers)], axis=1)


def _answers(models: list[Model], notes: Notes) -> NDArray[np.float64]:
    """Return the models' answers as evidence (N, D)."""
    return np.concatenate([log_odds(model(notes)) for model in models], axis=1)


def _after(prepare: Callable[[Notes], Notes], model: Model) -> Answer:
    return lambda notes: model(prepare(notes))
