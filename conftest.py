"""What holds for all tests of the repository."""

import sys

import pytest


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """Let each test choose its precision: accelerate keeps the first for the life of a process."""
    yield
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state(reset_partial_state=False)
