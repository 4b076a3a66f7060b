"""Hostile input is read or refused in one line; and a crash, a hang or half a file would be noticed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facepriv.errors import UsageError

KINDS = ("image", "manifest", "shard", "weights", "table", "arguments")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 2**32))
def test_hostile_input_is_read_or_refused(fuzz, here, kind, number):
    what, detail = fuzz.attempt(kind, 1, number)
    assert what in (fuzz.READ, fuzz.REFUSED), (what, detail)


@pytest.mark.parametrize("kind", KINDS)
def test_sound_input_of_every_kind_is_read_now_and_then(fuzz, here, kind):
    assert {fuzz.attempt(kind, 0, number)[0] for number in range(150)} == {fuzz.READ, fuzz.REFUSED}


def test_one_seed_makes_one_input(fuzz):
    for kind in KINDS:
        make = getattr(fuzz.hostile, kind)
        first, again, other = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
        assert first == again and first != other


def broken(fuzz, monkeypatch, target):
    monkeypatch.setitem(fuzz.TARGETS, "image", target)
    return fuzz.attempt("image", 0, 0)


def test_what_is_no_refusal_is_a_finding(fuzz, here, monkeypatch):
    def fails(rng):
        raise KeyError("x")

    def leaves(rng):
        Path(".facepriv-1.tmp").touch()

    assert broken(fuzz, monkeypatch, fails) == ("error", "KeyError: 'x'")
    assert broken(fuzz, monkeypatch, leaves)[0] == "partial file"


class Ends:
    """Stands in for the process that tries inputs: dies on the first, sleeps on the second, answers the third."""

    def __call__(self, pipe, folder):
        pipe.send("ready")
        while True:
            number = pipe.recv()[2]
            if number == 0:
                os._exit(9)
            if number == 1:
                time.sleep(60)
            pipe.send(("read", ""))


def test_a_crash_and_a_hang_are_noticed_and_the_next_input_is_tried(fuzz, monkeypatch, tmp_path):
    monkeypatch.setattr(fuzz, "_work", Ends())
    monkeypatch.setattr(fuzz, "LIMIT", 0.5)
    with fuzz.Watched(tmp_path) as worker:
        found = [worker.ask("image", 0, number) for number in range(3)]
    assert [what for what, _, _ in found] == ["crash", "hang", "read"] and "exit code 9" in found[0][2]


def test_the_script_counts_and_ends_with_success(fuzz, tmp_path):
    given = ["--inputs", "3", "--kind", "manifest", "--kind", "weights", "--json", str(tmp_path / "found.json")]
    done = subprocess.run([sys.executable, fuzz.__file__, *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert {kind: sum(count.values()) for kind, count in found["counts"].items()} == {"manifest": 3, "weights": 3}
    assert not found["findings"]
    wrong = CliRunner().invoke(fuzz.main, ["--kind", "pictures"])
    assert wrong.exit_code == UsageError.exit_code and "there are image, manifest" in wrong.output
