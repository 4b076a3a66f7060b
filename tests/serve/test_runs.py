"""A folder: the same result as `apply`, in a process of its own that page and server may leave alone."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from facepriv.cli import main
from facepriv.errors import UsageError
from facepriv.serve.root import Root
from facepriv.serve.run_record import RunRecord, records_folder, turn
from facepriv.serve.runs import OVER, Runs

ASK = {"method": "darken", "hide": ["gender"]}
SLOW = {"method": "slow", "hide": ["gender"]}


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def place(tiny, tmp_path, photos):
    """The runs of a root with three photos and a text that is named like one."""
    photos(3, "root/photos")
    (tmp_path / "root/photos/torn.jpg").write_text("no photo")
    return Runs(Root(tmp_path / "root"))


def one(runs):
    (found,) = runs.listed()
    return found


def wait(runs, *states, done=0):
    """Return the only run once it is in one of the states and has done so many files."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        found = one(runs)
        if found["state"] in (states or OVER) and found.get("done", 0) >= done:
            return found
        time.sleep(0.1)
    raise AssertionError(f"still {one(runs)}")


def outputs(folder):
    """Return name -> content of a folder, its run record's times and secret names aside."""
    return {p.name: p.read_bytes() for p in Path(folder).rglob("*") if p.is_file() and p.name != "run.json"}


def start(runs, ask=ASK, **run):
    return runs.start(ask, {"source": "photos", "out": "out", "workers": 1} | run)


class TestResult:
    def test_it_is_that_of_apply_with_errors_counts_and_a_sheet(self, place, tmp_path, monkeypatch):
        start(place)
        found = wait(place)
        assert (found["state"], found["counts"]["done"], found["failed"]) == ("done", 3, 1)
        assert "torn.jpg" in found["errors"][0] and found["sheet"]
        monkeypatch.chdir(tmp_path)
        line = "apply root/photos -o by-apply --method darken --obfuscate gender --workers 1"
        assert CliRunner().invoke(main, line.split()).exit_code == 1
        assert outputs("root/out") == outputs("by-apply")
        sheet = place.sheet(found["id"])
        assert sheet.read_text().startswith("<!doctype html") and sheet.stat().st_mode & 0o077 == 0

    def test_its_command_line_does_not_tell_what_is_hidden_and_its_record_is_private(self, place):
        start(place, SLOW, sheet=False)
        found = wait(place, "protecting")
        lines = [_command(pid) for pid in Path("/proc").iterdir() if pid.name.isdigit()]
        (line,) = [line for line in lines if found["id"] in line]
        assert "gender" not in line and "slow" not in line and "photos" not in line
        assert records_folder().stat().st_mode & 0o077 == 0
        place.stop(found["id"])
        wait(place)


