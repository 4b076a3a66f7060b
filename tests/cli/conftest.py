"""What several tests of commands share."""

import pytest
from click.testing import CliRunner

from facepriv.cli import console, main


@pytest.fixture
def call_with_workers(tiny, tmp_path, monkeypatch):
    """Return ``call("apply options")``, run in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console._Lines, "interval", float("inf"))  # no progress lines, however slow the machine is

    def run(line):
        return CliRunner().invoke(main, ["apply", *line.split()])

    return run


@pytest.fixture
def call(call_with_workers, one_process):
    """Return the same, without processes: which engine does the work matters to few tests here."""
    return call_with_workers
