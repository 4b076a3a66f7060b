"""Training: what each phase moves and learns, and that a run stops, goes on, hands over and becomes a weights file."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from click.testing import CliRunner
from facepriv_san import cli, prototypes, runs
from facepriv_san.config import MEMBERS, Recipe, member
from facepriv_san.family import Form
from facepriv_san.method import EnsembleSan, FlowSan, San
from facepriv_san.runs import Material, Run
from facepriv_san.training import KIND, Trainer, adults, standard
from torch import nn

from facepriv.contracts import STANDARD, FaceBatch, Frame
from facepriv.errors import DataError, UsageError
from facepriv.faces import crop_face, find_faces
from facepriv.testing import specimens
from facepriv.testing.training import TinyMatcher
from facepriv.training.faces import Faces
from facepriv.training.judges import JUDGES, Judge
from facepriv.training.loop import Loop
from facepriv.weights import Provenance, load_weights

TINY = Recipe(size=32, judges=(0, 1, 6), judges_each_step=2, judges_every=1, batch=4, matched=4)
TINY = replace(TINY, warm_up=2, warm_batch=6, rebuild=2, steps=2)


WIDE = Frame(2.2, 0.6)


class Brightness(nn.Module):
    """A stand-in classifier: faces that are bright in the middle are female."""

    def __init__(self):
        super().__init__()
        self.border = nn.Parameter(torch.tensor(0.3))

    def forward(self, x):
        value = 20 * (x[:, :, 10:22, 10:22].mean(dim=(1, 2, 3)) - self.border)
        return {"gender": torch.stack([-value, value], 1)}


class Middle(Brightness):
    """The same for crops of half the size, which judges see of another frame."""

    def forward(self, x):
        return super().forward(nn.functional.interpolate(x, size=(32, 32)))


def made_faces(count=12):
    """Faces of both genders, women brighter; the last is a child."""
    crops = np.concatenate([specimens(32, landmarks=False).images] * (count // 3))
    gender = torch.arange(count) % 2
    shade = torch.where(gender == 1, 1.0, 0.45)[:, None, None, None]
    crops = (torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()) * shade * 255).to(torch.uint8)
    years = torch.full((count,), float("nan"))
    years[-1] = 5
    return Faces(crops, {"gender": gender, "years": years}, torch.ones(count, dtype=torch.float64))


def cpu():
    return Accelerator(cpu=True, mixed_precision="no")


@pytest.fixture(scope="module")
def material(averages):
    faces = adults(made_faces(), averages)
    return Material(faces, faces, "made up", Brightness(), TinyMatcher(0.5), prototypes=averages)


def trainer(material, recipe=TINY, before=()):
    m = material
    return Trainer(recipe, m.training, m.prototypes, m.matcher, m.estimator, cpu(), before)


def quiet(step, values):
    assert all(np.isfinite(value) for value in values.values())


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


def moved(before, net):
    return any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_children_are_never_drawn_and_every_face_has_its_set(averages):
    faces = adults(made_faces(), averages)
    assert faces.weights.tolist() == [1.0] * 11 + [0.0]
    assert faces.labels[KIND].shape == (12,) and faces.labels[KIND].max() < 12


def test_the_first_phase_moves_the_network_alone_and_learns_to_rebuild(material):
    t = trainer(material, replace(TINY, batch=8))
    judge = weights(t.judges[0])
    values = [float(t.rebuild()["rebuilt"]) for _ in range(40)]
    assert np.mean(values[-5:]) < 0.6 * np.mean(values[:3])
    assert not moved(judge, t.judges[0])


def test_the_second_phase_moves_the_network_and_the_judges_that_taught_it(material):
    t = trainer(material, replace(TINY, judges_each_step=1))
    net, judges = weights(t.net), {k: weights(judge) for k, judge in t.judges.items()}
    fixed = weights(t.fixed)
    t.learn()
    assert moved(net, t.net)
    assert sum(moved(before, t.judges[k]) for k, before in judges.items()) == 1
    assert not moved(fixed, t.fixed)
    t.learn()
    assert moved(fixed, t.copy) and not moved(fixed, t.fixed)


def test_judges_of_another_run_are_where_a_network_begins(material, tmp_path):
    t = trainer(material)
    learnt = {k: Judge(JUDGES[k]) for k in TINY.judges}
    nets = {f"judge{k}": judge.state_dict() for k, judge in learnt.items()} | {"copy0": {"border": torch.tensor(0.4)}}
    torch.save({"nets": nets}, tmp_path / "checkpoint.pt")
    t.take_judges(tmp_path / "checkpoint.pt")
    x = material.training.crops[:4].float() / 255
    for k, judge in learnt.items():
        torch.testing.assert_close(t.judges[k](x)["gender"], judge(x)["gender"])
    assert t.copy.border.item() == pytest.approx(0.4) and t.fixed.border.item() == pytest.approx(0.3)
    del nets["judge1"]
    torch.save({"nets": nets}, tmp_path / "checkpoint.pt")
    for path, said in (("checkpoint.pt", "holds no such judges"), ("none.pt", "no such checkpoint")):
        with pytest.raises(DataError, match=said):
            t.take_judges(tmp_path / path)


def test_a_judge_learns_on_its_own_share_of_the_faces(material):
    t = trainer(material, replace(TINY, share=0.5))
    _, own = t.faces.draw(200)
    for k in t.judges:
        labels = t._labels(k, own)
        unknown = labels == -1
        assert 0.2 < unknown.float().mean() < 0.8
        assert torch.equal(labels[~unknown], own["gender"][~unknown])
    assert not torch.equal(t._labels(0, own), t._labels(1, own))


def test_the_network_learns_to_turn_what_a_classifier_says(material):
    none = "rate_judges rate_copy w_identity w_alike w_same w_change w_faded w_roughness towards same decay"
    some = {"judges": (0,), "judges_each_step": 1, "batch": 12, "matched": 2, "rate": 5e-4, "rebuild": 60, "steps": 40}
    recipe = replace(TINY, **dict.fromkeys(none.split(), 0.0), **some)
    t = trainer(material, recipe)
    for _ in range(recipe.rebuild):
        t.rebuild()
    rows = torch.arange(11)
    own = {name: values[rows] for name, values in t.faces.labels.items()}
    x = t.faces.crops[rows].float() / 255

    def right():
        run = Run.__new__(Run)
        run.method, run.recipe, run.material, run.members = "san", recipe, material, 1
        with torch.no_grad():
            y = run._composed([t.net], x, own, 1 - own["gender"], 1.0)
            return (t.fixed(y)["gender"].argmax(1) == own["gender"]).float().mean().item()

    before = right()
    for _ in range(recipe.steps):
        t.learn()
    assert before > 0.8 and right() < before - 0.3


def test_a_run_stops_goes_on_and_becomes_weights_that_the_method_reads(material, tmp_path, rngs):
    Run("san", tmp_path, replace(TINY, steps=1), material, cpu()).train(None, str)
    run = Run("san", tmp_path, TINY, material, cpu())
    assert run._begun(0).step == 1
    run.train(None, str)
    assert run._begun(0).step == 2
    path, figures = run.export("command", gain=0.5)
    metadata = load_weights(path).metadata
    assert metadata.config["form"] == {
        "size": 32,
        "output": "residual",
        "gain": 0.5,
        "caricature": 3.0,
        "side": 2.0,
        "centre": 0.5,
    }
    assert {"mobilefacenet", "family-a-gender"} <= set(metadata.provenance.seen)
    assert metadata.config["validation"]["cosine"] == pytest.approx(figures["cosine"], abs=1e-4)
    faces = specimens(32, landmarks=False)
    one, other = {"gender": np.array([1, 1, 0])}, {"gender": np.array([0, 0, 1])}
    assert np.abs(San(path).perturb(faces, one, other, rngs=rngs(3)) - faces.images).max() > 0


def test_a_run_that_stops_in_between_draws_what_it_would_have_drawn(material):
    whole, first, second = trainer(material), trainer(material), trainer(material)
    for t in (whole, first):
        t.learn()
    for part in ("net", "copy", "opt", "opt_j", "opt_c"):
        getattr(second, part).load_state_dict(getattr(first, part).state_dict())
    for k, judge in second.judges.items():
        judge.load_state_dict(first.judges[k].state_dict())
    second.step = 1
    for t in (whole, second):
        t.learn()
    assert not moved(weights(whole.net), second.net)


def test_judges_see_the_standard_frame_of_every_crop(portraits):
    rgb = portraits[0]
    face = find_faces(rgb)[0]
    wide, expected = (
        torch.from_numpy(crop_face(rgb, face.framed(f), size)) for f, size in ((WIDE, 220), (STANDARD, 110))
    )
    seen = standard(wide.permute(2, 0, 1)[None], Form(220, side=WIDE.side, centre=WIDE.centre))
    assert (seen[0].permute(1, 2, 0) - expected).abs().mean() < 0.01
    assert standard(seen, Form(110)) is seen


def test_judges_that_start_again_learn_on_what_the_network_draws_now(material):
    t = trainer(material, replace(TINY, restart=1, restart_warm=3, rate_judges=0.0))
    t.learn()
    old = {k: weights(judge) for k, judge in t.judges.items()}
    t.copy.border.data.fill_(9.0)
    fixed, net = weights(t.fixed), weights(t.net)
    assert t.restarts == 0
    t.learn()
    assert t.restarts == 1 and all(moved(before, t.judges[k]) for k, before in old.items())
    assert abs(t.copy.border.item() - fixed[0].item()) < 0.1
    assert not moved(fixed, t.fixed) and moved(net, t.net)
    replaced = trainer(material, replace(TINY, restart=1, restart_warm=3))
    replaced.step = replaced.restarts = 1
    replaced.learn()
    assert replaced.restarts == 1  # a run that is resumed does not start them twice


def test_a_network_of_a_file_is_trained_further_in_its_own_frame(material, weights_of):
    t, path = trainer(material), weights_of(1)
    t.take_network(path)
    (net,) = San(path).loaded().nets
    assert not moved(weights(net), t.net) and not moved(weights(net), t.average.net)
    assert t.rebuilt == TINY.rebuild
    with pytest.raises(DataError, match="trained in another frame than that of --output residual"):
        t.take_network(weights_of(1, side=WIDE.side, centre=WIDE.centre))


def test_a_published_run_draws_grey_faces_of_head_and_chin(averages, tmp_path, rngs):
    wide = replace(averages, frame=WIDE)
    prototypes.save(tmp_path / "wide.safetensors", wide, Provenance("a", "b", "c"))
    wide = prototypes.load(tmp_path / "wide.safetensors")
    faces = adults(made_faces(), wide)
    material = Material(faces, faces, "made up", Middle(), TinyMatcher(0.5), prototypes=wide)
    recipe = replace(TINY, output="published", side=WIDE.side, centre=WIDE.centre, restart=1, restart_warm=1)
    run = Run("san", tmp_path / "run", recipe, material, cpu())
    run.train(None, str)
    path, _ = run.export("command")
    method = San(path, tmp_path / "wide.safetensors")
    assert (method.frame, method.paste) == (WIDE, "replacement")
    given = specimens(32, landmarks=False)
    own, wanted = {"gender": np.array([1, 1, 0])}, {"gender": np.array([0, 0, 1])}
    drawn = method.perturb(given, own, wanted, rngs=rngs(3))
    assert (drawn == drawn[..., :1]).all()


def test_an_ensemble_differs_in_judges_prototypes_and_seed():
    recipes = [member(Recipe(), "ensemble-san", number, 3) for number in range(3)]
    assert sorted(k for r in recipes for k in r.judges) == list(range(len(JUDGES)))
    assert [r.diverse for r in recipes] == [False, True, True] and len({r.seed for r in recipes}) == 3


def test_an_ensemble_is_trained_from_what_a_san_began_with(material, tmp_path):
    Run("san", tmp_path / "san", TINY, material, cpu()).train(None, str)
    run = Run("ensemble-san", tmp_path / "e", TINY, material, cpu(), members=3, start=tmp_path / "san")
    begun = run._begun(1)
    base = torch.load(tmp_path / "san" / "base.pt", weights_only=True)["nets"]
    assert not moved([base["net"][name] for name, _ in begun.net.named_parameters()], begun.net)
    run.train(None, str)
    path, _ = run.export("command")
    assert len(EnsembleSan(path).loaded().nets) == 3


def test_a_flow_goes_on_from_a_san_and_each_network_is_given_what_the_ones_before_made(material, tmp_path):
    Run("san", tmp_path / "san", TINY, material, cpu()).train(None, str)
    run = Run("flow-san", tmp_path / "f", TINY, material, cpu(), members=2, start=tmp_path / "san")
    run.train(None, str)
    second = run._begun(1)
    x, own = second.faces.draw(4)
    wanted = 1 - own["gender"]
    given = second.given(x, own, wanted)
    assert (given - x).abs().max() > 0
    first = run._composed(run.nets(1), x, own, wanted, 1.0)
    torch.testing.assert_close(given, first)
    path, _ = run.export("command")
    faces = FaceBatch(x.permute(0, 2, 3, 1).contiguous().numpy())
    rngs = [np.random.default_rng(0)] * 4
    source, target = ({"gender": labels.numpy()} for labels in (own["gender"], wanted))
    drawn = FlowSan(path, depth=1).perturb(faces, source, target, rngs=rngs)
    np.testing.assert_allclose(drawn.transpose(0, 3, 1, 2), first.numpy(), atol=2e-3)  # eight bits


def test_the_judges_of_a_flow_know_the_networks_before(material, tmp_path):
    run = Run("flow-san", tmp_path, TINY, material, cpu(), members=2)
    run.train(None, str)
    (tmp_path / "2.pt").unlink()
    first = torch.load(tmp_path / "1.pt", weights_only=True)["nets"]
    second = run._begun(1)
    assert not moved([first["judge0"][name] for name, _ in second.judges[0].named_parameters()], second.judges[0])


def test_the_curve_has_a_line_for_each_gain_and_needs_a_trained_run(material, tmp_path):
    run = Run("san", tmp_path, TINY, material, cpu())
    for use in (lambda: list(run.curve()), lambda: run.export("command")):
        with pytest.raises(DataError, match=r"1\.pt: no trained checkpoint; train first"):
            use()
    run.train(None, str)
    assert [line.split()[1] for line in run.curve()] == [f"{gain:.2f}" for gain in runs.GAINS]


def test_the_time_that_is_given_ends_a_run_that_can_go_on(material, tmp_path):
    run = Run("san", tmp_path, TINY, material, cpu())
    run.train(1e-9, str)
    assert not (tmp_path / "1.pt").exists()
    base = trainer(material)
    base.load(tmp_path / "base.pt")
    assert not base.prepared
    base.prepare(Loop(quiet, lambda: None))
    assert base.prepared


def test_a_start_that_is_no_run_is_named(material, tmp_path):
    with pytest.raises(DataError, match=r"base\.pt: missing; --start takes the folder"):
        Run("ensemble-san", tmp_path / "e", TINY, material, cpu(), start=tmp_path / "none")


@pytest.mark.parametrize("command", [cli.san, cli.ensemble_san, cli.flow_san])
@pytest.mark.parametrize("options", [["--gain", "0.5"], ["--export", "--curve"]])
def test_options_that_do_not_go_together_are_refused_before_anything_is_read(command, options, tmp_path):
    result = CliRunner().invoke(command, ["pack", "--matcher", "m.onnx", "-o", str(tmp_path / "run"), *options])
    assert isinstance(result.exception, UsageError) and "--export" in str(result.exception)
    assert not (tmp_path / "run").exists()
    assert ("--members" in [o for p in command.params for o in p.opts]) == (MEMBERS[command.name] > 1)
