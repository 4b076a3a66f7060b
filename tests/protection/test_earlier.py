"""Outputs of earlier runs inside the input are named and left out."""

import json

import pytest

from facepriv.errors import DataError
from facepriv.protection.earlier import leave_out_earlier
from facepriv.protection.inputs import discover
from facepriv.protection.manifest import ManifestRow, open_manifest


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Photos, with the output folders of two earlier runs among them; the first holds a stray photo, too."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "photos/out1/a.jpg", "photos/out1/stray.jpg", "photos/out2/sub/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for folder, name in (("out1", "a.jpg"), ("out2", "sub/a.jpg")):
        with open_manifest(tmp_path / "photos" / folder / "facepriv-run", {}) as record:
            record.append(ManifestRow(name, "darken", "1", "", "ok", 1, "0" * 64))
            record.append(ManifestRow("stray.jpg", "darken", "1", "", "failed"))
    return tmp_path


def found(*arguments):
    kept, warnings = leave_out_earlier(discover(arguments), arguments)
    return [str(file.source) for file in kept.files], warnings


@pytest.mark.parametrize("argument", ["photos", "./photos/", "photos/**/*.jpg"])
def test_what_a_run_made_is_left_out_and_its_folder_named(argument):
    files, warnings = found(argument)
    assert files == ["photos/a.jpg", "photos/out1/stray.jpg"]
    assert [line.split(":")[0] for line in warnings] == ["photos/out1", "photos/out2"]
    assert all("(1 file): name the folder itself" in line for line in warnings)


@pytest.mark.parametrize("argument", ["photos/out1", "photos/out1/*.jpg", "photos/out1/a.jpg"])
def test_what_is_named_itself_is_an_input(argument):
    files, warnings = found(argument)
    assert "photos/out1/a.jpg" in files
    assert warnings == []


def test_a_damaged_record_is_named(workplace):
    (workplace / "photos/out1/facepriv-run/manifest.jsonl").write_text(json.dumps({"file": 1}) + "\n")
    with pytest.raises(DataError, match=r"out1/facepriv-run/manifest\.jsonl: line 1 is damaged"):
        found("photos")
