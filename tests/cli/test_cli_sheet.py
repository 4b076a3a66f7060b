"""`facepriv sheet`: options, messages, exit codes and the file that is written."""

import os

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import console, main


@pytest.fixture
def call(tmp_path, photos, monkeypatch, one_process):
    """Return ``call("words")``, run beside ``photos`` and ``protected`` of two portraits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console._Lines, "interval", float("inf"))
    (tmp_path / "protected").mkdir()
    for path in photos(2).iterdir():
        Image.fromarray((np.asarray(Image.open(path)) * 0.8).astype(np.uint8)).save(tmp_path / "protected" / path.name)
    return lambda words: CliRunner().invoke(main, ["sheet", *words.split()])


@pytest.mark.parametrize(("name", "start"), [("sheet.html", b"<!doctype html>"), ("new/sheet.PNG", b"\x89PNG")])
def test_writes_one_private_file_and_says_what_it_shows(call, tmp_path, name, start):
    (tmp_path / "photos/torn.png").write_text("no image")
    before = sorted(tmp_path.rglob("*"))
    result = call(f"photos protected -o {name} --workers 1")
    assert result.exit_code == 0, result.output
    warning, closing = result.stderr.splitlines()
    assert warning == "facepriv: warning: torn.png: has no protected file"
    assert closing == (
        "facepriv: 3 photos: 1 missing or not comparable, 2 with every face changed. Shown: all, the worst first -> "
        f"{name}"
    )
    made = tmp_path / name
    assert made.read_bytes().startswith(start)
    assert os.name != "posix" or made.stat().st_mode & 0o777 == 0o600
    assert set(tmp_path.rglob("*")) - set(before) <= {made, made.parent}


def test_an_existing_sheet_needs_overwrite_and_becomes_private(call, tmp_path):
    sheet = tmp_path / "sheet.png"
    sheet.write_text("mine")
    result = call("photos protected -o sheet.png --limit 1")
    assert result.exit_code == 2 and sheet.read_text() == "mine"
    assert "sheet.png: exists already; name another file with -o, or give --overwrite" in result.stderr
    result = call("photos protected -o sheet.png --limit 1 --overwrite --workers 1")
    assert result.exit_code == 0 and "Shown: 1 of 2, the worst first; --limit N shows more" in result.stderr
    assert os.name != "posix" or sheet.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (
            "photos protected -o sheet.pdf",
            2,
            "sheet.pdf: a sheet is a page or an image; name a file that ends in .html",
        ),
        ("photos protected -o sheet", 2, "sheet: a sheet is a page or an image"),
        ("photos protected -o a-folder.html", 2, "a-folder.html: is a folder; name a file with -o"),
        (
            "photos protected -o protected/sheet.html",
            2,
            "lies among the protected photos, and would show the originals",
        ),
        ("photos protected -o photos/sheet.png", 2, "lies among the originals, and would count as one of them"),
        ("photos protected -o sheet.png --limit 61", 2, "--limit 61: an image shows at most 60 photos; name a page"),
        ("nowhere protected -o sheet.html", 1, "nowhere: no such folder; give the folder of the originals"),
        ("photos nowhere -o sheet.html", 1, "nowhere: no such folder; give the folder of the protected photos"),
        ("photos empty -o sheet.html", 1, "empty: no image file there"),
        ("photos protected -o sheet.html --detector dlb", 2, "unknown detector 'dlb' (did you mean 'dlib'"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(call, tmp_path, words, code, text):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a-folder.html").mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = call(f"{words} --workers 1")
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (code, 1, "")
    assert text in result.stderr and sorted(tmp_path.rglob("*")) == before


def test_without_jinja_a_page_is_refused_and_an_image_is_not(call, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = call("photos protected -o sheet.html --workers 1")
    assert result.exit_code == 1 and "needs jinja2: pip install 'facepriv[report]'" in result.stderr
    monkeypatch.undo()


def test_a_page_may_lie_among_the_originals(call, tmp_path):
    assert call("photos protected -o photos/sheet.html --workers 1").exit_code == 0
    assert (tmp_path / "photos/sheet.html").is_file()
