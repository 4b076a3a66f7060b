"""`facepriv evaluate` on folders made by anything, on runs of our own, and on what is wrong with either."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import main

JUDGES = "--estimator light --matcher tint"
QUICK = "--fmr 0.5 --replicates 20 --workers 1"


@pytest.fixture
def call(known, tmp_path, monkeypatch, one_process):
    """Return ``call("evaluate options")``, run in ``tmp_path`` with the light judges."""
    monkeypatch.chdir(tmp_path)

    def run(line, judges=JUDGES):
        return CliRunner().invoke(main, ["evaluate", *f"{QUICK} {line} {judges}".split()])

    return run


@pytest.fixture
def same(people):
    """Photos of made people in ``photos``, and a copy in ``same``; returns the folder of the originals."""
    root = people()
    shutil.copytree(root, root.parent / "same")
    return root


def as_json(result, code=0):
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def rows(found, figure, **wanted):
    return [r for r in found["rows"] if r["figure"] == figure and all(r[k] == v for k, v in wanted.items())]


def one_error(result, code=2):
    assert result.exit_code == code, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.output
    return result.stderr


def test_doing_nothing_changes_nothing(call, same):
    found = as_json(call("photos same --labels labels.csv --json - --fail-if tmr_loss>0 --fail-if gender_eer_rise>0"))
    changes = [r for r in found["rows"] if r["change"]]
    assert len(changes) > 15
    for row in changes:
        assert row["change"]["value"] == 0 and row["change"]["low"] in (0, None) and row["change"]["high"] in (0, None)
        assert row["before"] == row["after"]
    assert rows(found, "identical")[0]["after"]["value"] == 20
    assert rows(found, "ssim")[0]["after"]["value"] == 1
    assert "no photo changed" in rows(found, "psnr")[0]["note"] and not found["problems"]
    assert [c["holds"] for c in found["fail_if"]] == [False, False]
    assert found["photos"] == 20 and found["people"] == 10


def test_a_tool_that_inverts_gender_and_identity_is_seen(call, people, changed):
    changed(people(), "dark", lambda pixels: (255 - pixels).mean(axis=2, keepdims=True) * 0.5 + pixels * 0.1)
    result = call("photos dark --labels labels.csv --csv rows.csv --fail-if tmr_loss>2 --fail-if found_loss>=0")
    assert result.exit_code == 3, result.output
    assert (
        "20 photos of 10 people, the face nearest the centre of each; TMR" in result.stdout
        and "figures by group" in result.stdout
    )
    assert "--fail-if 'tmr_loss>2': holds, TMR at the set's own FMR is" in result.stderr
    with open("rows.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    (eer,) = [r for r in lines if r["figure"] == "gender_eer" and r["evaluator"] == "light" and not r["group"]]
    assert float(eer["after"]) > float(eer["before"]) == 0


def test_what_is_wrong_with_a_protected_file_is_counted_and_named(call, people, changed):
    root = people()
    out = changed(root, "out", lambda pixels: pixels * 0.9)
    (out / "p0/0.png").unlink()
    (out / "p1/0.png").write_bytes((out / "p1/0.png").read_bytes()[:200])
    Image.open(out / "p2/0.png").resize((200, 220)).save(out / "p2/0.png")
    Image.new("RGB", (100, 110)).save(out / "p3/0.png")
    Image.open(out / "p4/0.png").save(out / "p4/0.webp")
    (out / "p4/0.png").unlink()
    shutil.copy(out / "p5/0.png", out / "p5/9.png")
    result = call("photos out --labels labels.csv --json -")
    found = as_json(result)
    counts = {
        name: rows(found, name)[0]["after"]["value"] for name in ("missing", "unreadable", "resized", "identical")
    }
    assert counts == {"missing": 1, "unreadable": 1, "resized": 1, "identical": 0}
    assert found["problems"] == [
        "p0/0.png: has no protected file",
        "p1/0.png: its protected file is no whole image",
        "p2/0.png: its protected file is of another size; it is judged, and has no SSIM and PSNR",
        "p3/0.png: a face was found in the original, none in its protected file",
        "p5/9.png: has no original, and is ignored",
    ]
    assert result.stderr.count("warning") == 5
    # Three of twenty photos have no face any more: errors, in the share found and in every rate.
    assert rows(found, "found", group="")[0]["after"]["value"] == pytest.approx(85)
    assert rows(found, "gender_accuracy", evaluator="light")[0]["after"]["value"] <= 85


def test_people_come_from_folders_where_the_labels_have_none(call, same):
    found = as_json(call("photos same --people folder --json -", "--matcher tint --estimator light"))
    assert found["people"] == 10 and rows(found, "tmr", evaluator="tint")
    assert not rows(found, "gender_eer") and rows(found, "gender_changed", evaluator="light")


def test_without_people_there_is_no_tmr_and_one_line_says_so(call, same, tmp_path):
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(line.split(",")[0] + "," + line.split(",")[2] for line in lines))
    result = call("photos same --labels labels.csv")
    assert result.exit_code == 0, result.output
    note = "20 of 20 photos have no person label: no TMR, and in intervals each counts as a person"
    assert result.stdout.count(note) == 1
    assert "TMR at" not in result.stdout and "gender EER" in result.stdout


def test_seen_and_weak_judges_are_shown_and_count_nowhere(call, same):
    judges = "--estimator light --estimator blind --estimator mine=light --set mine.gain=0.5 --matcher tint"
    found = as_json(call("photos same --labels labels.csv --seen mine --json -", judges))
    counts = {name: own["counts"] for name, own in found["judges"].items()}
    assert counts == {"light": True, "blind": False, "mine": False, "tint": True}
    assert found["judges"]["mine"]["seen"] and found["judges"]["mine"]["settings"] == {"gain": "0.5"}
    assert "too weak on the originals" in found["judges"]["blind"]["note"]
    (mean,), (light,) = (rows(found, "gender_eer", evaluator=name, group="") for name in ("unseen mean", "light"))
    assert mean["before"] == light["before"]


def record_run(folder, methods=(), lines=()):
    """Write the record of a run into the folder that it protected."""
    (folder / "facepriv-run").mkdir()
    (folder / "facepriv-run/run.json").write_text(json.dumps({"format": 1, "methods": methods, "earlier": []}))
    base = {"method": "m", "version": "1", "weights": ""}
    text = "".join(json.dumps({**line, **base}) + "\n" for line in lines)
    (folder / "facepriv-run/manifest.jsonl").write_text(text)


def test_a_component_named_in_a_run_is_seen_under_any_name(call, same):
    record_run(same.parent / "same", [{"name": "m", "version": "1", "weights": "", "seen": ["light"]}])
    found = as_json(call("photos same --labels labels.csv --json -", "--estimator mine=light --matcher tint"))
    assert found["judges"]["mine"]["seen"] and not rows(found, "gender_eer", evaluator="unseen mean")


def test_an_audited_run_knows_its_originals_and_another_asks_for_them(call, tiny, people, tmp_path):
    people()
    apply = ["apply", "photos", "-o", "out", "--method", "darken", "--obfuscate", "gender", "--workers", "1"]
    assert CliRunner().invoke(main, [*apply, "--audit"]).exit_code == 0
    (tmp_path / "out/p0/0.png").unlink()
    found = as_json(call("out --labels labels.csv --json -"))
    assert found["photos"] == 20 and rows(found, "missing")[0]["after"]["value"] == 1
    apply[3] = "other"
    assert CliRunner().invoke(main, apply).exit_code == 0
    text = one_error(call("other --labels labels.csv"))
    assert "did not record the originals' place (only --audit does)" in text and "ORIGINAL other" in text
    assert as_json(call("photos other --labels labels.csv --json -"))["photos"] == 20
    assert "no run of facepriv is recorded there" in one_error(call("photos --labels labels.csv"))


def test_what_a_run_says_of_a_missing_file_is_reported(call, same):
    (same.parent / "same/p0/0.png").unlink()
    lines = [{"file": "p0/0.png", "status": "failed"}, {"file": "p1/0.png", "status": "copied"}]
    record_run(same.parent / "same", lines=lines)
    found = as_json(call("photos same --labels labels.csv --json -"))
    assert found["problems"] == ["p0/0.png: has no protected file (its run says: it failed)"]
    assert "1 files were copied unprotected by their run, first p1/0.png" in found["notes"]


def test_a_cache_makes_the_second_call_look_at_nothing(call, same, monkeypatch):
    first = as_json(call("photos same --labels labels.csv --json - --cache kept"))
    monkeypatch.setattr("facepriv.evaluation.predictions.crop_subject", lambda *a: pytest.fail("looked again"))
    monkeypatch.setattr("facepriv.evaluation.pairing._file_likeness", lambda *a: pytest.fail("compared again"))
    assert as_json(call("photos same --labels labels.csv --json - --cache kept")) == first


@pytest.mark.parametrize(
    ("line", "judges", "text"),
    [
        ("gone same", JUDGES, "gone: no such folder; give the folder of the originals"),
        ("photos gone --labels labels.csv", JUDGES, "gone: no such folder; give the folder of the protected photos"),
        ("photos same --labels none.csv", JUDGES, "none.csv: missing"),
        ("photos same --labels labels.csv --fail-if tmr_los>2", JUDGES, "no figure 'tmr_los' (did you mean 'tmr'"),
        ("photos same --labels labels.csv --fail-if tmr_loss[dlb]>2", JUDGES, "no judge 'dlb' here"),
        ("photos same --labels labels.csv", "--matcher tnt", "unknown matcher 'tnt' (did you mean 'tint'"),
        ("photos same --labels labels.csv", "--matcher tint --estimator tint=light", "two judges are called 'tint'"),
        (
            "photos same --labels labels.csv",
            "--estimator light --set light.gan=1",
            "no such setting (did you mean 'gain'",
        ),
        ("photos same --labels labels.csv", "--estimator light --set tint.x=1", "'tint' is not used in this call"),
        ("photos same --layout lwf", JUDGES, "unknown layout 'lwf' (did you mean 'lfw'"),
        ("photos same --layout lfw --labels labels.csv", JUDGES, "leave out --labels"),
        ("photos same --part test --labels labels.csv", JUDGES, "--part belongs to a data set"),
        ("photos same --labels labels.csv --json - --csv -", JUDGES, "cannot both go to stdout"),
        ("same same --people folder", JUDGES, "lies in no folder of its person"),
    ],
)
def test_a_wrong_call_is_one_line(call, same, line, judges, text):
    if line.startswith("same"):
        shutil.copy(same / "p0/0.png", same.parent / "same/loose.png")
    if "--matcher" not in judges and "dlib" not in judges:
        judges += " --matcher tint"
    if "tint.x" in line + judges:
        judges = judges.replace("--matcher tint", "--matcher other=tint")
    result = call(line, judges)
    assert result.exit_code in (1, 2) and "Traceback" not in result.output
    assert text in result.stderr and result.stderr.count("\n") == 1


def test_a_condition_that_nothing_can_be_judged_by_fails(call, same):
    result = call("photos same --labels labels.csv --fail-if race_pair_eer<30")
    assert result.exit_code == 3 and "cannot be judged" in result.stderr


@pytest.mark.parametrize("matcher", ["constant", "nan", "infinite"])
def test_a_matcher_that_does_not_work_counts_nowhere_and_is_no_pass(call, people, changed, matcher):
    changed(people(), "out", lambda pixels: pixels * 0.95)
    judges = f"--estimator light --matcher tint --matcher {matcher}"
    result = call(f"photos out --labels labels.csv --json - --fail-if eer_rise[{matcher}]>1", judges)
    found = as_json(result, code=3)
    assert found["judges"]["tint"]["counts"] and not found["judges"][matcher]["counts"]
    assert found["judges"][matcher]["note"].startswith("too weak on the originals: TMR at FMR 1 % is ")
    assert {row["counts"] for row in rows(found, "eer", evaluator=matcher)} == {False}
    assert f"cannot be judged: {matcher} does not count here (too weak on the originals" in result.stderr
    assert found["fail_if"][0]["holds"] is None and "too weak" in found["fail_if"][0]["why"]
    # Others that count are judged as before.
    assert as_json(call("photos out --labels labels.csv --json - --fail-if eer_rise>1", judges))


def test_a_face_for_which_a_matcher_gives_no_number_is_a_failure_and_named(call, people, changed):
    changed(people(), "out", lambda pixels: pixels * 0.95)
    judges = "--estimator light --matcher infinite --matcher nan"
    result = call("photos out --labels labels.csv --json -", judges)
    found = as_json(result)
    assert found["problems"] == [
        "infinite: gave NaN or infinity for 10 of 20 originals, first p0/0.png",
        "nan: gave NaN or infinity for 20 of 20 originals, first p0/0.png",
        "infinite: gave NaN or infinity for 10 of 20 protected photos, first p0/0.png",
        "nan: gave NaN or infinity for 20 of 20 protected photos, first p0/0.png",
    ]
    # Half of the people are errors at any threshold.
    assert rows(found, "tmr", evaluator="infinite", group="", pairing="(X1', X2')")[0]["before"]["value"] == 50


@pytest.fixture
def no_model(monkeypatch):
    """Fail where a model is built or a photo is read."""
    monkeypatch.setattr("facepriv.evaluation.judges.Judges.build", lambda *given: pytest.fail("built a model"))
    monkeypatch.setattr("facepriv.image.read_image", lambda *given: pytest.fail("read a photo"))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "photos other --labels labels.csv",
            "other: holds no protected file of any of the 20 photos of photos (there is no p0/0.png, "
            "whatever its suffix, but x.png); files pair by their path below the two folders",
        ),
        ("photos several --labels labels.csv --limit 1", "(p0/0.png could be any of p0/0.jpg, p0/0.webp)"),
        (
            "photos photos --limit 1",
            "there is one photo only, and intervals need two: add photos, or use facepriv sheet",
        ),
        ("photos photos --people folder --limit 2", "all photos show one person, and intervals need two people"),
    ],
)
def test_what_cannot_be_judged_is_said_before_a_model_is_built(call, people, no_model, tmp_path, line, text):
    root = people()
    for name in ("other/x.png", "several/p0/0.jpg", "several/p0/0.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "p0/0.png", tmp_path / name)
    result = call(line)
    assert result.exit_code in (1, 2) and "Traceback" not in result.output
    assert text in result.stderr and result.stderr.count("\n") == 1


def test_labels_that_no_judge_speaks_of_leave_the_changes(call, people, tmp_path):
    people()
    (tmp_path / "race.csv").write_text("file,race\np0/0.png,white\np1/0.png,black\n")
    found = as_json(call("photos photos --labels race.csv --json -"))
    assert found["notes"][0] == "no error rates of light, only changes: the photos have no gender label"
    assert rows(found, "gender_changed")[0]["after"]["value"] == 0 and not rows(found, "gender_eer")


def test_a_photo_among_the_originals_that_cannot_be_read_is_named(call, people, changed):
    root = people()
    changed(root, "out", lambda pixels: pixels * 0.95)
    (root / "phone.heic").touch()
    assert as_json(call("photos out --people folder --json -"))["problems"][0].startswith(
        "photos/phone.heic: not a kind"
    )


def test_csv_on_stdout_is_csv_alone(call, same):
    result = call("photos same --labels labels.csv --csv -")
    lines = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.exit_code == 0 and len(lines) > 30 and {"figure", "change_low", "note"} <= set(lines[0])


def test_a_layout_is_evaluated_in_its_own_folder_structure(call, people, tmp_path):
    root = people("lfw")
    for path in root.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    lines = ["subject,gender", *(f"p{n},{'female' if n % 2 else 'male'}" for n in range(10))]
    (tmp_path / "lfw_gender.csv").write_text("\n".join(lines))
    shutil.copytree(root, tmp_path / "same")
    found = as_json(call("lfw same --layout visible-lfw --limit 12 --json -"))
    assert found["photos"] == 12 and found["people"] == 6
    assert np.isclose(rows(found, "tmr", pairing="(X1', X2')", group="")[0]["change"]["value"], 0)


def test_photos_without_labels_have_changes_and_a_verdict(call, people, changed):
    root = people()
    changed(root, "dark", lambda pixels: pixels * 0.5)  # the light judge calls everybody a man
    judges = "--estimator light --set light.gain=1.8 --estimator years --matcher sure --matcher tint"
    found = as_json(call("photos dark --json - --fail-if gender_changed>90", judges))
    assert found["people"] is None and found["photos"] == 20 and not found["problems"]
    assert rows(found, "gender_changed")[0]["after"]["value"] == 50  # the women
    assert rows(found, "age_moved")[0]["after"]["value"] > 2 and rows(found, "found_both")[0]["after"]["value"] == 100
    # Half of the light has the same tint: the matcher by tint is not deceived.
    assert rows(found, "own_match", evaluator="sure")[0]["after"]["value"] == 100
    assert "states no published threshold" in rows(found, "own_match", evaluator="tint")[0]["note"]
    assert not {"gender_eer", "tmr", "age_error"} & {row["figure"] for row in found["rows"]}
    assert {own["counts"] for own in found["judges"].values()} == {True}
    assert [line.partition(":")[0] for line in found["verdict"]] == [*("Faces", "Gender", "Age", "Recognition")] + [
        "Recognition",
        "Image",
    ]
    assert "the photos have no labels, so only changes are measured" in found["notes"][0]
    result = call("photos dark --fail-if gender_changed>10", judges)
    assert result.exit_code == 3 and "holds, faces whose estimated gender changed is" in result.stderr
    shown = result.stdout.splitlines()
    assert shown[2 : 2 + len(found["verdict"])] == found["verdict"]


def test_a_rate_that_the_photos_are_too_few_for_says_what_is_needed(call, same):
    result = call("photos same --labels labels.csv --json - --fmr 0.001")
    (row,) = rows(as_json(result), "tmr", pairing="(X1', X2')", group="")
    assert row["note"] == (
        "180 impostor comparisons are too few for an FMR of 0.1 %, which needs at least 30,000 (30 false matches); add "
        "photos"
    )
