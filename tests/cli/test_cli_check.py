"""`facepriv check`."""

from click.testing import CliRunner

from facepriv.cli import main

FLAT = """
    from facepriv.contracts import Perturber
    from facepriv.hookspecs import Descriptor, hookimpl

    FACEPRIV_CONTRACT = 2

    @hookimpl
    def facepriv_components():
        return [Descriptor("method", "flat", __name__ + ":Flat", "a flat face", attributes=("gender",))]

    class Flat(Perturber):
        attributes = ("gender",)

        def _perturb(self, faces, source, target, strength, rngs):
            return faces.images * (1 - strength)
"""
BROKEN_PLUGIN = "FACEPRIV_CONTRACT = 2\nimport no_such_library\n"
LATE = """
    from facepriv.hookspecs import Descriptor, hookimpl

    FACEPRIV_CONTRACT = 2

    @hookimpl
    def facepriv_components():
        return [Descriptor("method", "late", "late_part:Late", "late", attributes=("gender",))]
"""


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


def test_one_cause_is_one_line_and_comes_first(tiny):
    first, second, *rest = call("misshapen").stdout.splitlines()
    assert first == "FAIL shape_and_dtype: Misshapen returned (3, 127, 128, 3), expected (3, 128, 128, 3)"
    assert second.startswith("     14 further checks failed for the same reason: global_random_state_untouched, ")
    assert rest and all(line.startswith("ok   ") for line in rest)


def test_traceback_shows_where_it_was_raised(tiny):
    assert "Traceback" not in call("weightless").stdout
    lines = call("weightless", "--traceback").stdout.splitlines()
    assert lines[0].startswith("FAIL works: tiny.safetensors: SHA-256 is wrong")
    assert lines[1] == "     Traceback (most recent call last):"
    assert any('tiny_methods.py", line ' in line and line.endswith("in _perturb") for line in lines)


def test_a_warning_is_no_failure(install_plugin):
    install_plugin("acme-flat", FLAT)
    result = call("flat")
    assert result.exit_code == 0
    assert any(line.startswith("warn paste_suits_the_change: ") for line in result.stdout.splitlines())
    assert "checks passed, 1 of them with a warning" in result.stderr


def test_a_plugin_that_cannot_be_imported_says_why_and_on_request_where(install_plugin):
    install_plugin("acme-blur", BROKEN_PLUGIN)
    result = call("blur")
    assert result.exit_code == 2
    assert "not loaded: acme-blur: ModuleNotFoundError: No module named 'no_such_library'" in result.stderr
    assert "Traceback" not in result.stderr
    shown = call("blur", "--traceback").stderr
    assert "acme_blur.py" in shown and "import no_such_library" in shown


def test_a_method_whose_module_cannot_be_imported_fails_once_with_the_import_error(install_plugin):
    install_plugin("acme-late", LATE)
    result = call("late")
    fails = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert result.exit_code == 1 and len(fails) == 1
    assert "ModuleNotFoundError: No module named 'late_part'" in fails[0]


def test_an_unknown_method_is_a_usage_error(tiny):
    result = call("nois")
    assert result.exit_code == 2
    assert "unknown method 'nois' (did you mean 'noise'" in result.stderr


def test_estimators_can_be_checked(tiny):
    assert call("bright-gender", "--kind", "estimator").exit_code == 0
    assert "unknown matcher" in call("bright-gender", "--kind", "matcher").stderr
