"""`facepriv check`."""

from click.testing import CliRunner

from facepriv.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["check", *arguments])


def test_a_method_that_conforms_passes_every_check(tiny):
    result = call("noise")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) > 10
    assert all(line.startswith("ok   ") for line in lines)
    assert f"noise: {len(lines)} of {len(lines)} checks passed" in result.stderr


def test_a_method_that_does_not_conform_fails_with_a_line_that_says_why(tiny):
    result = call("misshapen")
    assert result.exit_code == 1
    assert any(line.startswith("FAIL ") and "Misshapen returned" in line for line in result.stdout.splitlines())


def test_an_unknown_method_is_a_usage_error(tiny):
    result = call("nois")
    assert result.exit_code == 2
    assert "unknown method 'nois' (did you mean 'noise'" in result.stderr


def test_estimators_can_be_checked(tiny):
    assert call("bright-gender", "--kind", "estimator").exit_code == 0
    assert "unknown matcher" in call("bright-gender", "--kind", "matcher").stderr
