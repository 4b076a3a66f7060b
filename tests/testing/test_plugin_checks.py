"""The checks of an installed component as a plugin, and checking by name."""

import subprocess
import sys

import pytest

from facepriv.testing import checks, run_checks

PLUGIN = """
    {imports}
    from facepriv.contracts import AttributeEstimator, Perturber
    from facepriv.hookspecs import Descriptor, hookimpl

    FACEPRIV_CONTRACT = 2

    @hookimpl
    def facepriv_components():
        attributes = {attributes}
        return [
            Descriptor("method", "negative", __name__ + ":Negative", {summary!r}, attributes=attributes),
            Descriptor("estimator", "coin", __name__ + ":Coin", "a coin", attributes=attributes),
        ]

    class Negative(Perturber):
        attributes = ("gender",)

        def _perturb(self, faces, source, target, strength, rngs):
            return 1 - faces.images

    class Coin(AttributeEstimator):
        attribute = "gender"

        def predict(self, images):
            return images.mean(axis=(1, 2))[:, :2]
"""


def outcome(name, check, kind="method"):
    return next(c for c in checks(name, kind) if c.name == check).result()


def install(install_plugin, imports="", attributes="('gender',)", summary="the negative"):
    install_plugin("acme-negative", PLUGIN.format(imports=imports, attributes=attributes, summary=summary))


def test_a_method_is_checked_by_its_installed_name(install_plugin):
    install(install_plugin)
    results = run_checks("negative")
    assert [r for r in results if not r.passed] == []
    assert [r.name for r in results[-2:]] == ["descriptor_agrees", "found_without_heavy_imports"]


def test_a_name_that_is_not_installed_fails_every_check_with_the_nearest_names(install_plugin):
    install(install_plugin)
    results = run_checks("negatve")
    assert not any(r.passed for r in results)
    assert all("unknown method 'negatve' (did you mean 'negative'" in r.detail for r in results)


@pytest.mark.parametrize("heavy", ["skimage", "scipy"])
def test_a_plugin_that_imports_a_heavy_library_is_found_out(install_plugin, heavy):
    install(install_plugin, imports=f"import {heavy}")
    detail = outcome("negative", "found_without_heavy_imports").detail
    assert detail.startswith("imports ") and heavy in detail


@pytest.mark.parametrize(("kind", "name"), [("method", "negative"), ("estimator", "coin")])
def test_a_descriptor_that_promises_other_attributes_is_found_out(install_plugin, kind, name):
    install(install_plugin, attributes="('gender', 'age')")
    result = outcome(name, "descriptor_agrees", kind)
    assert not result.passed
    assert "the descriptor names ('gender', 'age'), the class ('gender',)" in result.detail


def test_a_descriptor_of_an_unknown_attribute_is_found_out(install_plugin):
    install(install_plugin, attributes="('gendre',)")
    assert "unknown attribute 'gendre'" in outcome("negative", "descriptor_agrees").detail


@pytest.mark.parametrize("summary", ["", "two\nlines"])
def test_a_summary_is_one_line(install_plugin, summary):
    install(install_plugin, summary=summary)
    assert "a summary of one line" in outcome("negative", "descriptor_agrees").detail


def test_the_kit_needs_no_pytest():
    code = (
        "import sys; sys.modules['pytest'] = None; from facepriv.testing import run_checks; print(run_checks('x')[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "unknown method 'x'" in done.stdout
