"""Validation during training: figures on the validation part, and a grid of samples for visual inspection.

The estimator here is a probe that learns on real faces only and does not train the generator. Training never uses test
sets or the evaluators of the final evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from facepriv.metrics.attributes import binary_eer
from facepriv.metrics.matching import PROTECTED, Matching
from facepriv.schema import AGE, ATTRIBUTES, RACE_PAIRS, selections
from facepriv.training.faces import Faces, Labels
from facepriv.training.ordinal import YEARS, years_from
from facepriv.training.validation import batched, similarity
from facepriv_privacynet.data import TYPICAL_YEARS
from facepriv_privacynet.networks import encode

_CLASSES = ("gender", "race")


class Gain(nn.Module):
    """A generator with its change multiplied by `gain`: a smaller gain hides less and affects a matcher less."""

    def __init__(self, generator: nn.Module, gain: float) -> None:
        super().__init__()
        self.generator, self.gain = generator, gain

    def forward(self, x: Tensor, v: Tensor, *within: Tensor) -> Tensor:
        """(N, 3, S, S), (N, V) and, where heads are outlined, (N, 1, s, s) -> (N, 3, S, S)."""
        return x + self.gain * (self.generator(x, v, *within) - x)


def changed(generator: nn.Module, faces: Faces, rows: Tensor, targets: Labels) -> Tensor:
    """Return the faces `rows` (N,) as `generator` changes them towards `targets`, within their outlines if known."""
    x = faces.crops[rows].float().div(255)
    return batched(generator, x, encode(targets).to(x.device), *faces.outlined(rows))


def flipped(own: Labels, hidden: tuple[str, ...]) -> Labels:
    """Targets of the evaluation preset: the other gender, the paired race, the next age group (old becomes young)."""
    targets = {name: labels.clone() for name, labels in own.items()}
    for name in hidden:
        spec = ATTRIBUTES[name]
        if name == "race":
            other = [spec.index(RACE_PAIRS[label]) for label in spec.classes]
        else:
            other = [(i + 1) % len(spec.classes) for i in range(len(spec.classes))]
        known = own[name] >= 0
        targets[name] = torch.where(known, torch.tensor(other)[own[name].clamp(min=0)], own[name])
    return targets


def figures(
    generator: nn.Module, faces: Faces, rows: Tensor, estimator: nn.Module, matcher: nn.Module | None
) -> dict[str, float]:
    """Measure one generator on some validation faces.

    Parameters
    ----------
    generator : Module
        Crops and label vectors to crops.
    faces : Faces
    rows : Tensor
        Indices of the faces; gender must be known.
    estimator : Module
        Crops to ``gender`` and ``race`` logits and ``years`` ranks; not used to train the generator.
    matcher : Module or None
        Crops to unit descriptors; higher cosine = same person. None: omit its two figures.

    Returns
    -------
    dict
        ``eer_gender`` hidden by flipping, ``eer_original``, ``eer_own`` (own labels given), ``race_kept`` (share whose
        estimated race did not change while gender was hidden), ``race_hidden`` (share that changed when hidden),
        ``years_young`` and so on (mean shift of the estimated age towards that group, in years, over faces outside
        it), ``years_kept`` (mean absolute shift while gender was hidden), ``cosine`` of original and changed face,
        ``alike`` (mean rise of the cosine between different faces), ``change`` (mean absolute difference).
    """
    x = faces.crops[rows].float().div(255)
    own = {name: values[rows].cpu() for name, values in faces.labels.items()}

    def classify(images: Tensor) -> dict[str, np.ndarray]:
        def joined(part: Tensor) -> Tensor:
            out = estimator(part)
            classes = [out[name].float().softmax(1) for name in _CLASSES]
            return torch.cat([*classes, years_from(out[YEARS])[:, None]], 1)

        widths = [len(ATTRIBUTES[name].classes) for name in _CLASSES]
        parts = batched(joined, images).split([*widths, 1], 1)
        return {name: part.cpu().numpy() for name, part in zip((*_CLASSES, YEARS), parts, strict=True)}

    def gender_eer(scores: dict[str, np.ndarray]) -> float:
        return binary_eer(scores["gender"][:, 1], own["gender"].numpy() == 1).item()

    changed_to = partial(changed, generator, faces, rows)
    before = classify(x)
    images = changed_to(flipped(own, ("gender",)))
    after = classify(images)
    race = classify(changed_to(flipped(own, ("race",))))["race"].argmax(1)
    same_race = before["race"].argmax(1)
    found = {
        "eer_original": gender_eer(before),
        "eer_gender": gender_eer(after),
        "eer_own": gender_eer(classify(changed_to(own))),
        "race_kept": float((after["race"].argmax(1) == same_race).mean()),
        "race_hidden": float((race != same_race).mean()),
        "years_kept": float(np.abs(after[YEARS] - before[YEARS]).mean()),
    }
    for index, (group, typical) in enumerate(zip(AGE.classes, TYPICAL_YEARS, strict=True)):
        outside = (own[AGE.name] != index).numpy()
        aged = {**own, AGE.name: torch.full_like(own[AGE.name], index)}
        shift = classify(changed_to(aged))[YEARS] - before[YEARS]
        found[f"years_{group}"] = float((np.sign(typical - own[YEARS].numpy())[:, None] * shift)[outside].mean())
    matched = similarity(batched(matcher, x), batched(matcher, images)) if matcher else {}
    return {**found, **matched, "change": float((images - x).abs().mean())}


class Recognition:
    """Verification of identified faces with flipped gender, all pairs: the pairing (X1', X2').

    The originals are compared once for any number of generators.

    Parameters
    ----------
    faces : Faces
    rows : Tensor
        (N,) indices of the faces; gender must be known.
    subjects : sequence of str
        (N,) their identities.
    matcher : Module
        Crops to unit descriptors; higher cosine = same person.
    fmr : float
        The false match rate.

    Raises
    ------
    DataError
        If no person has two photos, or all photos show one person.
    """

    def __init__(
        self, faces: Faces, rows: Tensor, subjects: Sequence[str], matcher: nn.Module, fmr: float = 0.001
    ) -> None:
        x = faces.crops[rows].float().div(255)
        own = {name: values[rows].cpu() for name, values in faces.labels.items()}
        self.faces, self.rows, self.wanted = faces, rows, flipped(own, ("gender",))
        self.matcher, self.fmr = matcher, fmr
        # No interval is needed, and one resample is the minimum.
        self.matching = Matching(self._descriptors(x), subjects, np.inner, fmrs=(fmr,), replicates=1)

    def __call__(self, generator: nn.Module) -> dict[str, float]:
        """Return ``tmr_original``; ``tmr`` at the changed faces' own threshold for this rate; ``tmr_fixed`` and
        ``fmr_fixed`` at the originals'. Empty if there are too few pairs for the rate.
        """
        after = self._descriptors(changed(generator, self.faces, self.rows, self.wanted))
        rates = self.matching.measure(self.matching.compare(after)[PROTECTED])
        if self.fmr in rates.refused:
            return {}
        original, own, fixed = (r[self.fmr] for r in (self.matching.rates.own, rates.own, rates.fixed))
        numbers = {"tmr_original": original.tmr, "tmr": own.tmr, "tmr_fixed": fixed.tmr, "fmr_fixed": fixed.fmr}
        return {name: float(values[0]) for name, values in numbers.items()}

    def _descriptors(self, x: Tensor) -> np.ndarray:
        return batched(self.matcher, x).cpu().numpy()


def sample_grid(generator: nn.Module, faces: Faces, rows: Tensor, path: Path) -> None:
    """Write a picture with a row per face: its crop, the crop with its own labels, then every attribute selection."""
    x = faces.crops[rows].float().div(255)
    own = {name: values[rows].cpu() for name, values in faces.labels.items()}
    wanted = [own, *(flipped(own, chosen) for chosen in selections())]
    columns = [x, *(changed(generator, faces, rows, targets) for targets in wanted)]
    grid = torch.cat([torch.cat(list(column), 1) for column in columns], 2)
    pixels = (grid.permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    Image.fromarray(pixels).save(path)
