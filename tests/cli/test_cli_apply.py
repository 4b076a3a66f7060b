"""`facepriv apply`: options, messages and exit codes. `tests/protection` tests what happens to files."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import main
from facepriv.protection.manifest import open_manifest, read_run
from facepriv.protection.run import Summary


def one_error(result):
    """Return the one line on stderr of a call that failed."""
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.output
    return result.stderr.removeprefix("facepriv: error: ").rstrip("\n")


MISSING = "a name is missing beside a comma; write lists without spaces"
APART = "is taken for an input: names in a list have no spaces between them"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("RUN darkn --obfuscate gender", "unknown method 'darkn' (did you mean 'darken'"),
        ("RUN darken --obfuscate gendr", "unknown attribute 'gendr' (did you mean 'gender'"),
        ("RUN darken --obfuscate gender --keep rac", "unknown attribute 'rac'"),
        ("RUN darken --obfuscate age", "can change 'age': darken changes gender"),
        ("RUN darken --obfuscate gender,age --keep race,age", "'age' is both to be hidden and to be"),
        ("RUN darken --target age=old --keep age", "'age' is both to be hidden and to be kept"),
        ("RUN darken --target gender=old", "unknown target 'gender=old': one of male, female, same"),
        ("RUN darken --target gender", "--target 'gender': expected NAME=VALUE"),
        ("RUN darken --target gender=male,gender=female", "--target: 'gender' is given twice"),
        ("RUN darken", "nothing to hide: name attributes with --obfuscate or --target"),
        ("RUN darken --obfuscate gender --resume --overwrite", "exclude each other"),
        ("RUN paint --obfuscate race --estimator gender=nobody", "unknown estimator 'nobody'"),
        ("RUN darken --obfuscate gender --key-file none", "none: No such file or directory; make a"),
        ("RUN tuned --obfuscate gender --set tuned.amont=1", "no such setting (did you mean 'amount'"),
        ("RUN tuned --obfuscate gender --set tuned.amount=2", "tuned.amount: expected 0 to 1, got 2"),
        ("RUN tuned --obfuscate gender --set darken.x=2", "'darken' is not used in this call"),
        ("missing.jpg -o out --method darken --obfuscate gender", "missing.jpg: no such file or folder"),
        ("empty -o out --method darken --obfuscate gender", "empty: no image file there"),
        (
            "photos -o photos/000.png/x --method darken --obfuscate gender",
            "000.png is a file, so nothing can be written",
        ),
        ("photos -o photos --method darken --obfuscate gender", "is an input and would be written over"),
        ("photos -o out.jpg --method darken --obfuscate gender", "out.jpg: names one file"),
        ("photos/000.png -o me.gif --method darken --obfuscate gender", "me.gif: facepriv does not write .gif"),
        ("RUN paint --obfuscate gender, race", f"--obfuscate 'gender,': {MISSING}: gender,NAME"),
        ("RUN paint --obfuscate gender ,race", f"',race' {APART}; write gender,race"),
        ("RUN paint --obfuscate gender race", f"'race' {APART}; write gender,race"),
        ("RUN paint --obfuscate gender --keep race,", "--keep 'race,': a name is missing"),
        ("RUN paint --target gender=male, age=old", f"--target 'gender=male,': {MISSING}: gender=male,NAME"),
        (
            "RUN paint --policy random --target age=old",
            "--policy random decides nothing here: it chooses the class of an attribute that --obfuscate names",
        ),
        ("RUN paint --policy flip --keep gender", "--policy flip decides nothing here"),
        ("RUN darken --obfuscate gender --key-file /dev/zero", "/dev/zero: holds more than 65,536"),
    ],
)
def test_a_wrong_call_is_one_line_exits_with_2_and_writes_nothing(call, photos, tmp_path, line, text):
    photos(1)
    (tmp_path / "empty").mkdir()
    result = call(line.replace("RUN", "photos -o out --method"))
    assert result.exit_code == 2
    assert text in one_error(result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "photos"]
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["000.png"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["", "-o", "out", "--obfuscate", "gender"], "an input is an empty text"),
        (["photos", "-o", "", "--obfuscate", "gender"], "the output is an empty text"),
        (["photos", "-o", "out", "--obfuscate", ""], "--obfuscate '': names nothing"),
    ],
)
def test_an_empty_word_is_refused(tiny, photos, tmp_path, monkeypatch, words, text):
    photos(1)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["apply", "--method", "darken", *words])
    assert result.exit_code == 2
    assert text in one_error(result)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_an_attributes_name_may_be_a_folder_and_a_policy_that_decides_something_is_heard(call, photos):
    photos(1, "gender")
    line = "gender -o out --method paint --obfuscate race --target age=old --policy random --estimator "
    assert call(f"{line}gender=bright-gender,race=bright-race,age=bright-age --workers 1").exit_code == 0


@pytest.mark.parametrize(
    "option", ["--policy invert", "--strength 1.5", "--batch-size 0", "--workers 0", "--on-no-face ignore"]
)
def test_an_option_out_of_range_is_a_usage_error(call, photos, option):
    photos(1)
    assert call(f"photos -o out --method darken --obfuscate gender {option}").exit_code == 2


def test_a_folder_with_troubles_exits_with_1_names_each_and_does_the_rest(call_with_workers, photos, tmp_path):
    source = photos(3)
    (source / "text.jpg").write_text("no image")
    (source / "notes.txt").write_text("not looked at")
    result = call_with_workers("photos missing.png -o out --method darken --obfuscate gender --workers 2")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("facepriv: error: ")]
    assert len(errors) == 2
    assert any("missing.png: no such file" in line for line in errors)
    assert any("text.jpg: " in line for line in errors)
    counts, _ = result.stderr.splitlines()[-2:]
    assert counts.startswith("facepriv: 3 protected (3 faces); 1 ignored, no images; 2 failed, in ")
    assert counts.endswith("-> out")
    assert result.stdout == ""
    assert sorted(path.name for path in (tmp_path / "out/photos").iterdir()) == ["000.png", "001.png", "002.png"]


def test_a_plugin_that_raises_on_import_is_one_line(call, photos, tmp_path, install_plugin):
    photos(1)
    install_plugin("unlucky", "raise RuntimeError('no luck')")
    result = call("photos -o out --method unlucky --obfuscate gender")
    assert result.exit_code == 2
    assert "unknown method 'unlucky'" in one_error(result)
    assert "; not loaded: unlucky: RuntimeError: no luck\n" in result.stderr
    result = call("photos -o out --method unloadable --obfuscate gender")
    assert result.exit_code == 1
    assert "'unloadable' cannot be loaded from tiny_methods:NotThere: AttributeError" in one_error(result)
    assert not (tmp_path / "out").exists()


def test_json_goes_to_stdout_alone_and_a_chain_and_estimators_are_heard(call_with_workers, photos, tmp_path):
    photos(2)
    estimators = "--estimator gender=bright-gender,race=bright-race --estimator age=bright-age"
    result = call_with_workers(
        "photos/*.png -o out --method paint --method noise --obfuscate gender,race --obfuscate age --json --audit "
        f"--policy random --strength 0.5 --seed 9 --batch-size 2 --workers 1 {estimators}"
    )
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["protected"], summary["faces"], summary["failed"], summary["errors"]) == (2, 2, 0, [])
    assert summary["record"] == "out/facepriv-run"
    row = read_run(tmp_path / "out").rows["001.png"]
    assert row.method == "paint > noise"
    wanted = {"obfuscate": ["gender", "race", "age"], "policy": "random", "strength": 0.5, "seed": 9}
    assert {name: row.audit[name] for name in wanted} == wanted


def test_one_file_and_a_key_file_twice_give_the_same_bytes(call, photos, tmp_path):
    photos(1)
    (tmp_path / "key").write_bytes(b"0123456789abcdef")
    options = "--method paint-age --obfuscate age --estimator age=bright-age --policy random --key-file key"
    for out in ("a.png", "b/000.png"):
        result = call(f"photos/000.png -o {out} {options}")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b/000.png").read_bytes()
    again = call(f"photos/000.png -o a.png {options}")
    assert again.exit_code == 1
    assert "a.png: exists already" in again.stderr


def test_keep_alone_runs_the_method_on_everyones_own_labels(call, photos, tmp_path):
    photos(1)
    result = call(
        "photos -o out --method paint-gender --keep gender --estimator gender=always-female --audit --workers 1"
    )
    assert result.exit_code == 0, result.output
    audit = read_run(tmp_path / "out").rows["000.png"].audit
    assert audit["obfuscate"] == []
    assert audit["faces"][0]["source"]["gender"] == audit["faces"][0]["target"]["gender"] == "female"


def test_no_face_options_are_counted_in_the_closing_line(call, photos, tmp_path, dark_face):
    from PIL import Image

    source = photos(1)
    Image.fromarray(dark_face * 0).save(source / "black.png")
    options = "--method darken --obfuscate gender --workers 1"
    assert "1 left out, no face found" in call(f"photos -o skipped --on-no-face skip {options}").stderr
    assert "1 copied UNPROTECTED, no face found" in call(f"photos -o copied --on-no-face copy {options}").stderr


def test_unchanged_photos_are_counted_in_words_and_in_json(call, photos):
    photos(2)
    line = "photos -o out --method darken --obfuscate gender --strength 0 --workers 1"
    result = call(line)
    assert result.exit_code == 0
    warning, counts, closing = result.stderr.splitlines()
    assert (
        warning == "facepriv: warning: 2 faces came out unchanged, so nothing is hidden there: a strength of 0 "
        "changes nothing"
    )
    assert counts.startswith("facepriv: 2 UNCHANGED, nothing hidden in them, in ")
    assert "; photos with unchanged faces: 2, without a face found: 0. Next: " in closing
    summary = json.loads(call(f"{line} --overwrite --json").stdout)
    assert (summary["protected"], summary["unchanged"], summary["unchanged_faces"]) == (0, 2, 2)
    assert summary["warnings"] == [warning.removeprefix("facepriv: warning: ")]


def test_outputs_that_exist_are_one_line_and_each_is_in_the_json(call, photos):
    photos(3)
    line = "photos -o out --method darken --obfuscate gender --workers 1"
    assert call(line).exit_code == 0
    result = call(f"{line} --json")
    assert result.exit_code == 1
    assert one_error(result).startswith("out/000.png and 2 more: exists already; --resume")
    summary = json.loads(result.stdout)
    assert (summary["failed"], len(summary["errors"])) == (3, 3)
    assert "3 failed" in call(line).stderr


def test_an_output_folder_inside_the_input_is_named_and_its_outputs_left_out(call, photos, tmp_path):
    photos(2)
    options = "--method darken --obfuscate gender --workers 1"
    assert call(f"photos -o photos/first {options}").exit_code == 0
    for more in ("--dry-run", ""):
        result = call(f"photos -o photos/second {options} {more}")
        assert result.exit_code == 0
        assert "facepriv: warning: photos/first: is the output folder of an earlier run" in result.stderr
    assert sorted(path.name for path in (tmp_path / "photos/second").glob("**/*.png")) == ["000.png", "001.png"]


class TestDryRun:
    """Shows what would be done, and does nothing."""

    def test_lists_inputs_and_outputs(self, call, photos, tmp_path):
        photos(2)
        result = call("photos -o out --method darken --obfuscate gender --dry-run")
        assert result.exit_code == 0
        assert result.stdout == "photos/000.png -> out/000.png\nphotos/001.png -> out/001.png\n"
        assert "nothing written: 2 to do, 0 done already" in result.stderr
        assert not (tmp_path / "out").exists()

    def test_shows_what_stands_in_the_way(self, call, photos, tmp_path):
        photos(2)
        (tmp_path / "out").mkdir()
        (tmp_path / "out/000.png").touch()
        result = call("photos -o out --method darken --obfuscate gender --dry-run --json")
        assert result.exit_code == 1
        content = json.loads(result.stdout)
        assert content["todo"] == [{"input": "photos/001.png", "output": "out/001.png"}]
        assert len(content["errors"]) == 1
        assert "out/000.png: exists already" in result.stderr

    @pytest.mark.parametrize(
        ("method", "options", "text"),
        [
            ("unloadable", "", "'unloadable' cannot be loaded from tiny_methods:NotThere"),
            ("paint", "--estimator gender=from-a-file", "estimator 'from-a-file' cannot be built"),
            ("tuned", "--set tuned.amount=2", "tuned.amount: expected 0 to 1, got 2"),
            ("paint", "--target age=neutral", "'paint' cannot make age neutral"),
            ("darken", "--device nonsense", "device 'nonsense' cannot be used"),
            ("darken", "--engine ray --device cuda:1", "Ray assigns the GPUs"),
        ],
    )
    def test_refuses_what_the_run_refuses(self, call_with_workers, photos, tmp_path, method, options, text):
        photos(1)
        line = f"photos -o out --method {method} --obfuscate gender --workers 1 {options}"
        dry, run = call_with_workers(f"{line} --dry-run"), call_with_workers(line)
        assert text in one_error(dry)
        assert (dry.exit_code, one_error(dry)) == (run.exit_code, one_error(run))
        assert [path.name for path in tmp_path.iterdir()] == ["photos"]

    def test_refuses_where_another_run_is_writing(self, call, photos, tmp_path):
        photos(1)
        with open_manifest(tmp_path / "out/facepriv-run", {}):
            result = call("photos -o out --method darken --obfuscate gender --dry-run --workers 1")
        assert result.exit_code == 2
        assert "another facepriv run is writing there" in one_error(result)

    def test_knows_wrong_names(self, call, photos):
        photos(1)
        assert call("photos -o out --method darkn --obfuscate gender --dry-run").exit_code == 2
        assert call("photos -o out --method darken --obfuscate age --dry-run").exit_code == 2


def test_help_says_which_policy_is_the_default_and_why_it_can_be_inverted(call):
    text = " ".join(call("--help").stdout.split())
    assert "[default: flip]" in text
    assert "can invert the answer" in text


def test_the_run_folder_is_not_taken_for_an_input(call, photos, tmp_path):
    photos(1)
    options = "--method darken --obfuscate gender --workers 1"
    assert call(f"photos -o photos/out {options}").exit_code == 0
    result = call(f"photos -o photos/out {options} --resume")
    assert result.exit_code == 0, result.stderr
    assert "1 done already" in result.stderr
    assert sorted(str(p.relative_to(tmp_path)) for p in Path(tmp_path / "photos").rglob("*.png")) == [
        "photos/000.png",
        "photos/out/000.png",
    ]


def test_a_setting_reaches_the_method_in_its_worker_and_stands_in_an_audit_only(call_with_workers, photos, tmp_path):
    photos(1)
    for amount in ("0", "0.5"):
        line = f"photos -o out{amount} --method tuned --obfuscate gender --set tuned.amount={amount} --workers 1"
        assert call_with_workers(f"{line} --audit").exit_code == 0
    images = [np.asarray(Image.open(tmp_path / folder / "000.png")) for folder in ("photos", "out0", "out0.5")]
    assert np.array_equal(images[0], images[1])
    assert images[2].mean() < images[0].mean() - 5
    (row,) = read_run(tmp_path / "out0.5").rows.values()
    assert row.audit["settings"] == {"tuned": {"fixed": "2", "amount": "0.5"}}
    assert (
        call_with_workers("photos -o silent --method tuned --obfuscate gender --set tuned.amount=0.37").exit_code == 0
    )
    assert not [p for p in (tmp_path / "silent" / "facepriv-run").iterdir() if "0.37" in p.read_text()]


def test_an_estimator_that_needs_a_file_is_given_it(call, photos):
    photos(1)
    line = "photos -o out --method paint --obfuscate gender --estimator gender=from-a-file --workers 1"
    assert "missing a required argument" in call(line).output or "cannot be built" in call(line).output
    assert call(f"{line} --set from-a-file.path=model.bin").exit_code == 0


def test_small_and_uncertain_faces_are_counted_and_errors_if_asked(call, photos, tmp_path, astronaut_file):
    with Image.open(astronaut_file) as image:
        photos(1)
        image.crop((100, 20, 350, 270)).save(tmp_path / "photos/face.png")
    line = "photos -o out --method darken --obfuscate gender --workers 1 --min-face 200"
    result = call(f"{line} --json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["protected"], told["small"], told["uncertain"]) == (2, 2, 0)
    assert "small" not in (tmp_path / "out/facepriv-run/manifest.jsonl").read_text()
    assert "2 small faces, hard to protect" in call(f"{line} --overwrite").stderr
    result = call(f"{line.replace('out', 'strict')} --strict")
    assert result.exit_code == 1
    assert "face.png: 1 face narrower than 200 pixels, so not written (without --strict it is)" in result.stderr
    assert not list((tmp_path / "strict").glob("*.png"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("--detector mtccn", "unknown detector 'mtccn' (did you mean 'mtcnn'"),
        ("--detector mtcnn --thorough", "detector 'mtcnn' always searches the whole photo: leave out --thorough"),
    ],
)
def test_a_detector_that_cannot_be_is_refused(call, photos, given, text):
    photos(1)
    result = call(f"photos -o out --method darken --obfuscate gender --workers 1 {given}")
    assert result.exit_code == 2 and text in one_error(result)


@pytest.mark.parametrize(("detector", "faces"), [("dlib", 0), ("mtcnn", 1), ("auto", 1)])
def test_a_photo_that_lies_on_its_side_is_protected_in_place(call, tmp_path, astronaut_file, detector, faces):
    (tmp_path / "photos").mkdir()
    with Image.open(astronaut_file) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "photos/side.png")
    line = f"photos -o out --method darken --obfuscate gender --workers 1 --detector {detector} --on-no-face skip"
    assert json.loads(call(f"{line} --json").stdout)["faces"] == faces
    if faces:
        before, after = (np.asarray(Image.open(tmp_path / f"{f}/side.png"))[:, :, :3] for f in ("photos", "out"))
        rows, columns = np.nonzero((before != after).any(2))
        assert abs(rows.mean() - 287) < 40 and abs(columns.mean() - 115) < 40


@pytest.mark.parametrize("given", ["", "--thorough"])
def test_a_thorough_search_is_asked_of_the_run(call, photos, monkeypatch, given):
    photos(1, "photos")
    asked = []

    def run_plan(plan, report):
        asked.append(plan.options.thorough)
        return Summary()

    monkeypatch.setattr("facepriv.protection.run.run_plan", run_plan)
    assert call(f"photos -o out --method darken --obfuscate gender {given}").exit_code == 0
    assert asked == [bool(given)]
