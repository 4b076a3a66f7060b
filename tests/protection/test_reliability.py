"""`facepriv apply` where its surroundings fail it: disks, rights, other programs, plugins."""

import ctypes
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import console, main
from facepriv.protection.manifest import ManifestRow, read_run
from facepriv.protection.options import Options
from facepriv.protection.run import make_plan, run_plan

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, rights and mounts as on POSIX")
RUN = "apply photos -o out --method odd --obfuscate gender --workers 1"


@pytest.fixture
def apply(tiny, tmp_path, monkeypatch):
    """Return ``apply("options")``, run in ``tmp_path``: photos/ into out/."""
    monkeypatch.chdir(tmp_path)
    return lambda options="", line=RUN: CliRunner().invoke(main, [*line.split(), *options.split()])


@pytest.fixture
def alone(tiny, tmp_path):
    """Return ``alone()``: name -> bytes that the photos have where nothing fails, made in this process."""

    def run():
        options = Options(inputs=(str(tmp_path / "photos"),), out=str(tmp_path / "alone"), methods=("odd",), workers=0)
        run_plan(make_plan(options, tiny))
        return contents(tmp_path / "alone")

    return run


@pytest.fixture
def meanwhile(monkeypatch):
    """Return ``meanwhile(act)``: calls it once, when the first photo of a run is out."""

    def arrange(act):
        acts = [act]
        plain = console._Lines.advance

        def advance(self, count=1):
            plain(self, count)
            while acts:
                acts.pop()()

        monkeypatch.setattr(console._Lines, "advance", advance)

    return arrange


