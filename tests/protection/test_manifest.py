"""The record of a run: durable, readable after a kill, and silent about what was hidden."""

import errno
import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import filelock
import pytest

from facepriv.errors import DataError, UsageError
from facepriv.protection.manifest import (
    LOCK,
    ManifestRow,
    check_free,
    open_manifest,
    read_folder_if_any,
    read_run,
    run_folder,
)

ROW = ManifestRow("sub/a.jpg", "darken > noise", "1.5 > 1.5", " > ", "ok", 2, "0" * 64)
INFO = {"facepriv": "1", "engine": "local", "methods": [{"name": "darken", "seen": ["dlib"]}]}


def write(folder, *rows, info=INFO):
    with open_manifest(folder, info) as manifest:
        for row in rows:
            manifest.append(row)


def test_rows_and_info_come_back_as_written(tmp_path):
    folder = tmp_path / "out" / "facepriv-run"
    write(folder, ROW, replace(ROW, file="b.jpg", status="failed", faces=0, sha256=""))
    for path in (tmp_path / "out", folder):
        run = read_run(path)
        assert run.folder == folder
        assert list(run.rows) == ["b.jpg", "sub/a.jpg"]
        assert run.rows["sub/a.jpg"] == ROW
        assert run.info["engine"] == "local"
        assert run.seen == {"dlib"}


def test_only_files_that_were_written_have_an_output():
    has = {status: replace(ROW, status=status).has_output for status in ("ok", "no-face", "failed", "copied")}
    assert has == {"ok": True, "copied": True, "no-face": False, "failed": False}


def test_a_public_row_holds_these_fields_and_no_other(tmp_path):
    write(tmp_path, ROW)
    fields = set(json.loads((tmp_path / "manifest.jsonl").read_text()))
    assert fields == {"file", "method", "version", "weights", "status", "faces", "sha256"}


def test_an_audit_comes_back(tmp_path):
    row = replace(ROW, audit={"policy": "flip", "faces": [{"box": [1, 2, 3, 4]}]})
    write(tmp_path, row)
    assert read_run(tmp_path).rows["sub/a.jpg"] == row


def test_later_rows_are_appended_and_the_last_one_counts(tmp_path):
    write(tmp_path, replace(ROW, status="failed", sha256=""))
    write(tmp_path, ROW)
    run = read_run(tmp_path)
    assert run.rows["sub/a.jpg"] == ROW
    assert [row.status for row in run.history["sub/a.jpg"]] == ["failed", "ok"]


def test_a_torn_last_line_is_passed_over_and_the_next_row_starts_a_new_line(tmp_path):
    write(tmp_path, ROW)
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes() + b'{"file": "torn.jpg", "meth')
    assert list(read_run(tmp_path).rows) == ["sub/a.jpg"]
    write(tmp_path, replace(ROW, file="c.jpg"))
    assert list(read_run(tmp_path).rows) == ["c.jpg", "sub/a.jpg"]


def test_a_damaged_line_is_named(tmp_path):
    write(tmp_path, ROW)
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_bytes(b"rubbish\n" + manifest.read_bytes())
    with pytest.raises(DataError, match=r"manifest\.jsonl: line 1 is damaged"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "7",
        "[" * 100_000,
        '{"file": []}',
        '{"file": 1, "method": "", "version": "", "weights": "", "status": "ok"}',
        '{"file": "a", "method": "", "version": "", "weights": "", "status": "fine"}',
        '{"file": "a", "method": "", "version": "", "weights": "", "status": "ok", "faces": true}',
    ],
)
def test_a_line_that_no_run_writes_is_named(tmp_path, line):
    write(tmp_path, ROW)
    (tmp_path / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"manifest\.jsonl: line 1 is damaged"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rubbish", "damaged"),
        ('{"format": 9}', "format 9"),
        ("[]", "damaged"),
        ("[" * 100_000, "damaged"),
        ('{"format": 1, "methods": {}}', "damaged"),
        ('{"format": 1, "methods": [{"seen": [1]}]}', "damaged"),
        ('{"format": 1, "earlier": ["x"]}', "damaged"),
    ],
)
def test_damaged_or_foreign_info_is_named(tmp_path, text, error):
    write(tmp_path, ROW)
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=error):
        read_run(tmp_path)


