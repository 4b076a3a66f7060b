"""A classifier retrained on protected faces of other people.

The adversary protects photos of people whose class is known, with the public method, and learns from the result:

1. where one fixed change of colours explains much of what the method did, it is undone first (`recolouring`);
2. a logistic regression on what every classifier and matcher at hand says of the protected faces: what misleads a
   classifier in a steady way informs this one, and a descriptor that tells people apart tells their gender; how far
   it is believed beside the classifiers as they are, people whom it has not met decide, everybody in turn;
3. a classifier's network is trained on, all of it, on the protected faces;
4. people left out of 2 and 3 decide how much each is believed; where these are too few to show every class, 2 stands
   alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepriv.attacks.base import evidence, log_odds
from facepriv.attacks.logistic import balance, fit_logistic, people_folds
from facepriv.attacks.recolouring import ColourMap, gain, learn_colours
from facepriv.contracts import Answer, Attack, AttributeEstimator, Images, Known, Notes, Tools, resize_images
from facepriv.errors import UsageError
from facepriv.evaluation.answers import judged

#: Side of the faces that the network is trained on, in pixels.
SIDE = 112
#: Colours are undone where that brings protected faces so much nearer to their originals.
WORTH = 0.25
# Of this many folds of the people studied, one decides whom to believe.
_FOLDS = 4
_BATCH = 16

Model = Callable[[Notes], NDArray[np.float64]]


class Retrained(Attack):
    """Learns from protected faces of other people.

    Parameters
    ----------
    epochs : float
        Passes over the faces that the network makes; 0 trains none.
    trunk : str
        The classifier whose network is trained on; by default the first that offers one.
    rate : float
        Learning rate (AdamW, falling to nothing along a cosine).
    seed : int
    """

    needs_originals = True

    def __init__(self, epochs: float = 3.0, trunk: str = "", rate: float = 2e-4, seed: int = 0) -> None:
        self.epochs, self.trunk, self.rate, self.seed = epochs, trunk, rate, seed

    def observe(self, images: Images, tools: Tools) -> Notes:
        """Return the faces at `SIDE` pixels, uint8, and what classifiers and matchers say of them."""
        small = np.clip(resize_images(images, SIDE), 0, 1)
        described = [judged(matcher, images) for matcher in tools.matchers.values()]
        return {
            "pixels": np.rint(small * 255).astype(np.uint8),
            "said": evidence(images, tools.estimators),
            "described": np.nan_to_num(np.concatenate([np.zeros((len(images), 0)), *described], axis=1)),
        }

    def learn(self, known: Known, tools: Tools) -> Answer:
        """Undo colours, train, and weigh; see the module."""
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
        # Whom to believe is settled; the cheap one may now learn from the people left out, too.
        models[0] = _frozen(prepare(known.after), known, tools.classes)
        return _after(prepare, lambda notes: weigh(_answers(models, notes)))

    def _trunk(self, estimators: Mapping[str, AttributeEstimator]) -> Any:
        """Return a network of our own to train: a copy of a classifier's, or None where none offers one."""
        if self.trunk and self.trunk not in estimators:
            raise UsageError(f"retrained.trunk: '{self.trunk}' is none of {', '.join(estimators)}")
        for name in [self.trunk] if self.trunk else estimators:
            module = estimators[name].torch_module()
            if module is not None:
                # Statistics of whole batches stay those of its own training: ours are small, and all of one kind.
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
                said = net(augment(_tensor(pixels[rows]))).float()
                loss = (weights[rows] * F.cross_entropy(said, torch.from_numpy(classes[rows]), reduction="none")).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        net.requires_grad_(False)

        def answer(notes: Notes) -> NDArray[np.float64]:
            with torch.inference_mode():
                x = [_tensor(notes["pixels"][n : n + 1]) for n in range(len(notes["pixels"]))]
                said = [(net(face).softmax(1) + net(face.flip(3)).softmax(1)) / 2 for face in x]
                return torch.cat(said).double().numpy()

        return answer


def _tensor(pixels: NDArray[np.uint8]) -> Any:
    """Return crops (N, S, S, 3) uint8 as a tensor (N, 3, S, S) in [0, 1]."""
    import torch

    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))


def _colours(study: Known, rest: Known) -> ColourMap | None:
    """Return the map that undoes a fixed change of colours, if there was one: other people's faces say so."""
    found = learn_colours(study.after["pixels"], study.before["pixels"])
    return found if gain(found, rest.after["pixels"], rest.before["pixels"]) >= WORTH else None


def _prepared(
    notes: Notes, *, colours: ColourMap | None, estimators: Mapping[str, AttributeEstimator]
) -> dict[str, NDArray[Any]]:
    """Return notes with their colours undone and looked at again."""
    if colours is None:
        return notes
    pixels = colours(notes["pixels"])
    again = [evidence(p[None].astype(np.float32) / np.float32(255), estimators)[0] for p in pixels]
    return {**notes, "pixels": pixels, "said": np.concatenate([notes["said"], np.stack(again)], axis=1)}


def _frozen(notes: Notes, known: Known, count: int) -> Model:
    """Fit a logistic regression on all that was said, and another that weighs it beside the classifiers alone."""
    everything = _everything(notes)
    model = fit_logistic(everything, known.classes, known.subjects, count)
    folds = people_folds(known.subjects, known.classes, _FOLDS)
    if len(np.unique(folds)) < 2:  # one person alone, of several ages: nobody is left to decide
        return lambda other: model(_everything(other))
    unmet = np.empty((len(folds), count))
    for fold in np.unique(folds):
        out = folds == fold
        unmet[out] = fit_logistic(everything[~out], known.classes[~out], known.subjects[~out], count)(everything[out])
    weigh = fit_logistic(_beside(notes, unmet), known.classes, known.subjects, count)
    return lambda other: weigh(_beside(other, model(_everything(other))))


def _everything(notes: Notes) -> NDArray[np.float64]:
    return np.concatenate([notes["said"], notes["described"]], axis=1)


def _beside(notes: Notes, answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what classifiers say, and a model's answers (N, K), as evidence (N, D)."""
    return np.concatenate([notes["said"], log_odds(answers)], axis=1)


def _answers(models: list[Model], notes: Notes) -> NDArray[np.float64]:
    """Return the models' answers as evidence (N, D)."""
    return np.concatenate([log_odds(model(notes)) for model in models], axis=1)


def _after(prepare: Callable[[Notes], Notes], model: Model) -> Answer:
    return lambda notes: model(prepare(notes))
