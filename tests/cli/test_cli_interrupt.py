"""Kill -9 and Ctrl-C in the middle of a folder, for real: no partial file, and `--resume` finishes exactly the rest."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from facepriv.protection.manifest import read_run
from facepriv.protection.options import Options
from facepriv.protection.run import make_plan, run_plan

COUNT = 16
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


@pytest.fixture
def expected(tiny, photos, tmp_path):
    """Name -> bytes of a whole run over ``photos/``, made in this process."""
    options = Options(inputs=(str(photos(COUNT)),), out=str(tmp_path / "whole"), methods=("noise", "slow"), workers=0)
    assert run_plan(make_plan(options, tiny)).done == COUNT
    return {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("*.png")}


def start(tmp_path, *options):
    """Start a run over ``photos/`` into ``out/`` as a shell does: in a process group of its own."""
    line = "apply photos -o out --method noise --method slow --obfuscate gender --workers 2 --batch-size 2"
    command = [sys.executable, "-m", "facepriv", *line.split(), *options]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=tmp_path, preexec_fn=_hear_ctrl_c, **how)


def _hear_ctrl_c():
    """A suite that was started in the background ignores Ctrl-C, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_for_outputs(process, out, count):
    """Wait until a few photos are out; the run must not be over by then."""
    end = time.monotonic() + 300
    while len(list(out.glob("*.png"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no output within five minutes"
        time.sleep(0.01)


def check_rest(tmp_path, expected):
    """Every file that is there is whole; `--resume` leaves it alone and makes exactly the others."""
    out = tmp_path / "out"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("*.png")}
    assert 0 < len(before) < COUNT
    for name, (data, _) in before.items():
        assert data == expected[name]
        Image.open(io.BytesIO(data)).load()
    assert {path.name for path in out.iterdir()} == {*before, "facepriv-run"}

    resumed = start(tmp_path, "--resume")
    _, errors = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, errors
    assert f"{COUNT - len(before)} protected" in errors
    assert f"{len(before)} done already" in errors
    assert {path.name: path.read_bytes() for path in out.glob("*.png")} == expected
    assert all((out / name).stat().st_mtime_ns == time_ns for name, (_, time_ns) in before.items())
    rows = read_run(out).rows
    assert sorted(rows) == sorted(expected)
    assert {row.status for row in rows.values()} == {"ok"}
    assert {path.name for path in out.iterdir()} == {*expected, "facepriv-run"}
    assert {path.name for path in (out / "facepriv-run").iterdir()} == {"manifest.jsonl", "run.json"}


def test_kill_9_in_the_middle_of_a_folder(expected, tmp_path):
    process = start(tmp_path)
    wait_for_outputs(process, tmp_path / "out", 3)
    process.kill()
    process.communicate()
    check_rest(tmp_path, expected)


def test_ctrl_c_in_the_middle_of_a_folder(expected, tmp_path):
    process = start(tmp_path)
    wait_for_outputs(process, tmp_path / "out", 3)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group, workers included
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 130
    assert stdout == ""
    (line,) = [line for line in stderr.splitlines() if not line.endswith("left")]
    assert line.startswith("facepriv: error: interrupted; what is done is whole; run the same command with --resume")
    assert not list((tmp_path / "out/facepriv-run").glob(".*"))
    check_rest(tmp_path, expected)
