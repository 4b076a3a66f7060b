"""Training: both ways do the same updates, the plain one computes more, figures are those of the run."""

import pytest
import torch
from facepriv_privacynet.players import Execution
from facepriv_privacynet.training import Trainer
from speed import training


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(training, "BLOCK", 6)


def test_both_ways_make_the_same_updates_and_figures_follow_from_the_seconds(measured):
    found, output = measured("training", "--tiny", "--batch", "2", "--rounds", "2")
    # G at each of 6 steps, D at every second, judges at each, copies at every second.
    assert found["updates_a_block"] == {"g": 6, "d": 3, "judges": 6, "copies": 3}
    assert "a block is 6 of g, 3 of d, 6 of judges, 3 of copies" in output
    for way in ("plain", "ours"):
        seconds = found[way]["seconds_a_block"]
        assert len(seconds) == 2
        assert found[way]["samples_a_second"] == pytest.approx(12 / (sum(seconds) / 2))
    assert found["plain"]["gigaflop_a_sample"] > 1.1 * found["ours"]["gigaflop_a_sample"]  # turns leave work out
    plain, ours = (found[way]["seconds_a_block"] for way in ("plain", "ours"))
    ratios = sorted(a / b for a, b in zip(plain, ours, strict=True))
    times = found["ratios"]["times_plain"]
    assert [times["least"], times["most"]] == pytest.approx(ratios) and times["bar"] == 2


def test_ways_that_make_other_updates_are_no_comparison(measured, monkeypatch):
    made = training.trainers

    def other(tiny, batch):
        plain, ours = made(tiny, batch)
        monkeypatch.setattr(plain, "copies_step", lambda real, changed: {})
        return plain, ours

    monkeypatch.setattr(training, "trainers", other)
    with pytest.raises(AssertionError, match="different numbers of updates"):
        measured("training", "--tiny", "--batch", "2", "--rounds", "2")


def test_the_fast_way_is_the_recipe_as_it_trains_and_the_plain_way_has_no_shortcut():
    plain, ours = training.trainers(True, 4)
    assert type(ours) is Trainer and ours.accelerator.native_amp and not plain.accelerator.native_amp
    assert ours.recipe.cycle_every > 1 and ours.recipe.penalty_every > 1 and ours.recipe.judges_each_step == 1
    assert (plain.recipe.cycle_every, plain.recipe.penalty_every) == (1, 1)
    every = [*plain.judges, *plain.fixed, *plain.copies]
    assert plain.teachers(None) == every and len(every) == 4
    assert plain.opt_g.param_groups[0]["fused"] is False and ours.opt_g.param_groups[0]["fused"]
    assert ours.faces.crops.is_contiguous(memory_format=Execution().layout)
    assert plain.faces.crops.is_contiguous()
    for name, net in plain.nets().items():  # both start alike
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), ours.nets()[name].parameters(), strict=True)), (
            name
        )