def contents(folder):
    """Return name -> bytes of all below an output folder but the record of the run."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "facepriv-run")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def errors(result):
    """Return the error lines of a call; it says nothing else but the closing line."""
    stderr = result.stderr if isinstance(result.stderr, str) else result.stderr.decode()
    assert "Traceback" not in stderr
    lines = stderr.splitlines()
    assert all(line.startswith("facepriv: ") for line in lines), lines
    prefix = "facepriv: error: "
    return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]


def child(cwd, options="", *, before=None, line=RUN):
    """Run facepriv as a process of its own; `before` is done in it first."""
    command = [sys.executable, "-m", "facepriv", *line.split(), *options.split()]
    return subprocess.run(command, cwd=cwd, capture_output=True, preexec_fn=before, timeout=300)


def check_finished(result, out, expected):
    """See that `--resume` had no trouble, and nothing is there but what a run without trouble makes."""
    assert errors(result) == []
    assert contents(out) == expected
    assert {row.status for row in read_run(out).rows.values()} == {"ok"}
    assert {path.name for path in (out / "facepriv-run").iterdir()} == {"manifest.jsonl", "run.json"}


def check_whole(out, expected):
    """See that whatever is there is whole and on record; returns the names."""
    made = contents(out)
    assert made.items() <= expected.items()
    rows = read_run(out).rows if made else {}
    assert all(rows[name].status == "ok" for name in made)
    return sorted(made)


class TestPlugins:
    """A method that misbehaves at one photo costs that photo and no other."""

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ("nan", "method 'odd': Odd returned NaN or infinity"),
            ("shape", "method 'odd': Odd returned (0, 64, 64, 3), expected (1, 64, 64, 3)"),
            ("integers", "method 'odd': Odd returned uint8, expected floats in [0, 1]"),
            ("nothing", "method 'odd': Odd returned NoneType, expected (1, 64, 64, 3)"),
            ("exit", "method 'odd': SystemExit: 0"),
            ("die", "the worker process was killed by signal 9 (Killed) at this file"),
            ("hang", "nothing happened for 1 s at this file (--timeout raises the limit)"),
        ],
    )
    def test_the_others_have_the_bytes_that_they_have_without_it(
        self, apply, alone, photos, dark_face, tmp_path, silence_counts_while, how, said
    ):
        source, marks = photos(4), tmp_path / "marks"
        marks.mkdir()
        silence_counts_while(lambda: any(Path("/proc", mark.name).exists() for mark in marks.iterdir()))
        expected = alone()
        Image.fromarray(dark_face).save(source / "001a.png")
        result = apply(f"--batch-size 8 --timeout 1 --set odd.how={how} --set odd.marks={marks}")
        assert result.exit_code == 1
        assert errors(result) == [f"photos/001a.png: {said}"]
        assert check_whole(tmp_path / "out", expected) == sorted(expected)


class TestFullDisk:
    """Files that find no room are named; what is there is whole, and `--resume` finishes when there is room."""

    @pytest.fixture
    def disk(self, tmp_path):
        """Return ``resize(bytes)`` of a small file system mounted at ``out``."""
        out = tmp_path / "out"
        out.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(out)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no small file system can be mounted here ({type(error).__name__})")
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(out)], check=True)
        subprocess.run(["umount", str(out)], check=True)

    def test_a_disk_that_fills_up_in_the_middle(self, apply, alone, photos, tmp_path, disk):
        photos(6)
        expected, out = alone(), tmp_path / "out"
        result = apply()
        assert result.exit_code == 1
        made = check_whole(out, expected)
        assert 0 < len(made) < 6
        failed = [f"{n:03d}.png" for n in range(6) if f"{n:03d}.png" not in made]
        assert sorted(line.split(": ")[0] for line in errors(result)) == [f"photos/{name}" for name in failed]
        assert all("No space left on device" in line for line in errors(result))
        disk(2**20)
        resumed = apply("--resume")
        assert f"{len(failed)} protected" in resumed.stderr
        check_finished(resumed, out, expected)

    def test_a_disk_without_any_room(self, apply, alone, photos, tmp_path, disk):
        photos(1)
        out = tmp_path / "out"
        with open(out / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError, match="No space"):
            while True:
                ballast.write(bytes(4096))
        result = apply()
        assert (result.exit_code, len(errors(result))) == (1, 1)
        assert "No space left on device" in result.stderr
        assert contents(out).keys() == {"ballast"}
        (out / "ballast").unlink()
        check_finished(apply("--resume"), out, alone())

    def test_a_row_that_does_not_fit_the_manifest_is_taken_back(self, tiny, alone, photos, tmp_path):
        """A limit on the length of files stands for a disk whose last bytes a row fills by half."""
        photos(2)
        expected, out = alone(), tmp_path / "out"
        largest = max(map(len, expected.values()))
        record = out / "facepriv-run"
        record.mkdir(parents=True)
        rows = "".join(
            ManifestRow(f"former/{n}.png", "odd", "", "", "no-face").to_json() + "\n" for n in range(largest // 50)
        )
        (record / "manifest.jsonl").write_text(rows)
        limit = len(rows) + 100
        result = child(tmp_path, before=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)))
        assert result.returncode == 1
        assert errors(result) == [
            f"out/{name}: cannot be recorded (File too large): make room, then --resume" for name in sorted(expected)
        ]
        assert contents(out) == {}
        assert (record / "manifest.jsonl").read_text() == rows
        assert sorted(path.name for path in record.iterdir()) == ["manifest.jsonl", "run.json"]
        assert child(tmp_path, "--resume").returncode == 0
        assert contents(out) == expected
        assert len(read_run(out).rows) == len(expected) + largest // 50

    def test_a_photo_that_alone_is_too_large(self, tiny, alone, photos, tmp_path):
        source = photos(2)
        expected = alone()
        Image.open(source / "000.png").resize((400, 440)).save(source / "large.png")
        limit = max(map(len, expected.values())) + 1000
        result = child(tmp_path, before=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)))
        assert result.returncode == 1
        (line,) = errors(result)
        assert line.startswith("photos/large.png: cannot be written (File too large)")
        assert check_whole(tmp_path / "out", expected) == ["000.png", "001.png"]


def _obey_rights():
    """Take from root what lets it read and write everything: without these two capabilities it obeys mode bits."""
    if os.geteuid() == 0:
        drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        for capability in (override, search):
            if ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0):
                raise OSError("capabilities cannot be dropped")


@pytest.fixture
def obedient(tmp_path):
    """Skip where the rights of files mean nothing to a child, whatever is tried."""
    (tmp_path / "closed").touch(mode=0)
    try:
        code = subprocess.run(["cat", tmp_path / "closed"], preexec_fn=_obey_rights, capture_output=True).returncode
    except subprocess.SubprocessError:
        code = 0
    if not code:
        pytest.skip("this user reads whatever is there, and cannot be stopped from it")


@contextmanager
def rights(path, bits):
    """Give a file or folder other mode bits for a while."""
    former = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(former)


class TestRights:
    """Files and folders that may not be read or written."""

    def test_what_may_not_be_read_is_named_and_the_rest_is_done(self, tiny, alone, photos, tmp_path, obedient):
        source = photos(2)
        photos(1, "photos/below")
        expected = alone()
        photos(1, "photos/closed")
        (source / "locked.png").write_bytes((source / "000.png").read_bytes())
        with rights(source / "locked.png", 0), rights(source / "closed", 0):
            result = child(tmp_path, before=_obey_rights)
        assert result.returncode == 1
        assert sorted(errors(result)) == [
            "photos/closed: Permission denied",
            "photos/locked.png: cannot be read (Permission denied): check the path and its permissions",
        ]
        assert check_whole(tmp_path / "out", expected) == sorted(expected)

    def test_a_folder_that_may_not_be_written_is_one_line(self, tiny, photos, tmp_path, obedient):
        photos(2)
        (tmp_path / "out").mkdir()
        with rights(tmp_path / "out", 0o555):
            results = [child(tmp_path, options, before=_obey_rights) for options in ("--dry-run", "")]
        assert [result.returncode for result in results] == [1, 1]
        assert [errors(result) for result in results] == [["out/facepriv-run: Permission denied"]] * 2
        assert list((tmp_path / "out").iterdir()) == []


class TestHome:
    """A home folder that is not there or may not be written costs a warning, and later a question."""

    def test_a_home_that_may_not_be_written(self, tiny, alone, photos, tmp_path, obedient, monkeypatch):
        photos(2)
        expected = alone()
        (tmp_path / "home").mkdir()
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        with rights(tmp_path / "home", 0o555):
            result = child(tmp_path, before=_obey_rights)
            resumed = child(tmp_path, "--resume", before=_obey_rights)
        assert result.returncode == 0
        assert errors(result) == []
        assert b"facepriv: warning: " in result.stderr and b"Permission denied; --resume will not know" in result.stderr
        assert contents(tmp_path / "out") == expected
        assert resumed.returncode == 2
        assert "give --trust-existing" in errors(resumed)[0]
        assert list((tmp_path / "home").iterdir()) == []


class TestOthers:
    """What other programs and people do during a run."""

    def test_a_photo_that_vanishes_before_it_is_read(self, apply, alone, photos, tmp_path, meanwhile):
        source = photos(3)
        expected = alone()
        meanwhile((source / "002.png").unlink)
        result = apply("--batch-size 1")
        assert result.exit_code == 1
        assert errors(result) == ["photos/002.png: no such file: check the name"]
        assert check_whole(tmp_path / "out", expected) == ["000.png", "001.png"]

    def test_an_output_folder_that_is_removed(self, apply, alone, photos, tmp_path, meanwhile):
        photos(3)
        expected = alone()
        meanwhile(partial(os.rename, tmp_path / "out", tmp_path / "gone"))
        result = apply("--batch-size 1")
        assert result.exit_code == 1
        assert errors(result) == [f"photos/{n:03d}.png: the staging folder has gone" for n in (1, 2)]
        assert check_whole(tmp_path / "gone", expected) == ["000.png"]
        assert not (tmp_path / "out").exists()
        check_finished(apply("--resume"), tmp_path / "out", expected)

    def test_a_second_run_into_the_same_folder_is_one_line_and_the_first_loses_nothing(
        self, apply, alone, photos, tmp_path, meanwhile
    ):
        photos(3)
        expected = alone()
        second = []
        meanwhile(lambda: second.append(apply("--resume")))
        check_finished(apply("--batch-size 1"), tmp_path / "out", expected)
        assert second[0].exit_code == 2
        assert errors(second[0]) == ["out: another facepriv run is writing there; wait until it has ended"]


def test_the_summary_of_a_run_with_trouble_counts_it(apply, photos, dark_face, tmp_path):
    Image.fromarray(dark_face).save(photos(2) / "dark.png")
    summary = json.loads(apply("--json --set odd.how=nan").stdout)
    assert (summary["protected"], summary["failed"], len(summary["errors"])) == (2, 1, 1)