class TestStopAndResume:
    @pytest.mark.parametrize("ignored", [False, True], ids=["", "below a shell's background job"])
    def test_one_that_is_stopped_is_whole_and_resumed(self, place, tmp_path, photos, request, ignored):
        """A shell's background job ignores the signal of Ctrl-C, and so would its children."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
        request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
        photos(40, "root/photos")
        start(place, SLOW, sheet=False)
        name = wait(place, "protecting", done=2)["id"]
        with pytest.raises(UsageError, match="going on already"):
            start(place)
        with pytest.raises(UsageError, match="stop it first"):
            place.forget(name)
        place.stop(name)
        stopped = wait(place)
        made = outputs(tmp_path / "root/out")
        assert stopped["state"] == "stopped" and len(made) < 41
        assert not [name for name in made if name.endswith(".tmp")]
        start(place, SLOW, sheet=False, existing="resume")
        done = wait(place)
        assert done["state"] == "done" and done["already"] + done["counts"]["done"] == 40 and done["already"] >= 2
        place.forget(name)
        assert place.listed() == []

    def test_a_stop_does_not_wait_for_the_files_at_work(self):
        """The main thread waits for workers, which may take minutes for a file."""
        lines = (
            "import signal, threading",
            "from facepriv.serve import run_process",
            "signal.signal(signal.SIGINT, signal.default_int_handler)",
            "threading.Timer(0.2, run_process._interrupt).start()",
            "try: threading.Event().wait(100)",
            "except KeyboardInterrupt: print('stopped')",
        )
        done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60)
        assert done.stdout == "stopped\n", done.stderr

    def test_one_that_is_killed_is_shown_as_interrupted_and_resumed(self, place, tmp_path, photos):
        photos(20, "root/photos")
        start(place, SLOW, sheet=False)
        name = wait(place, "protecting", done=1)["id"]
        os.kill(_pid(name), signal.SIGKILL)
        assert wait(place)["state"] == "interrupted"
        whole = list((tmp_path / "root/out").glob("*.png"))
        assert all(p.read_bytes().endswith(b"IEND\xaeB`\x82") for p in whole)
        start(place, SLOW, sheet=False, existing="resume")
        assert wait(place)["state"] == "done"
        assert len(list((tmp_path / "root/out").glob("*.png"))) == 20
        assert not list((tmp_path / "root/out").rglob(".facepriv-*"))


class TestOneAtATime:
    def test_a_second_run_waits_and_can_be_stopped_meanwhile(self, place):
        with turn(lambda: False):
            name = start(place)
            assert wait(place, "waiting")["total"] == 4
            place.stop(name)
            assert wait(place)["state"] == "stopped"
        assert not (place.root.folder / "out").exists()

    def test_two_tabs_start_one_run_into_a_folder(self, place):
        def attempt(_):
            try:
                return start(place, sheet=False)
            except UsageError as error:
                return str(error)

        with turn(lambda: False), ThreadPoolExecutor(4) as pool:
            said = list(pool.map(attempt, range(4)))
        assert sorted("going on already" in text for text in said) == [False, True, True, True]
        assert wait(place)["state"] == "done"

    def test_it_starts_when_the_other_is_over(self, place):
        with turn(lambda: False):
            start(place, sheet=False)
            wait(place, "waiting")
        assert wait(place)["state"] == "done"


class TestTrouble:
    def test_what_apply_refuses_is_shown_in_one_line(self, place):
        start(place, {"method": "nothing", "hide": ["gender"]})
        found = wait(place)
        assert found["state"] == "failed" and found["message"].startswith("unknown method 'nothing'")

    def test_existing_results_are_left_alone(self, place):
        start(place, sheet=False)
        assert wait(place)["counts"]["done"] == 3
        before = {path: path.stat().st_mtime_ns for path in place.root.folder.glob("out/*.png")}
        start(place, sheet=False)
        found = wait(place)
        assert found["failed"] == 4 and "exists already" in " ".join(found["errors"])
        assert {path: path.stat().st_mtime_ns for path in place.root.folder.glob("out/*.png")} == before

    def test_runs_of_another_root_are_not_shown(self, place, tmp_path):
        start(place, sheet=False)
        name = wait(place)["id"]
        (tmp_path / "elsewhere").mkdir()
        other = Runs(Root(tmp_path / "elsewhere"))
        assert other.listed() == []
        for use in (other.stop, other.forget, other.sheet):
            with pytest.raises(UsageError, match="no such run"):
                use(name)

    def test_a_run_of_a_folder_that_is_not_there_is_refused(self, place):
        with pytest.raises(UsageError, match="no such folder"):
            start(place, source="gone")

    def test_a_damaged_record_is_no_run(self, place):
        record = RunRecord(records_folder() / "damaged")
        record.folder.mkdir()
        (record.folder / "asked.json").write_text("[" * 100_000)
        (record.folder / "state.json").write_bytes(b"\xff")
        assert place.listed() == []


def _command(process):
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _pid(name):
    """Return the id of the process of a run."""
    (found,) = [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and name in _command(p)]
    return int(found)
