"""The conformance kit; fewer steps than usual, which all do the same."""

from functools import partial

import pytest

from facepriv.registry import registry
from facepriv.testing import checks

FEW_STEPS = checks(partial(registry().create, "method", "k-attribute", steps=3))
#: What is checked of the descriptor alone.
INSTALLED = checks("k-attribute")[len(FEW_STEPS) :]


@pytest.mark.parametrize("check", [*FEW_STEPS, *INSTALLED], ids=str)
def test_conforms(check):
    check()


def test_the_descriptor_is_checked_too():
    assert INSTALLED