def test_no_record_is_an_error_for_readers_and_empty_for_a_first_run(tmp_path):
    with pytest.raises(DataError, match="no record of a run there"):
        read_run(tmp_path)
    assert read_folder_if_any(tmp_path / "facepriv-run").rows == {}
    assert read_folder_if_any(None).rows == {}


@pytest.mark.parametrize("place", [".", "/"])
def test_a_folder_without_a_name_has_no_record_either(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no record of a run there"):
        read_run(Path(place))


def test_the_run_folder_of_a_single_output_lies_beside_it(tmp_path):
    assert run_folder(tmp_path / "x.jpg") == tmp_path / "x.jpg.facepriv"


def test_evaluators_seen_by_former_runs_into_the_folder_stay_seen(tmp_path):
    write(tmp_path, ROW)
    write(tmp_path, ROW)
    write(tmp_path, ROW, info={**INFO, "methods": [{"name": "other", "seen": ["onnx"]}]})
    run = read_run(tmp_path)
    assert run.seen == {"dlib", "onnx"}
    assert [earlier["methods"][0]["name"] for earlier in run.info["earlier"]] == ["darken"]


#: What makes flock fail as some file systems do, and what stands for a system without it.
NO_FLOCK = """
import errno, fcntl
def refuse(*given):
    raise OSError({error}, "not here")
fcntl.flock = refuse
"""
HOLD = """
import sys
from pathlib import Path
from facepriv.protection.manifest import open_manifest
with open_manifest(Path(sys.argv[1]), {}):
    print("locked", flush=True)
    sys.stdin.read()
"""
NO_FCNTL = "import sys; sys.modules['fcntl'] = None"


@pytest.mark.parametrize(
    "before", ["", NO_FCNTL, *(NO_FLOCK.format(error=f"errno.{name}") for name in ("ENOSYS", "EOPNOTSUPP", "ENOLCK"))]
)
def test_a_second_run_into_the_same_folder_waits_its_turn(tmp_path, monkeypatch, before):
    import fcntl

    assert filelock.SoftFileLock  # loaded before fcntl goes: others in this process use it too
    monkeypatch.setitem(sys.modules, "fcntl", fcntl)
    monkeypatch.setattr(fcntl, "flock", fcntl.flock)
    exec(before)
    folder = tmp_path / "out" / "facepriv-run"
    other = subprocess.Popen(
        [sys.executable, "-c", before + HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"locked\n"
        for use in (partial(write, folder, ROW), partial(check_free, folder)):
            with pytest.raises(UsageError, match="another facepriv run is writing there"):
                use()
    finally:
        other.kill()  # however the other ends, its lock ends with it
        other.communicate()
    check_free(folder)
    write(folder, ROW)
    assert list(read_run(folder).rows) == ["sub/a.jpg"]
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.jsonl", "run.json"]


@pytest.fixture
def flock_fails(monkeypatch):
    """Return ``flock_fails(number, text)``: every lock of this process then raises that error."""
    import fcntl

    def arrange(*error):
        def refuse(*given):
            raise OSError(*error)

        monkeypatch.setattr(fcntl, "flock", refuse)

    return arrange


def test_a_lock_file_of_another_machine_stays_and_is_named(tmp_path, flock_fails):
    flock_fails(errno.ENOSYS, "not here")
    (tmp_path / LOCK).write_text("123\nanother-machine\n")
    with pytest.raises(UsageError, match=rf"if it died on another machine, remove .*{LOCK}"):
        write(tmp_path, ROW)
    (tmp_path / LOCK).unlink()
    write(tmp_path, ROW)


def test_a_lock_that_fails_otherwise_is_an_error(tmp_path, flock_fails):
    flock_fails(errno.EIO, "the disk is broken")
    with pytest.raises(OSError, match="the disk is broken"):
        write(tmp_path, ROW)
