"""The ablation's judges, which were not used in any training, and the faces that they judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ablation_figures import AGES, GENDERS, MATCHER, TEACHER, Seen, Truth
from facepriv_privacynet.config import Recipe
from facepriv_privacynet.networks import Generator, encode
from facepriv_privacynet.runs import Material
from facepriv_privacynet.validation import flipped
from numpy.typing import NDArray
from safetensors.torch import load_file

from facepriv.cli.console import note
from facepriv.contracts import AttributeEstimator, FaceMatcher
from facepriv.datasets.pack import Pack
from facepriv.errors import DataError
from facepriv.registry import registry
from facepriv.schema import AGE, GENDER
from facepriv.training.ordinal import YEARS

#: Files of a finished run: the averaged generator, and the judges' predictions.
GENERATOR, LOOKS = "generator.safetensors", "looks.npz"


@dataclass(frozen=True)
class Held:
    """The validation faces that are measured.

    Parameters
    ----------
    rows : ndarray
        (N,) rows of the validation part.
    people : ndarray
        (N,) str, person of each face; a unique name if unknown.
    named : ndarray
        (N,) bool, whether the person is known.
    """

    rows: NDArray[np.int64]
    people: NDArray[np.str_]
    named: NDArray[np.bool_]


def choose(pack: Pack, named: int, others: int) -> Held:
    """Return validation faces of known gender: `named` of people with several photos, and `others`.

    Raises
    ------
    DataError
        If no person has several photos.
    """
    rows = pack.where(part="validation")
    people = np.array(
        [
            f"{s}/{who or photo}"
            for s, who, photo in zip(*(pack.columns[c][rows] for c in ("set", "subject", "name")), strict=True)
        ]
    )
    labelled = pack.labels[GENDER.name][rows] >= 0
    counts = dict(zip(*np.unique(people[labelled], return_counts=True), strict=True))
    several = np.array([counts.get(who, 0) > 1 for who in people]) & labelled
    if not several.any():
        raise DataError("no person of the pack's validation part has several photos, so that nothing can be matched")
    # All photos of a person, in the pack's order, until there are enough faces; the others evenly spaced.
    order = np.flatnonzero(several)[np.argsort(people[several], kind="stable")]
    first = order[: max(named, 2)]
    rest = np.flatnonzero(labelled & ~several)
    second = rest[np.linspace(0, len(rest) - 1, min(others, len(rest))).round().astype(int)] if len(rest) else rest
    picked = np.concatenate([first, second]).astype(np.int64)
    return Held(picked, people[picked], several[picked])


class Bench:
    """The judges, and the faces that they judge."""

    def __init__(self, held: Held, material: Material) -> None:
        self.held, self.device = held, material.validation.weights.device
        faces = material.validation
        rows = torch.from_numpy(held.rows).to(self.device)
        self.x = faces.crops[rows].float().div(255)
        own = {name: values[rows].cpu() for name, values in faces.labels.items()}
        group = {name: {**own, AGE.name: torch.full_like(own[AGE.name], k)} for k, name in enumerate(AGE.classes)}
        aims = {GENDER.name: flipped(own, (GENDER.name,)), **group}
        #: Target -> label vectors (N, V).
        self.wanted = {aim: encode(labels) for aim, labels in aims.items()}
        female = own[GENDER.name].numpy() == GENDER.index("female")
        self.truth = Truth(female, own[YEARS].numpy().astype(np.float64), held.people, held.named)
        self.teacher = material.matcher
        models: dict[str, AttributeEstimator] = {n: registry().create("estimator", n) for n in (*GENDERS, *AGES)}
        self.genders, self.ages = ({name: models[name] for name in names} for names in (GENDERS, AGES))
        self.matcher: FaceMatcher = registry().create("matcher", MATCHER)

    def originals(self, aim: str) -> torch.Tensor:
        """Return the unchanged faces (N, 3, S, S), for any target."""
        return self.x

    @torch.inference_mode()
    def changed(self, place: Path, recipe: Recipe, aim: str) -> torch.Tensor:
        """Return the faces changed to the other gender or an age group by the generator of a finished run."""
        generator = Generator(recipe.generator)
        generator.load_state_dict(load_file(place / GENERATOR))
        generator.eval().to(self.device)
        parts = zip(self.x.split(16), self.wanted[aim].to(self.device).split(16), strict=True)
        return torch.cat([generator(x, v).float() for x, v in parts])

    def seen(self, place: Path, images: Callable[[str], torch.Tensor], ages: Sequence[str]) -> Seen:
        """Return the predictions of all judges, see `ablation_figures.Seen`; cached in the folder `place`.

        `images` returns the faces for a target: gender, and each of `ages`.
        """
        path = place / LOOKS
        if path.is_file():
            with np.load(path, allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files}
        note(f"{place.name}: judged")
        place.mkdir(exist_ok=True)
        x = images(GENDER.name)
        crops = _crops(x)
        column = GENDER.index("female")
        found = {name: model.predict(crops)[:, column] for name, model in self.genders.items()}
        for aim in ages:
            aged = _crops(images(aim))
            found |= {f"{name} {aim}": model.predict(aged) for name, model in self.ages.items()}
        # Faces can be compared only if the people are known.
        found[MATCHER] = self.matcher.embed(crops[self.held.named])
        if self.teacher is not None:
            with torch.inference_mode():
                found[TEACHER] = torch.cat([self.teacher(part).float() for part in x.split(16)]).cpu().numpy()
        partial_file = place / f"{LOOKS}.partial.npz"
        np.savez(partial_file, **found)  # type: ignore[arg-type]
        partial_file.replace(path)
        return found


def _crops(x: torch.Tensor) -> NDArray[np.float32]:
    """Turn (N, 3, S, S) into (N, S, S, 3) in [0, 1]."""
    return np.ascontiguousarray(x.cpu().permute(0, 2, 3, 1).numpy().clip(0, 1))
