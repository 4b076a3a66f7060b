"""Rounds: each meets new opponents, earlier judges teach on, and what a round leaves is enough to go on from."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from click.testing import CliRunner
from facepriv_privacynet import opponents, rounds, runs
from facepriv_privacynet.cli import command
from facepriv_privacynet.config import OURS, PRIVACYNET
from facepriv_privacynet.networks import Discriminator, GeneratorShape
from facepriv_privacynet.opponents import judges_of, read_opponents
from facepriv_privacynet.players import PROBE
from facepriv_privacynet.rounds import Rounds, draw_judges, round_recipe

from facepriv.errors import DataError, UsageError, WeightsError
from facepriv.training.judges import Judge, JudgeShape
from facepriv.training.options import TrainingOptions
from facepriv.weights import load_weights

SMALL = {"generator": GeneratorShape(32, 8, 1), "judges": (JudgeShape(16, 8), JudgeShape(16, 8, grey=True))}
NUMBERS = {"judges_each_step": 1, "warm_up": 1, "warm_batch": 4, "steps": 2, "batch": 4, "judges_batch": 4}
RECIPE = replace(OURS, **SMALL, **NUMBERS)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Judges small enough for faces of 32 pixels, and one point of the curve."""
    monkeypatch.setattr(rounds, "_SIDES", (16, 24))
    monkeypatch.setattr(rounds, "_CHANNELS", (8,))
    monkeypatch.setattr(rounds, "GAINS", (1.0,))


def training(out, material, start=None, opponents=None):
    return Rounds(PRIVACYNET, out, RECIPE, material, Accelerator(cpu=True, mixed_precision="no"), start, opponents)


def generator_of(out, number):
    return out / f"round-{number}" / "privacynet.safetensors"


def opponents_of(out, number):
    return out / f"round-{number}" / "privacynet-opponents.safetensors"


def quiet(line):
    pass


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_judges_are_drawn_from_the_seed_in_different_sizes(monkeypatch):
    monkeypatch.undo()
    first, again, other = draw_judges(7, 3, 1), draw_judges(7, 3, 1), draw_judges(7, 3, 2)
    assert first == again != other
    assert len({shape.size for shape in first}) == 7 and len(draw_judges(10, 0)) == 10
    many = [shape for seed in range(20) for shape in draw_judges(7, seed)]
    assert {shape.grey for shape in many} == {shape.residual for shape in many} == {True, False}
    assert all(0.7 <= shape.window <= 1 for shape in many) and 112 in {shape.size for shape in many}
    for shape in {(s.size, s.base): s for s in many}.values():  # all of them can be built and run
        assert Judge(shape)(torch.rand(1, 3, 112, 112))["gender"].shape == (1, 2)


def test_each_round_has_its_own_seed_and_judges_and_keeps_the_rest():
    one, two = (round_recipe(OURS, number) for number in (1, 2))
    assert one.seed != two.seed and one.judges != two.judges
    assert replace(one, seed=0, judges=()) == replace(two, seed=0, judges=()) == replace(OURS, seed=0, judges=())


def test_rounds_start_opponents_again_and_go_on_with_the_generator_and_the_probe(tmp_path, material, monkeypatch):
    begun = []
    train = runs.Run.train

    def watched(run, *args, **options):
        trainer = run.trainer
        begun.append((trainer, {name: weights(net) for name, net in trainer.nets().items()}))
        train(run, *args, **options)

    monkeypatch.setattr(runs.Run, "train", watched)
    assert training(tmp_path, material).train(2, None, quiet, shown="how") == 2
    (first, _), (second, at_start) = begun
    assert (len(first.pool), len(second.pool)) == (0, 2)
    half = {"atol": 1e-3, "rtol": 1e-3}
    for name in ("g", "average"):
        assert torch.allclose(at_start[name], weights(first.average.net), **half)
    assert torch.allclose(at_start["probe"], weights(first.probe), **half)
    assert not torch.allclose(at_start["d"], weights(first.d), atol=0.01)
    # Copies begin again with the trained classifier.
    assert torch.equal(at_start["copy0"], weights(second.fixed[0]))
    for judge, earlier in zip(first.judges, second.pool, strict=True):
        assert torch.allclose(weights(judge), weights(earlier), **half)
        assert not any(p.requires_grad for p in earlier.parameters())
    assert [judge.shape for judge in second.judges] == list(round_recipe(RECIPE, 2).judges)


