"""`methods`, `plugins`, `train`, and what all commands do with errors."""

import errno
import json

import click
import pytest
from click.testing import CliRunner

import facepriv
from facepriv.cli import COMMANDS, main

BROKEN = "raise RuntimeError('no luck\\ntoday')"
CLASH = """
from facepriv.hookspecs import Descriptor, hookimpl
FACEPRIV_CONTRACT = 2
@hookimpl
def facepriv_components():
    return [Descriptor("method", "darken", "nowhere:Nothing", "also called darken")]
"""


def call(*arguments):
    return CliRunner().invoke(main, arguments)


def test_help_lists_every_command_without_importing_one():
    result = call("--help")
    assert result.exit_code == 0
    for name, summary in COMMANDS.items():
        assert name in result.stdout
        assert summary.split()[0] in result.stdout


def test_every_listed_command_is_there():
    for name in COMMANDS:
        result = call(name, "--help")
        assert result.exit_code == 0, (name, result.output)
        assert f"facepriv {name}" in result.stdout.replace("main", "facepriv")


def test_version():
    assert call("--version").stdout == f"facepriv, version {facepriv.__version__}\n"


def test_an_unknown_command_is_a_usage_error():
    result = call("aply")
    assert result.exit_code == 2
    assert "aply" in result.stderr


def test_plugins_are_listed_with_version_and_components(tiny):
    result = call("plugins")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines() if line.startswith("tiny-plugin")]
    assert [(line[1], line[2]) for line in lines] == [
        ("1.5", kind) for kind in ("method", "estimator", "trainer", "converter", "exporter")
    ]
    assert lines[0][3] == "darken,"
    assert lines[2][3:] == ["nothing"]


def test_a_broken_plugin_is_one_line_and_the_others_work(tiny, install_plugin):
    install_plugin("unlucky", BROKEN)
    result = call("plugins")
    assert result.exit_code == 0
    assert "plugin 'unlucky' of unlucky was not loaded: RuntimeError: no luck today\n" in result.stderr
    assert "tiny-plugin" in result.stdout
    methods = call("methods")
    assert methods.exit_code == 0
    assert "darken" in methods.stdout
    assert "unlucky" in methods.stderr


def test_strict_makes_a_broken_plugin_an_error(tiny, install_plugin):
    install_plugin("unlucky", BROKEN)
    assert call("plugins", "--strict").exit_code == 1


def test_plugins_as_json_say_what_is_wrong(tiny, install_plugin):
    install_plugin("unlucky", BROKEN)
    install_plugin("other-darken", CLASH)
    content = json.loads(call("plugins", "--json").stdout)
    plugins = {plugin["distribution"]: plugin for plugin in content["plugins"]}
    assert plugins["unlucky"]["error"] == "RuntimeError: no luck today"
    assert plugins["tiny-plugin"]["error"] == ""
    assert {"kind": "method", "name": "grey", "summary": "test method grey"} in plugins["tiny-plugin"]["components"]
    assert any("other-darken and tiny-plugin" in text for text in content["clashes"])


def test_a_clash_is_an_error_of_the_method_and_of_strict_plugins(tiny, install_plugin):
    install_plugin("other-darken", CLASH)
    assert call("plugins", "--strict").exit_code == 1
    result = call("check", "darken")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "other-darken and tiny-plugin" in result.stderr


class TestTrain:
    """Trainers are the plugins' own click commands."""

    @pytest.mark.parametrize(
        ("command", "options", "printed"),
        [
            ("train", ["--steps", "3"], "trained 3 steps"),
            ("convert", [], "converted nothing"),
            ("export", [], "exported nothing"),
        ],
    )
    def test_trainers_converters_and_exporters_are_listed_and_run_with_their_options(
        self, tiny, command, options, printed
    ):
        assert f"{command}s nothing" in call(command, "--help").stdout
        result = call(command, "nothing", *options)
        assert (result.exit_code, result.stdout) == (0, f"{printed}\n")

    def test_an_unknown_trainer_gives_the_nearest(self, tiny):
        result = call("train", "nothin")
        assert result.exit_code == 2
        assert result.stderr.startswith("facepriv: error: unknown trainer 'nothin' (did you mean 'nothing'?)")


class TestErrors:
    """Whatever a command raises on purpose becomes one line and an exit code."""

    @pytest.mark.parametrize(
        ("error", "code", "text"),
        [
            (facepriv.errors.UsageError("wrong\ncall"), 2, "wrong call"),
            (facepriv.errors.DataError("no data"), 1, "no data"),
            (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 1, "/x/y: Permission denied"),
            (OSError(errno.ENOSPC, "No space left on device"), 1, "[Errno 28] No space left on device"),
            (KeyboardInterrupt(), 130, "interrupted"),
        ],
    )
    def test_one_line_and_a_code(self, monkeypatch, error, code, text):
        @click.command()
        def fails():
            raise error

        monkeypatch.setattr("facepriv.cli.methods.command", fails)
        result = call("methods")
        assert (result.exit_code, result.stderr, result.stdout) == (code, f"facepriv: error: {text}\n", "")

    def test_a_bug_keeps_its_traceback(self, monkeypatch):
        @click.command()
        def fails():
            raise ZeroDivisionError

        monkeypatch.setattr("facepriv.cli.methods.command", fails)
        assert isinstance(call("methods").exception, ZeroDivisionError)
