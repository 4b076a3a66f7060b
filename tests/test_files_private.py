"""Folders of the user's cache: only their owner can enter them, and the user is informed."""

import os
import shlex
import stat
from pathlib import Path

import pytest

from facepriv.files import cache_folder, make_private, prepare_work_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no mode bits here")


def mode(folder):
    return stat.S_IMODE(folder.stat().st_mode)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test's own, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_a_setting_the_cache_lies_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("compare").is_relative_to(tmp_path)
    assert cache_folder("compare").parts[-2:] == ("facepriv", "compare")


@pytest.mark.parametrize("place", ["cache", "named"])
def test_a_new_folder_is_its_owners_alone(place, tmp_path):
    folder = cache_folder("compare") if place == "cache" else tmp_path / "deep/work"
    assert make_private(folder)
    assert mode(folder) == 0o700


def test_a_folder_of_an_earlier_version_in_the_cache_is_closed():
    folder = cache_folder("compare")
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    assert make_private(folder)
    assert mode(folder) == 0o700


def test_a_folder_that_the_user_made_keeps_its_mode_and_the_user_hears_of_it(tmp_path):
    folder = tmp_path / "my work"
    folder.mkdir()
    folder.chmod(0o750)
    assert prepare_work_folder(folder).endswith(f"; other users can enter that folder: chmod 700 '{folder}'")
    assert mode(folder) == 0o750


def test_the_line_names_the_folder_what_it_holds_and_a_command_that_removes_it(tmp_path):
    folder = tmp_path / "my work"
    line = prepare_work_folder(folder, "faces")
    assert line == f"faces are kept in '{folder}'; to remove them: rm -r '{folder}'"
    assert shlex.split(line.rpartition(": ")[2]) == ["rm", "-r", str(folder)]
    assert Path(folder).is_dir()
