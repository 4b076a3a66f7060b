"""Runs parts of the speed benchmarks in this process."""

import json
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))


@pytest.fixture
def measured(tmp_path):
    """Return ``measured(part, *arguments)``: runs a part; returns its JSON and what it printed."""
    from bench import main

    def run(*arguments):
        path = tmp_path / "result.json"
        done = CliRunner().invoke(main, [*map(str, arguments), "--json", str(path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(path.read_text()), done.output

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def refused():
    """Return ``refused(part, *arguments)``: runs a part that refuses its options in one line; returns the line."""
    from bench import main

    def run(*arguments):
        done = CliRunner().invoke(main, [*map(str, arguments)])
        assert done.exit_code == 2 and done.stderr.count("\n") == 1
        return done.stderr

    return run
