"""The secret of a run."""

import os
import threading
from pathlib import Path

import pytest

from facepriv.errors import UsageError
from facepriv.protection.options import MOST_KEY_BYTES, Options, new_key, read_key

KEY = b"a secret for tests only"


def test_a_key_file_is_read(tmp_path):
    (tmp_path / "key").write_bytes(KEY)
    assert read_key(tmp_path / "key", str(tmp_path / "out")) == KEY


def test_a_short_or_missing_key_is_refused(tmp_path):
    (tmp_path / "short").write_bytes(b"too short")
    with pytest.raises(UsageError, match="holds 9 bytes, a key has at least 16"):
        read_key(tmp_path / "short", "out")
    with pytest.raises(UsageError, match="make a key with"):
        read_key(tmp_path / "missing", "out")


def test_a_key_in_the_output_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="the key lies in the output folder"):
        read_key(tmp_path / "out/key", str(tmp_path / "out"))


def test_fresh_keys_differ_and_are_not_shown():
    assert new_key() != new_key()
    assert KEY.decode() not in repr(Options(inputs=("a",), out="out", methods=("darken",), key=KEY))


@pytest.mark.skipif(not os.path.exists("/dev/urandom"), reason="no endless file here")
def test_a_key_without_an_end_is_refused_at_once():
    with pytest.raises(UsageError, match="/dev/urandom: holds more than 65,536 bytes; make a key with: head -c 32"):
        read_key(Path("/dev/urandom"), "out")


def test_the_longest_key_is_read_and_one_byte_more_is_not(tmp_path):
    (tmp_path / "key").write_bytes(b"k" * MOST_KEY_BYTES)
    assert len(read_key(tmp_path / "key", "out")) == MOST_KEY_BYTES
    (tmp_path / "key").write_bytes(b"k" * (MOST_KEY_BYTES + 1))
    with pytest.raises(UsageError, match="holds more than"):
        read_key(tmp_path / "key", "out")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes as on POSIX")
def test_a_key_that_a_program_hands_over_is_read(tmp_path):
    os.mkfifo(tmp_path / "key")
    writer = threading.Thread(target=(tmp_path / "key").write_bytes, args=(KEY,))
    writer.start()
    assert read_key(tmp_path / "key", str(tmp_path / "out")) == KEY
    writer.join()
