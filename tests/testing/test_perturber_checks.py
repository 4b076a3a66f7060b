"""Every check of the conformance kit passes a method that is right and fails one that is wrong in just that point."""

import os
import re
import socket
import sys
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from kit_methods import broken_chance, broken_form, broken_side_effects
from kit_methods.broken_chance import BuildsANetwork, KeepsItsNetwork
from kit_methods.broken_form import Identity
from kit_methods.broken_side_effects import (
    BROKEN_WEIGHTS,
    AsksTheNetwork,
    ReadsInConstructor,
    ReadsWeightsInConstructor,
)
from kit_methods.right import Darken, Landmarked, Noise, Tint

from facepriv.testing import Check, checks, run_checks
from facepriv.testing.core import NotApplicable
from facepriv.testing.perturbers import CHECKS
from facepriv.weights import Provenance, WeightsMetadata, save_weights

BROKEN = [*broken_form.BROKEN, *broken_chance.BROKEN, *broken_side_effects.BROKEN]


@pytest.fixture
def tint(tmp_path):
    path = tmp_path / "tint.safetensors"
    metadata = WeightsMetadata("tint", Provenance("nothing", "a test", "2024-05-01"))
    save_weights(path, {"colour": np.array([0.9, 0.5, 0.1], np.float32)}, metadata)
    return path


@pytest.mark.parametrize("method", [Darken, Noise, Landmarked], ids=lambda method: method.__name__)
def test_a_method_that_is_right_passes_every_check(method):
    results = run_checks(method)
    assert [r.name for r in results] == [check.__name__ for check in CHECKS]
    assert [r for r in results if not r.passed] == []


def test_a_method_with_weights_that_is_right_passes_every_check(tint):
    results = {r.name: r for r in run_checks(partial(Tint, weights=tint))}
    assert [r for r in results.values() if not r.passed] == []
    assert results["weights_round_trip"].detail == ""


def only(name, subject):
    return next(check for check in checks(subject) if check.name == name)


@pytest.mark.parametrize(("name", "method", "detail"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_check_fails_the_method_that_breaks_it_and_says_why(name, method, detail):
    if method in (BuildsANetwork, KeepsItsNetwork):
        pytest.importorskip("torch")
    result = only(name, method).result()
    assert not result.passed
    assert re.search(detail, result.detail), result.detail
    assert "\n" not in result.detail


@pytest.mark.parametrize(("method", "detail"), BROKEN_WEIGHTS, ids=lambda value: getattr(value, "__name__", None))
def test_the_weights_check_fails_the_method_that_breaks_it(tint, method, detail):
    method.default = tint
    result = only("weights_round_trip", partial(method, weights=tint)).result()
    assert not result.passed
    assert re.search(detail, result.detail), result.detail


def test_reading_weights_in_the_constructor_is_seen(tint):
    result = only("constructor_reads_nothing", partial(ReadsWeightsInConstructor, weights=tint)).result()
    assert not result.passed
    assert str(tint) in result.detail


def test_no_check_is_without_a_method_that_fails_it():
    elsewhere = {"weights_round_trip", "paste_suits_the_change"}  # the latter warns: see test_detail.py
    assert {name for name, _, _ in BROKEN} | elsewhere == {check.__name__ for check in CHECKS}


# How checks are put together and run.


def test_a_check_that_does_not_apply_says_so_and_is_a_skipped_test():
    check = only("weights_round_trip", Darken)
    assert check.result().passed
    assert check.result().detail == "not applicable: info() names no weights"
    with pytest.raises(pytest.skip.Exception if issubclass(NotApplicable, pytest.skip.Exception) else NotApplicable):
        check()


def test_an_instance_is_checked_as_a_copy_and_stays_as_it_was(tint):
    method = Tint(tint)
    results = {r.name: r for r in run_checks(method)}
    assert [r for r in results.values() if not r.passed] == []
    assert results["weights_round_trip"].detail == "not applicable: an instance was given: give its class or a factory"
    assert method.colour is None


def test_a_called_check_raises_and_its_name_is_its_id():
    check = only("changes_the_face", Identity)
    assert str(check) == "changes_the_face"
    with pytest.raises(AssertionError, match="unchanged faces"):
        check()


def test_a_method_that_exits_is_a_failed_check():
    def leave():
        raise SystemExit("bye")

    assert Check("leaves", leave).result().detail.startswith("SystemExit: bye (test_perturber_checks.py, line ")


def test_the_script_that_runs_is_code_and_may_be_read(monkeypatch):
    # Importing torch reads it, and bin/facepriv has no suffix.
    monkeypatch.setattr(sys.modules["__main__"], "__file__", os.devnull, raising=False)
    assert only("constructor_reads_nothing", ReadsInConstructor).result().passed


def test_checks_remove_their_observers():
    with suppress(AssertionError):
        only("no_network", AsksTheNetwork)()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", 9))  # not refused any more
