"""What all parts share: turns, ratios beside their bars, output, and processes of their own."""

import json
import subprocess

import click
import numpy as np
import pytest
from click.testing import CliRunner
from speed.harness import Ratio, Result, by_round, in_process, in_turns, part, within

from facepriv.errors import DataError, UsageError


def test_turns_warm_up_first_and_ratios_are_taken_round_by_round():
    order, clock = [], iter(np.cumsum([0, 1] * 100))
    jobs = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    assert in_turns(jobs, 3, clock=lambda: next(clock)) == {"a": [1, 1, 1], "b": [1, 1, 1]}
    assert order == ["a", "b"] * 5
    assert in_turns({"a": lambda: order.append("c")}, 2, warm_up=0)["a"] and order[-3:] == ["b", "c", "c"]
    assert by_round([2, 9, 4], [1, 3, 1]) == [2, 3, 4]


@pytest.mark.parametrize(
    ("rounds", "at_most", "text"),
    [
        ([9, 12, 31], False, "12 (9 to 31) times; at least 10: holds"),
        ([9, 8, 31], False, "9 (8 to 31) times; at least 10: FALLS SHORT"),
        ([9], True, "9 times; at most 10: holds"),
        ([10.5], True, "10.5 times; at most 10: FALLS SHORT"),
        ([float("nan")], True, "nan times; at most 10: FALLS SHORT"),
        ([9], None, "9 times"),
    ],
)
def test_the_median_decides_on_a_bar(rounds, at_most, text):
    ratio = Ratio("times", rounds) if at_most is None else Ratio("times", rounds, 10, at_most)
    assert str(ratio) == text and ratio.to_json()["holds"] is ("FALLS SHORT" not in text)


def test_a_part_prints_and_writes_its_result(tmp_path):
    @part(rounds=5, threads=None)
    @click.option("--size", default=1)
    def made(rounds, threads, size):
        """Help of the part."""
        if size == 0:
            raise UsageError("--size 0: too small")
        figures = {"given": [rounds, threads, size]}
        return Result("a title", ("head",), [("cell",)], {"times": Ratio("times", [3, 2], 1)}, figures, ["a note"])

    path = tmp_path / "result.json"
    done = CliRunner().invoke(made, ["--size", "4", "--threads", "2", "--json", str(path)])
    assert done.stdout.splitlines() == [
        "",
        "a title",
        "head",
        "cell",
        "2.5 (2 to 3) times; at least 1: holds",
        "a note",
    ]
    found = json.loads(path.read_text())
    assert found["given"] == [5, 2, 4] and found["ratios"]["times"]["median"] == 2.5 and found["title"] == "a title"
    assert "Help of the part." in CliRunner().invoke(made, ["--help"]).output
    wrong = CliRunner().invoke(made, ["--size", "0"])
    assert wrong.exit_code == 2 and wrong.stderr == "facepriv: error: --size 0: too small\n"


def test_a_process_of_its_own_answers_or_its_last_line_is_the_error():
    job = {"tool": "facepriv", "impostors": 40_000}
    assert in_process("scores", job)["impostors"] == 40_000
    with pytest.raises(DataError, match=r"a process of scores failed: .*too few for an FMR"):
        in_process("scores", job | {"impostors": 2000})
    with pytest.raises(subprocess.TimeoutExpired):
        in_process("scores", job, timeout=0.01)


def test_the_centre_of_a_box_decides():
    assert within((0, 0, 10, 10), (5, 5, 20, 20)) and not within((0, 0, 9, 10), (5, 5, 20, 20))
