"""Hostile input is read or refused in one line; and a crash, a hang or half a file would be noticed."""

import os
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import fuzz
import hostile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KINDS = tuple(fuzz.TARGETS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 2**32))
def test_hostile_input_is_read_or_refused(here, kind, number):
    what, detail = fuzz.attempt(kind, 1, number)
    assert what in (fuzz.READ, fuzz.REFUSED), (what, detail)


@pytest.mark.parametrize("kind", KINDS)
def test_sound_input_of_every_kind_is_read_now_and_then(here, kind):
    assert {fuzz.attempt(kind, 0, number)[0] for number in range(150)} == {fuzz.READ, fuzz.REFUSED}


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_makes_one_input_whatever_was_made_before(kind):
    make = getattr(hostile, kind)
    first, *others = (make(np.random.default_rng([7, seed])) for seed in range(400))
    assert make(np.random.default_rng([7, 0])) == first and first != others[0]
    assert hostile.ODD[-5:] == ([], [[]], {}, {"file": []}, [None] * 50)


def broken(monkeypatch, target):
    monkeypatch.setitem(fuzz.TARGETS, "image", target)
    return fuzz.attempt("image", 0, 0)


def test_what_is_no_refusal_is_a_finding(here, monkeypatch):
    def fails(rng):
        raise KeyError("x")

    def leaves(rng):
        Path(".facepriv-1.tmp").touch()

    assert broken(monkeypatch, fails) == ("error", "KeyError: 'x'")
    assert broken(monkeypatch, leaves)[0] == "partial file"


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_input_crashes_and_hangs_nothing(tmp_path, long, seed, kind):
    """In a watched process; with --long as many inputs as a release is tried with."""
    jobs = [partial(fuzz.attempt, kind, seed, number) for number in range(1500 if long else 3)]
    found = dict(enumerate(fuzz.watched(jobs, tmp_path)))
    print(f"{kind}, seed {seed}: {dict(Counter(what for what, _ in found.values()))}")
    assert len(found) == len(jobs)
    assert not {number: outcome for number, outcome in found.items() if outcome[0] not in (fuzz.READ, fuzz.REFUSED)}


def test_a_crash_and_a_hang_are_noticed_and_the_next_input_is_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(fuzz, "LIMIT", 0.5)
    jobs = [
        partial(os._exit, 9),
        partial(time.sleep, 60),
        partial(os.abort),
        partial(tuple, ("read", "")),
    ]
    (exited, _), (hung, trace), (crashed, fatal), last = fuzz.watched(jobs, tmp_path)
    assert (exited, hung, crashed, last) == ("died", "died", "died", ("read", ""))
    assert "Timeout" in trace and "Fatal Python error: Aborted" in fatal


def test_a_slow_input_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "time", SimpleNamespace(monotonic=iter([0.0, 31.0]).__next__))
    what, detail = fuzz._timed(lambda: ("read", "x"), tmp_path, 30.0)
    assert what == "slow" and "read x" in detail