def test_judges_of_the_pool_teach_and_stay_as_they_are(tmp_path, material):
    training(tmp_path, material).train(1, None, quiet)
    pool = judges_of(read_opponents(opponents_of(tmp_path, 1), PRIVACYNET))
    run = runs.Run(PRIVACYNET, tmp_path / "own", RECIPE, material, Accelerator(cpu=True), pool=pool)
    before, asked = [weights(judge) for judge in pool], []
    for judge in run.trainer.pool:
        judge.register_forward_hook(lambda *_: asked.append(1))
    run.trainer.warm_up()
    assert not asked
    run.trainer.train_step()
    assert len(asked) == RECIPE.pool_each_step == 1
    assert all(torch.equal(weights(judge), earlier) for judge, earlier in zip(pool, before, strict=True))
    recipe = replace(RECIPE, pool_each_step=0)
    none = runs.Run(PRIVACYNET, tmp_path / "none", recipe, material, Accelerator(cpu=True), pool=pool)
    none.trainer.train_step()
    assert len(asked) == 1


def test_a_round_leaves_the_generator_all_networks_and_its_curve(tmp_path, material):
    said = []
    training(tmp_path, material).train(2, None, said.append, shown="facepriv train privacynet --rounds 2")
    rows = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [(row["round"], row["gain"]) for row in rows] == [(1, 1.0), (2, 1.0)]
    assert all("eer_gender" in row and "cosine" in row for row in rows)
    assert any(line.startswith("round 2  gain 1.00") for line in said)
    for number in (1, 2):
        released = load_weights(generator_of(tmp_path, number), architecture="privacynet-generator")
        assert released.metadata.provenance.command == "facepriv train privacynet --rounds 2"
        assert "mobilefacenet" in load_weights(opponents_of(tmp_path, number)).metadata.provenance.seen
    assert opponents_of(tmp_path, 1).stat().st_size < 0.3 * (tmp_path / "round-1" / "checkpoint.pt").stat().st_size


def test_rounds_stop_in_time_and_the_same_command_goes_on(tmp_path, material):
    assert training(tmp_path, material).train(2, 1e-6, quiet) == 0
    assert not opponents_of(tmp_path, 1).exists()
    assert training(tmp_path, material).train(1, None, quiet) == 1
    first = opponents_of(tmp_path, 1).read_bytes()
    assert training(tmp_path, material).train(2, None, quiet) == 2
    assert opponents_of(tmp_path, 1).read_bytes() == first and opponents_of(tmp_path, 2).is_file()
    whole = tmp_path / "whole"
    training(whole, material).train(2, None, quiet)
    for path in (generator_of, opponents_of):
        one, other = (load_weights(path(out, 2), framework="torch").tensors for out in (tmp_path, whole))
        assert all(torch.allclose(one[name], value, atol=2e-3) for name, value in other.items())


def test_a_round_that_ended_midway_through_its_curve_is_listed_once(tmp_path, material):
    training(tmp_path, material).train(1, None, quiet)
    opponents_of(tmp_path, 1).unlink()
    training(tmp_path, material).train(1, None, quiet)
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 1


def test_a_run_begins_with_the_opponents_that_a_round_leaves(tmp_path, material):
    training(tmp_path, material).train(1, None, quiet)
    accelerator = Accelerator(cpu=True)

    def begun():
        files = {"start": generator_of(tmp_path, 1), "opponents": opponents_of(tmp_path, 1)}
        return runs.Run(PRIVACYNET, tmp_path / "further", RECIPE, material, accelerator, **files)

    run = begun()
    before = runs.Run(PRIVACYNET, tmp_path / "round-1", round_recipe(RECIPE, 1), material, accelerator).trainer
    assert run.recipe.judges == round_recipe(RECIPE, 1).judges  # those of the file, whatever the preset names
    assert run.trainer.step == 0 and "mobilefacenet" in run.trainer.seen
    for name, net in run.trainer.nets().items():
        source = before.nets()["average" if name == "g" else name]
        assert torch.allclose(weights(net), weights(source), atol=1e-3, rtol=1e-3), name
    (tmp_path / "further").mkdir()
    run.train(None, quiet)
    assert begun().trainer.step == RECIPE.steps


def test_rounds_that_begin_with_opponents_have_their_judges_in_the_pool(tmp_path, material, monkeypatch):
    training(tmp_path, material).train(1, None, quiet)
    pools = []
    monkeypatch.setattr(runs.Run, "train", lambda run, *_, **__: pools.append(run.trainer.pool))
    further = training(tmp_path / "further", material, generator_of(tmp_path, 1), opponents_of(tmp_path, 1))
    assert further.train(1, None, quiet) == 0
    wanted = judges_of(read_opponents(opponents_of(tmp_path, 1), PRIVACYNET))
    assert [judge.shape for judge in pools[0]] == [judge.shape for judge in wanted]


