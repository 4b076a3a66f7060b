"""Receipts: private, durable enough, and no error where they cannot be kept."""

import os
import re
import stat
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from facepriv.protection.receipts import Claim, ReceiptWriter, read_receipts, receipts_path

CLAIM = Claim("gender=female, seed 7", "sub/a.jpg", "ok", "1" * 64, "2" * 64, False)


@pytest.fixture
def record(tmp_path):
    return tmp_path / "out/facepriv-run"


def write(record, *claims):
    with ReceiptWriter(record) as receipts:
        for claim in claims:
            receipts.add(claim)
    return receipts.problem


def test_a_claim_is_confirmed_and_no_other(record):
    assert read_receipts(record) is None
    assert write(record, CLAIM) == ""
    receipts = read_receipts(record)
    assert receipts.confirm(CLAIM)
    for name in ("request", "name", "status", "source", "made", "on_no_face"):
        assert not receipts.confirm(replace(CLAIM, **{name: "another"})), name
    assert not receipts.confirm(replace(CLAIM, audit=True))


def test_the_file_is_private_and_tells_nothing(record, state):
    former = os.umask(0)
    try:
        write(record, CLAIM)
    finally:
        os.umask(former)
    path = receipts_path(record)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (state / "facepriv", path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]
    assert re.fullmatch(rb"facepriv-receipts 1 [0-9a-f]{64}\n(\n[0-9a-f]{32}\n)*", path.read_bytes())
    assert re.fullmatch("[0-9a-f]{64}", path.name)
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_others_may_enter_is_closed(record, state):
    (state / "facepriv").mkdir(parents=True, mode=0o755)
    write(record, CLAIM)
    assert stat.S_IMODE((state / "facepriv").stat().st_mode) == 0o700


def test_each_run_folder_has_its_own_however_it_is_named(record, tmp_path, monkeypatch):
    write(record, CLAIM)
    write(tmp_path / "other/facepriv-run", replace(CLAIM, name="b.jpg"))
    assert not read_receipts(record).confirm(replace(CLAIM, name="b.jpg"))
    assert read_receipts(record).secret != read_receipts(tmp_path / "other/facepriv-run").secret
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("out")
    record.mkdir(parents=True)
    for name in ("out/facepriv-run", "out/../out/facepriv-run", "link/facepriv-run"):
        assert read_receipts(tmp_path / name).confirm(CLAIM)


def test_a_line_that_a_kill_or_a_full_disk_cut_costs_no_other(record):
    write(record, CLAIM)
    with receipts_path(record).open("ab") as file:
        file.write(b"0123")
    other = replace(CLAIM, name="b.jpg")
    write(record, other)
    assert read_receipts(record).confirm(CLAIM) and read_receipts(record).confirm(other)


@pytest.mark.parametrize("damage", [b"", b"facepriv-receipts 1 00", b"rubbish\n", b"facepriv-receipts 9 " + b"0" * 64])
def test_a_damaged_file_knows_nothing_and_is_replaced(record, damage):
    write(record, CLAIM)
    receipts_path(record).write_bytes(damage)
    assert read_receipts(record) is None
    assert write(record, CLAIM) == ""
    assert read_receipts(record).confirm(CLAIM)


def test_two_runs_that_write_at_once_lose_nothing(record):
    code = """
import sys
from pathlib import Path
from facepriv.protection.receipts import Claim, ReceiptWriter
sys.stdin.readline()
for n in range(300):
    with ReceiptWriter(Path(sys.argv[1])) as receipts:
        receipts.add(Claim(sys.argv[2], str(n), "ok", "", "", False))
    assert not receipts.problem, receipts.problem
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code, record, who], stdin=subprocess.PIPE, text=True) for who in "ab"
    ]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait(120) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdin.close()
    receipts = read_receipts(record)
    assert all(receipts.confirm(Claim(who, str(n), "ok", "", "", False)) for who in "ab" for n in range(300))


def test_receipts_of_folders_that_no_run_has_written_to_for_a_year_go(record, tmp_path):
    for name, days in (("old", 366), ("recent", 364)):
        write(tmp_path / name, CLAIM)
        then = time.time() - days * 86_400
        os.utime(receipts_path(tmp_path / name), (then, then))
    write(record, CLAIM)
    assert read_receipts(tmp_path / "old") is None
    assert read_receipts(tmp_path / "recent").confirm(CLAIM)


def test_without_hard_links_it_works_too(record, monkeypatch):
    def refuse(*given):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert write(record, CLAIM) == ""
    assert read_receipts(record).confirm(CLAIM)


def test_no_place_to_write_is_a_problem_and_no_error(record, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file/below"))
    assert "Not a directory; --resume will not know what this run made: set XDG_STATE_HOME" in write(record, CLAIM)
    assert read_receipts(record) is None


def test_no_home_is_a_problem_and_no_error(record, tmp_path, monkeypatch, no_home):
    monkeypatch.chdir(tmp_path)
    assert "--resume will not know what this run made" in write(record, CLAIM)
    assert read_receipts(record) is None
    assert list(tmp_path.iterdir()) == []


def test_no_run_folder_no_receipts(state):
    assert write(None, CLAIM) == ""
    assert read_receipts(None) is None
    assert not state.exists()
