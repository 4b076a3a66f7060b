"""The options that trainers share: what they become, and which exclude each other."""

from dataclasses import dataclass, fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from facepriv.errors import UsageError
from facepriv.training.options import TrainingOptions, show_results, training_options


@dataclass(frozen=True)
class Recipe:
    steps: int = 100
    batch: int = 12
    w_identity: float = 14.0
    critic_every: int = 2


def trainer(seen, **settings):
    """A command with the shared options, and one of its own; it adds what it is given to `seen`."""

    @click.command("mine")
    @training_options(weights="mine.safetensors", start="Where it begins.", **settings)
    @click.option("--own", default="nothing")
    def command(options, own):
        seen.append((options, own))

    return command


def called(*words, **settings):
    seen = []
    result = CliRunner().invoke(trainer(seen, **settings), ["PACK", "-o", "OUT", "--matcher", "M", *words])
    return result, seen


def test_a_command_is_given_the_shared_options_as_one_and_its_own_beside_them():
    words = ["--start", "S", "--steps", "3", "--batch", "2", "--minutes", "1.5", "--precision", "no"]
    words += ["--threads", "2", "--export", "--gain", "0.5", "--own", "x"]
    result, ((options, own),) = called(*words, "--set", "a=1", "--set", "b=2")
    assert result.exit_code == 0 and own == "x"
    paths = {"pack": Path("PACK"), "out": Path("OUT"), "matcher": Path("M"), "start": Path("S")}
    numbers = {"steps": 3, "batch": 2, "minutes": 1.5, "threads": 2, "gain": 0.5}
    rest = {"precision": "no", "changes": ("a=1", "b=2"), "export": True, "curve": False}
    assert {f.name: getattr(options, f.name) for f in fields(options)} == {**paths, **numbers, **rest}


@pytest.mark.parametrize("words", [["--gain", "0.5"], ["--gain", "0.5", "--curve"], ["--export", "--curve"]])
def test_options_that_exclude_each_other_are_refused_before_the_command_runs(words):
    result, seen = called(*words)
    assert isinstance(result.exception, UsageError) and "--export" in str(result.exception) and not seen


def test_limits_are_those_of_the_trainer():
    for words, settings in (
        (["--batch", "1"], {"smallest_batch": 2}),
        (["--export", "--gain", "1.1"], {}),
        (["--export", "--gain", "4.1"], {"largest_gain": 4.0}),
        (["--threads", "0"], {}),
    ):
        result, seen = called(*words, **settings)
        assert result.exit_code == 2 and words[-2] in result.output and not seen
    assert called("--batch", "1", "--export", "--gain", "0.9")[1]
    assert called("--export", "--gain", "3.9", largest_gain=4.0)[1]


def test_a_matcher_is_required_where_it_teaches():
    for matched, code in ((True, 2), (False, 0)):
        result = CliRunner().invoke(trainer([], matched=matched), ["PACK", "-o", "OUT"])
        assert result.exit_code == code and ("'--matcher'" in result.output) == matched


def test_recipe_changes_are_parsed_and_misspelt_ones_named():
    def recipe(*words):
        return called(*words)[1][0][0].recipe(Recipe())

    changed = recipe("--steps", "7", "--set", "w_identity=3.5", "--set", "critic_every=4")
    assert changed == Recipe(steps=7, w_identity=3.5, critic_every=4)
    assert recipe("--set", "batch=5", "--batch", "6").batch == 6
    with pytest.raises(UsageError, match="did you mean 'w_identity'"):
        recipe("--set", "w_identiti=3")
    with pytest.raises(UsageError, match="is no int"):
        recipe("--set", "critic_every=often")


class Run:
    def curve(self):
        yield from ("gain 0.50", "gain 1.00")

    def export(self, shown, gain):
        return Path("mine.safetensors"), {"cosine": gain, "words": len(shown.split())}


@pytest.mark.parametrize(
    ("words", "shown", "printed"),
    [
        ([], False, ""),
        (["--curve"], True, "gain 0.50\ngain 1.00\n"),
        (["--export", "--gain", "0.25"], True, "mine.safetensors  cosine 0.250  words 2.000\n"),
    ],
)
def test_results_are_shown_where_they_are_asked_for(words, shown, printed, capsys):
    _, ((options, _),) = called(*words)
    assert isinstance(options, TrainingOptions)
    assert show_results(Run(), options, "the command") is shown
    assert capsys.readouterr().out == printed