def test_opponents_of_another_shape_and_other_files_are_refused_by_name(tmp_path, material):
    training(tmp_path, material).train(1, None, quiet)
    other = replace(RECIPE, scales=False)
    place = material, Accelerator(cpu=True)
    with pytest.raises(DataError, match=r"privacynet-opponents\.safetensors: its network 'd' has another shape"):
        runs.Run(PRIVACYNET, tmp_path / "other", other, *place, opponents=opponents_of(tmp_path, 1))
    with pytest.raises(WeightsError, match="privacynet-opponents"):
        runs.Run(PRIVACYNET, tmp_path / "other", RECIPE, *place, opponents=generator_of(tmp_path, 1))


def test_judges_that_a_file_has_no_room_for_are_left_out(tmp_path, material, monkeypatch):
    run = runs.Run(PRIVACYNET, tmp_path, RECIPE, material, Accelerator(cpu=True))
    run.trainer.step = 1
    whole = run.save_opponents("command").stat().st_size
    monkeypatch.setattr(opponents, "LIMIT", whole - 20_000)
    path = run.save_opponents("command")
    assert path.stat().st_size < whole
    (judge,) = judges_of(read_opponents(path, PRIVACYNET))
    assert torch.allclose(weights(judge), weights(run.trainer.judges[0]), atol=1e-3, rtol=1e-3)
    further = runs.Run(PRIVACYNET, tmp_path / "further", RECIPE, material, Accelerator(cpu=True), opponents=path)
    assert len(further.trainer.judges) == 1 and "judges" in further.trainer.train_step()


def test_a_file_of_opponents_is_at_most_twelve_megabytes():
    from facepriv_estimators.families import load_family

    d = Discriminator(OURS.generator.size, conditional=OURS.conditional, scales=OURS.scales, widest=OURS.critic_widest)
    others = sum(opponents._bytes(net) for net in (d, Judge(PROBE), load_family("a")[0]))
    assert opponents.LIMIT < 12e6 and others + 2 * opponents._bytes(Judge(JudgeShape(96, 32))) < opponents.LIMIT


def test_the_repository_holds_opponents_of_the_preset_with_a_narrower_critic():
    from facepriv_estimators.families import FamilyEstimator

    path = Path(__file__).parents[1] / "opponents" / "privacynet-opponents.safetensors"
    held = read_opponents(path, PRIVACYNET)
    d = Discriminator(OURS.generator.size, conditional=OURS.conditional, scales=OURS.scales, widest=128)
    nets = {"d": d, "probe": Judge(PROBE), "copy0": copy.deepcopy(FamilyEstimator("a", "gender").ranked_module())}
    for name, net in nets.items():
        net.load_state_dict(opponents._of(held, name))
    assert len(judges_of(held)) == 2 and path.stat().st_size < 6e6


def test_rounds_begin_with_a_weights_file_not_with_a_folder(tmp_path):
    (tmp_path / "run").mkdir()
    call = ["pack", "--matcher", "m", "-o", str(tmp_path / "out"), "--rounds", "2", "--start", str(tmp_path / "run")]
    result = CliRunner().invoke(command, call)
    assert isinstance(result.exception, UsageError) and "need a weights file" in str(result.exception)


def test_the_generator_of_one_round_is_exported_at_a_gain_and_its_curve_printed(tmp_path, material, monkeypatch):
    rounds_in = tmp_path / "run"
    training(rounds_in, material).train(1, None, quiet)
    whole = load_weights(generator_of(rounds_in, 1)).metadata.config["generator"]["limit"]
    monkeypatch.setattr(runs, "opened", lambda *_: (material, Accelerator(cpu=True)))
    monkeypatch.setattr(TrainingOptions, "recipe", lambda *_: RECIPE)
    call = ["pack", "--matcher", "m", "-o", str(rounds_in), "--rounds"]
    done = CliRunner().invoke(command, [*call, "1", "--export", "--gain", "0.5"], catch_exceptions=False)
    assert done.exit_code == 0 and str(generator_of(rounds_in, 1)) in done.stdout
    assert load_weights(generator_of(rounds_in, 1)).metadata.config["generator"]["limit"] == pytest.approx(whole / 2)
    done = CliRunner().invoke(command, [*call, "1", "--curve"], catch_exceptions=False)
    assert done.stdout.startswith("gain 0.55")
    none = CliRunner().invoke(command, [*call, "2", "--export"])
    assert isinstance(none.exception, DataError) and "train first" in str(none.exception)
