"""The closing line of apply: the request, where it may have failed, and the next step."""

import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import main


@pytest.mark.parametrize(
    ("request_words", "text"),
    [
        ("--obfuscate gender", "gender behind another class (policy flip)"),
        ("--obfuscate race,age --policy random", "race and age behind a class drawn at random (policy random)"),
        ("--target age=old", "age behind the class old"),
        ("--target gender=opposite", "gender behind another class"),
        ("--keep gender", "nothing"),
    ],
)
def test_names_method_attributes_policy_and_the_sheet(call, photos, tmp_path, request_words, text):
    photos(1)
    estimators = ",".join(f"{name}=bright-{name}" for name in ("gender", "race", "age"))
    line = f"photos -o my/out --method paint {request_words} --estimator {estimators} --workers 1"
    result = call(line)
    assert result.exit_code == 0, result.output
    closing = result.stderr.splitlines()[-1]
    assert closing.startswith(f"facepriv: paint hides {text}; photos with unchanged faces: ")
    assert closing.endswith("Next: look at them with facepriv sheet photos my/out -o sheet.html")
    assert result.stdout == ""
    # The command that it names works as it is, and no machine-readable or written form holds the request.
    sheet = CliRunner().invoke(main, closing.partition("facepriv sheet")[2].join(["sheet", ""]).split())
    assert sheet.exit_code == 0 and (tmp_path / "sheet.html").is_file()
    assert "hide" not in call(f"{line} --overwrite --json").output


@pytest.mark.parametrize("choice", ["fail", "skip", "copy"])
def test_counts_photos_without_a_face_whatever_is_done_with_them(call, photos, dark_face, choice):
    Image.fromarray(dark_face * 0).save(photos(1) / "black.png")
    options = "--method darken --obfuscate gender --workers 1"
    closing = call(f"photos -o out --on-no-face {choice} {options}").stderr.splitlines()[-1]
    assert "photos with unchanged faces: 0, without a face found: 1. Next: " in closing


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ("photos/000.png -o one.png", "look at one.png beside its original"),
        ("photos/*.png -o out", "look at them with facepriv sheet ORIGINALS out -o sheet.html"),
        ("../outer/photos -o .", "look at them with facepriv sheet ../outer/photos . -o OUTER/sheet.html"),
    ],
)
def test_the_next_step_fits_the_call(call, photos, tmp_path, monkeypatch, given, step):
    photos(1, "outer/photos")
    inner = tmp_path / ("inner" if ".." in given else "outer")
    inner.mkdir(exist_ok=True)
    monkeypatch.chdir(inner)
    result = call(f"{given} --method darken --obfuscate gender --workers 1")
    assert result.stderr.splitlines()[-1].endswith(f"Next: {step.replace('OUTER', str(tmp_path))}")


def test_where_nothing_was_written_there_is_none(call, photos, tmp_path):
    (photos(1) / "000.png").write_text("no image")
    result = call("photos -o out --method darken --obfuscate gender --workers 1")
    assert result.exit_code == 1 and "Next" not in result.stderr
