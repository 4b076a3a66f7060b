"""Lets the tests, and the processes that they start, import what is beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def long(request):
    """Whether to test as long as before a release (``--long``)."""
    return request.config.getoption("--long")


@pytest.fixture
def seed(request):
    """Seed of the inputs, and of the times of kills (``--seed``)."""
    return request.config.getoption("--seed")
