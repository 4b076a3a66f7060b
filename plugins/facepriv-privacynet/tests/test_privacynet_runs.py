"""What comes out of a run: weights at a chosen point of the curve; and options that do not go together."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from click.testing import CliRunner
from facepriv_privacynet import runs
from facepriv_privacynet.cli import command
from facepriv_privacynet.config import OURS, PAPER, PRIVACYNET
from facepriv_privacynet.networks import Generator, GeneratorShape

from facepriv.errors import DataError, UsageError
from facepriv.training.judges import JudgeShape
from facepriv.training.records import FAMILY, MATCHER
from facepriv.weights import load_weights, save_weights

SHAPE = GeneratorShape(32, 8, 1)


@pytest.fixture
def run(tmp_path, material):
    """A run over four made-up faces."""
    recipe = replace(OURS, generator=SHAPE, judges=(JudgeShape(16, 8),), warm_up=1, steps=1, batch=4)
    return runs.Run(PRIVACYNET, tmp_path, recipe, material, Accelerator(cpu=True, mixed_precision="no"))


def test_nothing_is_exported_or_measured_before_training(run):
    with pytest.raises(DataError, match="train first"):
        run.export("command")
    with pytest.raises(DataError, match="train first"):
        list(run.curve())


def test_a_gain_scales_the_limit_of_the_exported_generator(run):
    run.trainer.step = 7
    path, figures = run.export("command", gain=0.5)
    weights = load_weights(path, framework="torch", architecture=PRIVACYNET.architecture)
    config = weights.metadata.config
    assert set(weights.tensors) == set(run.trainer.g.state_dict())  # no judge, and no copy of one
    assert config["generator"]["limit"] == pytest.approx(SHAPE.limit / 2) and config["step"] == 7
    assert config["validation"]["cosine"] == pytest.approx(figures["cosine"], abs=1e-4)


def test_the_limit_in_the_file_has_no_digits_of_binary_rounding(run):
    run.trainer.step = 7
    shape = load_weights(run.export("command", gain=0.75)[0]).metadata.config["generator"]
    assert SHAPE.limit * 0.75 != 0.6 and shape["limit"] == 0.6


def test_exported_weights_can_be_averaged_with_others(run, saved):
    run.trainer.step = 7
    torch.manual_seed(3)
    one, two = saved(Generator(SHAPE), "one"), saved(Generator(SHAPE), "two")
    alone = run.measure()
    run.average_with([(one, 0.5), (two, 0.2)])
    weights = load_weights(run.export("command")[0], framework="torch")
    others = [load_weights(path, framework="torch").tensors for path in (one, two)]
    for name, own in run.trainer.average.net.state_dict().items():
        wanted = 0.3 * own + 0.5 * others[0][name] + 0.2 * others[1][name]
        assert torch.allclose(weights.tensors[name], wanted, atol=1e-3, rtol=1e-3), name
    assert run.measure() != alone
    origin = weights.metadata.provenance
    assert origin.command.endswith(
        "; averaged with one.safetensors, share 0.5; averaged with two.safetensors, share 0.2"
    )
    assert origin.trained_on.endswith("; averaged with networks of: nothing")


def test_what_taught_the_weights_of_an_average_is_declared(run, saved):
    run.trainer.step, run.trainer.seen = 1, ("one",)
    weights = load_weights(saved(Generator(SHAPE)))
    path = run.out / "seen.safetensors"
    origin = replace(weights.metadata.provenance, seen=("another", "one"))
    save_weights(path, weights.tensors, replace(weights.metadata, provenance=origin))
    run.average_with([(path, 0.5)])
    assert load_weights(run.export("command")[0]).metadata.provenance.seen == ("one", "another")


def test_an_average_needs_weights_of_the_same_shape_and_a_share_for_the_run(run, saved):
    run.trainer.step = 1
    deep = saved(Generator(GeneratorShape(32, 8, 2)), "deep")
    with pytest.raises(DataError, match=r"deep\.safetensors: these weights belong to a generator of another shape"):
        run.average_with([(deep, 0.5)])
    with pytest.raises(UsageError, match="--mix: the shares add up to 1; leave some"):
        run.average_with([(saved(Generator(SHAPE)), 0.5)] * 2)


def test_a_run_trains_logs_and_goes_on(run):
    lines = []
    run.train(None, lines.append)
    assert run.trainer.step == 1
    again = runs.Run(PRIVACYNET, run.out, run.recipe, run.material, run.accelerator)
    assert again.trainer.step == 1


def test_what_taught_the_generator_is_declared(run):
    run.trainer.step = 1
    seen = load_weights(run.export("command")[0]).metadata.provenance.seen
    assert seen == ("mobilefacenet", "family-a-gender", "family-a-race", "family-a-age")
    unmatched = runs.Run(PRIVACYNET, run.out, run.recipe.unmatched(), run.material, run.accelerator)
    unmatched.trainer.step = 1
    assert load_weights(unmatched.export("command")[0]).metadata.provenance.seen == seen[1:]


def begun(run, out, start, recipe=None):
    return runs.Run(PRIVACYNET, out, recipe or run.recipe, run.material, run.accelerator, start)


def test_a_run_begins_with_all_networks_of_another_and_declares_what_taught_those(run, tmp_path):
    run.train(None, lambda line: None, shown="how it was trained")
    further = replace(run.recipe.unmatched(), steps=2)
    other = begun(run, tmp_path / "other", run.out, further)
    assert other.trainer.step == 1
    for name, net in run.trainer.nets().items():
        taught = other.trainer.nets()[name].state_dict()
        assert all(torch.equal(value, taught[key]) for key, value in net.state_dict().items()), name
    (tmp_path / "other").mkdir()
    other.train(None, lambda line: None, shown="and further")
    assert (run.trainer.step, other.trainer.step) == (1, 2)
    provenance = load_weights(other.export("command", gain=0.5)[0]).metadata.provenance
    assert "mobilefacenet" in provenance.seen and provenance.command == "and further --gain 0.5"
    # It goes on by itself, whatever it is said to begin with, and still knows; a call without a step is no part of it.
    again = begun(run, tmp_path / "other", tmp_path / "gone", further)
    again.train(None, lambda line: None, shown="nothing left to do")
    assert (again.trainer.step, again.trainer.start) == (2, run.out.name) and "mobilefacenet" in again.trainer.seen
    assert again.trainer.command == "and further"
    longer = begun(run, tmp_path / "other", None, replace(further, steps=3))
    longer.train(None, lambda line: None, shown="longer")
    assert longer.trainer.command == "and further; then longer"
    with pytest.raises(UsageError, match="stands at step 1; ask for more"):
        begun(run, tmp_path / "third", run.out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no such checkpoint"):
        begun(run, tmp_path / "third", tmp_path / "empty")


def test_what_another_run_has_made_is_not_exported_as_ones_own(run, tmp_path):
    run.train(None, lambda line: None)
    other = begun(run, tmp_path / "other", run.out, replace(run.recipe, steps=2))
    with pytest.raises(DataError, match="train first"):
        other.export("command")
    with pytest.raises(DataError, match="train first"):
        list(other.curve())
    # Nor where it was saved before its first step, and opened anew.
    other.out.mkdir()
    other.trainer.save(other.out / "checkpoint.pt")
    with pytest.raises(DataError, match="train first"):
        begun(run, other.out, None, replace(run.recipe, steps=2)).export("command")


def test_the_sets_behind_what_a_run_began_with_are_named(run, tmp_path):
    run.train(None, lambda line: None)
    path, _ = run.export("command")
    run.material = replace(run.material, sets="others")
    for start in (run.out, path):
        out = tmp_path / f"from-{start.suffix}"
        other = begun(run, out, start, replace(run.recipe, steps=2))
        other.train(None, lambda line: None)
        words = load_weights(other.export("command")[0]).metadata.provenance.trained_on
        assert "training part of others" in words and "begun with networks of: training part of made up" in words


def test_a_checkpoint_that_does_not_say_what_taught_it_may_have_seen_all(run):
    run.train(None, lambda line: None)
    state = torch.load(run.out / "checkpoint.pt", weights_only=True)
    del state["seen"], state["command"]
    torch.save(state, run.out / "checkpoint.pt")
    again = runs.Run(PRIVACYNET, run.out, run.recipe.unmatched(), run.material, run.accelerator)
    assert set(again.trainer.seen) == {MATCHER, *FAMILY}
    assert load_weights(again.export("command")[0]).metadata.provenance.command == "command"


def test_weights_to_start_with_bring_what_they_have_seen(run, tmp_path):
    run.trainer.step = 1
    path, _ = run.export("command")
    out = tmp_path / "begun"
    assert "mobilefacenet" in begun(run, out, path, run.recipe.unmatched()).trainer.seen


def test_a_recipe_that_learns_against_a_matcher_needs_one(run):
    material = replace(run.material, matcher=None)
    with pytest.raises(UsageError, match="--matcher"):
        runs.Run(PRIVACYNET, run.out, run.recipe, material, run.accelerator)
    without = runs.Run(PRIVACYNET, run.out, run.recipe.unmatched(), material, run.accelerator)
    assert {"identity", "alike"}.isdisjoint(without.trainer.train_step())
    assert {"cosine", "alike"}.isdisjoint(without.measure())


def test_the_papers_generator_gives_an_image_and_cannot_be_scaled(run):
    run.trainer.step, run.recipe = 1, replace(run.recipe, generator=PAPER.generator)
    with pytest.raises(UsageError, match="residual"):
        run.export("command", gain=0.5)


def test_the_curve_has_a_line_for_each_gain(run):
    run.trainer.step = 1
    lines = list(run.curve())
    assert [line.split()[1] for line in lines] == [f"{gain:.2f}" for gain in runs.GAINS]
    assert all("eer_gender" in line and "cosine" in line for line in lines)


@pytest.mark.parametrize("options", [["--gain", "0.5"], ["--mix", "a", "0.5"], ["--export", "--curve"]])
def test_options_that_do_not_go_together_are_refused_before_anything_is_read(options, tmp_path):
    result = CliRunner().invoke(command, ["pack", "--matcher", "m.onnx", "-o", str(tmp_path / "run"), *options])
    assert isinstance(result.exception, UsageError) and "--export" in str(result.exception)
    assert not (tmp_path / "run").exists()
