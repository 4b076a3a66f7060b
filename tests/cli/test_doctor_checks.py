"""The examination of an installation, and `facepriv doctor`."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from facepriv.cli import doctor_checks as doctor
from facepriv.cli import main
from facepriv.cli.doctor_checks import Diagnosis, examine
from facepriv.errors import PluginError, UntrainedError
from facepriv.registry import Plugin, Registry


def only(tiny, *names):
    """Return a registry of a few of the tiny plugin's components, and a broken plugin."""
    (plugin,) = tiny.plugins
    kept = replace(plugin, components=tuple(d for d in plugin.components if d.name in names))
    return Registry([kept, Plugin("broken", "broken-plugin", "1", error="ImportError: no")])


def test_a_sound_installation_has_no_failure(tiny):
    found = list(examine(only(tiny, "darken", "dots", "bright-gender", "from-a-file")))
    assert [f for f in found if f.status == "fail"] == []
    by_subject = {f.subject: f for f in found}
    for subject in ("Python", "facepriv", "numpy", "dlib-bin", "5 landmarks", "68 landmarks", "device", "self-test"):
        assert by_subject[subject].status == "ok", subject
    assert by_subject["method dots"].text.startswith("works, mean change of the crop 0.")
    assert by_subject["estimator bright-gender"].text == "works"
    assert by_subject["estimator from-a-file"].text == "not tried: missing a required argument: 'path'"
    assert any(f.status == "warn" and "broken-plugin" in f.text for f in found)


def test_what_is_broken_is_a_failure_and_the_rest_is_examined(tiny, monkeypatch):
    def missing(name):
        raise PluginError(f"{name}: missing, reinstall it")

    monkeypatch.setattr("facepriv.faces.models.model_file", missing)
    monkeypatch.setattr(doctor, "LIBRARIES", (("no_such_module", "no-such", True, ""), ("gone", "gone", False, "x")))
    failed = {
        f.subject
        for f in examine(only(tiny, "weightless", "misshapen", "unloadable"), "nonsense")
        if f.status == "fail"
    }
    assert failed >= {"no-such", "5 landmarks", "device", "method weightless", "method misshapen", "method unloadable"}
    assert "gone" not in failed


def test_a_method_that_comes_without_weights_is_a_warning():
    def untrained():
        raise UntrainedError("train it")

    assert doctor._attempt("method x", untrained, "a hint") == Diagnosis("warn", "method x", "train it")


def test_without_the_portrait_the_self_test_is_left_out_with_a_warning(tiny, monkeypatch):
    monkeypatch.setattr(doctor, "_portrait", lambda: None)
    last = list(examine(only(tiny, "darken")))[-1]
    assert (last.status, last.subject) == ("warn", "self-test")


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_command_prints_a_line_a_finding_and_exits_with_1_on_a_failure(monkeypatch, status, code):
    monkeypatch.setattr(doctor, "examine", lambda registry, device: iter([Diagnosis(status, "thing", f"on {device}")]))
    result = CliRunner().invoke(main, ["doctor", "--device", "cpu"])
    assert result.exit_code == code
    assert result.stdout == f"{status:4} thing: on cpu\n"
