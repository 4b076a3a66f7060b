"""The training benchmark: rows do the same updates, the plain way computes more, figures are those of the run."""

import json
from dataclasses import fields, replace
from itertools import pairwise

import pytest
from click.testing import CliRunner


@pytest.fixture(autouse=True)
def short(bench_train, monkeypatch):
    monkeypatch.setattr(bench_train, "BLOCK", 6)


def test_both_ways_make_the_same_updates_and_figures_follow_from_the_seconds(bench_train, tmp_path):
    path = tmp_path / "result.json"
    call = ["--tiny", "--ends", "--batch", "2", "--rounds", "2", "--device", "cpu", "--json", str(path)]
    done = CliRunner().invoke(bench_train.main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    result = json.loads(path.read_text())
    # G at each of 6 steps, D at every second, judges at each, copies at every second.
    assert result["updates_a_block"] == {"g": 6, "d": 3, "judges": 6, "copies": 3}
    rows = result["rows"]
    assert len(rows) == 2 and rows[0]["row"].startswith("plain") and "bfloat16" in rows[-1]["row"]
    for row in rows:
        assert len(row["seconds_a_block"]) == 2 and row["least"] <= row["samples_a_second"] <= row["most"]
        assert row["most"] == pytest.approx(12 / min(row["seconds_a_block"]))
    assert rows[0]["gigaflop_a_sample"] > 1.1 * rows[1]["gigaflop_a_sample"]  # terms in turns leave work out
    seconds = [row["seconds_a_block"] for row in (rows[0], rows[-1])]
    ratios = sorted(a / b for a, b in zip(*seconds, strict=True))
    assert [result["ratio_least"], result["ratio_most"]] == pytest.approx(ratios)
    assert ("holds" if result["ratio"] >= 2 else "FALLS SHORT") in done.output
    assert "updates a block, in every row: " in done.output


def test_rows_that_make_other_updates_are_no_comparison(bench_train):
    plain, *_, ours = bench_train.rows(bench_train.TINY, "cpu")
    other = replace(ours, recipe=replace(ours.recipe, critic_every=3))
    with pytest.raises(AssertionError, match="different numbers of updates"):
        bench_train.measure([plain, other], "cpu", 2, tiny=True)


def test_the_way_with_all_tricks_is_the_recipe_as_it_trains(bench_train):
    recipe = bench_train.OURS
    plain, *between, ours = bench_train.rows(recipe, "cpu")
    assert (plain.recipe.cycle_every, plain.recipe.penalty_every) == (1, 1) and plain.all_teach and plain.own_views
    assert not (plain.execution.channels_last or plain.execution.fused) and plain.precision == "no"
    steps = [plain, *between, ours]  # each row differs from the one above in one thing
    for one, other in pairwise(steps):
        assert sum(getattr(one, f.name) != getattr(other, f.name) for f in fields(one) if f.name != "name") == 1
    assert (ours.recipe, ours.execution, ours.precision) == (recipe, bench_train.Execution(), "bf16")
    assert not ours.all_teach and not ours.own_views
    assert bench_train.rows(recipe, "cuda")[-1].execution.backend == "inductor"
