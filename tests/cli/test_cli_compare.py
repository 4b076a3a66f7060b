"""`facepriv compare` and `attack` as a user meets them: reports, tables, and one line for each thing that is wrong."""

import csv
import json
import os
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facepriv.cli import main
from facepriv.errors import UsageError
from facepriv.evaluation.photos import layout_of


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def labelled(tmp_path, small_faces, tiny):
    """A folder of sixteen photos of eight people, bright and dark, with labels.csv."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["file,subject,gender"]
    for n in range(16):
        gender = ("male", "female")[n // 2 % 2]
        light = (0.85 if gender == "female" else 1.0) - 0.01 * n
        Image.fromarray((small_faces[n // 2 % 2] * light).astype(np.uint8)).save(folder / f"{n:02d}.png")
        rows.append(f"{n:02d}.png,p{n // 2},{gender}")
    (folder / "labels.csv").write_text("\n".join([*rows, ""]))
    return folder


#: All but the first test, which has a process.
in_one_process = pytest.mark.usefixtures("one_process")
QUICK = shlex.split("--methods darken,grey --estimator bright-gender --workers 1 --replicates 20 --fmr 0.4")


def test_a_report_is_written_and_its_first_table_printed(labelled, tmp_path):
    out = tmp_path / "report"
    command = ("compare", labelled, "-o", out, "--work", tmp_path / "work", *QUICK)
    result = call(*command)
    assert result.exit_code == 0, result.output
    assert {p.name for p in out.iterdir()} == {"report.html", "rows.csv", "result.json", "tables.tex"}
    lines = result.stdout.splitlines()
    assert lines[0].startswith("output") and lines[1].startswith("originals") and lines[2].startswith("darken")
    assert "left out: grey: cannot hide this: it changes race" in result.stderr
    said = json.loads((out / "result.json").read_text())
    assert [m["name"] for m in said["methods"]] == ["darken"] and said["data"]["people"] == 8
    assert "16 photos of 8 people (csv)" in (out / "report.html").read_text()
    files = {p.name: p.read_bytes() for p in out.iterdir()}
    again = call(*command)
    assert again.exit_code == 0 and "outputs of a photo" not in again.stderr
    assert files == {p.name: p.read_bytes() for p in out.iterdir()}


@in_one_process
@pytest.mark.skipif(os.name != "posix", reason="there are no mode bits here")
@pytest.mark.parametrize("command", ["compare", "attack"])
def test_what_is_kept_in_the_cache_is_private_and_announced(command, labelled, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = tmp_path / "cache/facepriv/compare"
    kept.mkdir(parents=True)
    kept.chmod(0o755)  # as earlier versions made it
    attack = ("--attack", "detector") if command == "attack" else ()
    result = call(command, labelled, "-o", tmp_path / "report", *attack, *QUICK)
    assert result.exit_code == 0, result.output
    said = f"scores, descriptors and faces of real people are kept in {kept}; to remove them: rm -r {kept}\n"
    assert said in result.stderr
    assert list(kept.glob("*/*"))
    assert kept.stat().st_mode & 0o777 == 0o700


@in_one_process
def test_attacks_stand_beside_the_method_and_one_can_be_chosen(labelled, tmp_path):
    out = tmp_path / "report"
    place = ("-o", out, "--work", tmp_path / "work")
    result = call("attack", labelled, *place, "--attack", "detector,restoration", *QUICK)
    assert result.exit_code == 0, result.output
    (output,) = json.loads((out / "result.json").read_text())["outputs"]
    by_name = {row["evaluator"]: row for row in output["adversaries"]}
    assert {"attack: detector", "attack: restoration"} <= set(by_name)
    assert "Adversaries" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--methods", "darkenn"), "unknown method 'darkenn' (did you mean 'darken'?)"),
        (("--estimator", "nobody"), "unknown estimator 'nobody'"),
        (("--outputs", "gendre"), "no attribute 'gendre' (did you mean 'gender'?)"),
        (("--outputs", "all", "--obfuscate", "gender"), "--obfuscate and --outputs exclude each other"),
        (("--methods", "grey"), "no method can make any of the outputs (grey: cannot hide this: it changes race)"),
        (("--methods", "tuned", "--set", "tuned.amount=9"), "expected 0 to 1, got 9"),
        (("--set", "darken.colour=red"), "darken.colour: no such setting"),
        (("--examples", "nowhere"), "nowhere: no such folder"),
        (("--layout", "lwf"), "unknown layout 'lwf' (did you mean 'lfw'?)"),
        (("--attack", "bribery"), "unknown attack 'bribery'"),
    ],
)
def test_a_wrong_call_is_one_line_before_any_work(arguments, said, labelled, tmp_path):
    out = tmp_path / "report"
    given = dict(zip(QUICK[::2], QUICK[1::2], strict=True)) | {"--work": tmp_path / "work"}
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
    flat = [text for pair in (given | pairs).items() for text in pair]
    result = call("compare", labelled, "-o", out, *flat)
    assert result.exit_code == 2 and said in result.stderr, result.output
    assert result.stderr.count("error:") == 1 and "Traceback" not in result.output and not out.exists()


def test_a_place_with_other_files_is_left_alone(labelled):
    result = call("compare", labelled, "-o", labelled, *QUICK)
    assert result.exit_code == 2 and "holds other files than a report" in result.stderr
    assert not (labelled / "report.html").exists()


def test_a_layout_is_found_out_or_asked_for(labelled, tmp_path):
    assert layout_of(labelled) == "csv"
    lfw = tmp_path / "lfw"
    lfw.mkdir()
    with pytest.raises(UsageError, match="name its layout with --layout"):
        layout_of(lfw)
    (tmp_path / "lfw_gender.csv").write_text("subject,gender\n")
    assert layout_of(lfw) == "visible-lfw"
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "21_0_2_2017.jpg").write_bytes(b"")
    assert layout_of(tmp_path / "faces") == "utkface"
    with pytest.raises(UsageError, match="no such folder"):
        layout_of(tmp_path / "nowhere")


@in_one_process
def test_several_sets_give_a_report_each_and_one_table(labelled, tmp_path):
    other = tmp_path / "lfw"
    for path in sorted(labelled.glob("*.png"))[:12]:
        person = other / f"person_{int(path.stem) // 2}"
        person.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("RGB").save(person / f"{person.name}_{int(path.stem) % 2 + 1:04d}.jpg")
    genders = [f"person_{n},{('male', 'female')[n % 2]}\n" for n in range(6)]
    (tmp_path / "lfw_gender.csv").write_text("subject,gender\n" + "".join(genders))
    out = tmp_path / "report"
    result = call("compare", labelled, other, "-o", out, "--work", tmp_path / "work", *QUICK, "--against", "darken")
    assert result.exit_code == 0, result.output
    folders = sorted(p.name for p in out.iterdir() if p.is_dir())
    assert folders == ["csv", "visible-lfw"] and all((out / name / "report.html").is_file() for name in folders)
    rows = list(csv.DictReader((out / "rows.csv").read_text().splitlines()))
    assert {row["data"] for row in rows} == {"csv", "visible-lfw"}
    assert [s["data"]["photos"] for s in json.loads((out / "result.json").read_text())["sets"]] == [16, 12]
    page = (out / "report.html").read_text()
    assert 'href="csv/report.html"' in page and 'href="visible-lfw/report.html"' in page
    place = ("-o", tmp_path / "one", "--work", tmp_path / "work")
    together = call("compare", labelled, other, *place, "--together", *QUICK)
    assert together.exit_code == 0, together.output
    assert json.loads((tmp_path / "one/result.json").read_text())["data"]["photos"] == 28


@in_one_process
@pytest.mark.parametrize(
    ("condition", "code", "said"),
    [
        ("gender_accuracy[bright-gender] < 101", 3, "holds"),
        ("gender_accuracy[bright-gender] > 101", 0, "does not hold"),
        ("gender_acuracy < 1", 2, "no figure 'gender_acuracy' (did you mean 'gender_accuracy'"),
        ("gender_eer[nobody] < 1", 2, "no judge 'nobody' here"),
    ],
)
def test_a_condition_decides_the_exit_code(labelled, tmp_path, condition, code, said):
    where = ("-o", tmp_path / "out", "--work", tmp_path / "work")
    result = call("compare", labelled, *where, *QUICK, "--fail-if", condition)
    assert result.exit_code == code and said in result.stderr, result.output


def test_what_is_compared_with_must_be_among_the_methods(labelled, tmp_path):
    result = call("compare", labelled, "-o", tmp_path / "out", *QUICK, "--against", "pixelate")
    assert result.exit_code == 2 and "--against pixelate: not among the methods here, darken, grey" in result.stderr


@in_one_process
def test_near_copies_of_another_part_are_left_out_on_request(tmp_path, small_faces, tiny):
    folder = tmp_path / "photos"
    folder.mkdir()
    first, second = small_faces[:2]
    rows = ["file,part,gender"]
    for n, (face, part) in enumerate([(first, "test"), (first[:, ::-1], "test"), (second, "test"), (second, "train")]):
        for light in (1.0, 0.9):
            name = f"{n}-{light}.png"
            Image.fromarray((face * light).astype(np.uint8)).save(folder / name)
            rows.append(f"{name},{part},{'female' if n == 1 else 'male'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    where = ("-o", tmp_path / "out", "--work", tmp_path / "work", *QUICK)
    counts = {}
    for options in ((), ("--without-copies",)):
        result = call("compare", folder, *where, "--part", "test", *options)
        assert result.exit_code == 0, result.output
        said = json.loads((tmp_path / "out/result.json").read_text())["data"]
        counts[said["name"]] = said["photos"]
    assert counts == {"csv, part test": 6, "csv, part test, without near copies": 4}
    result = call("compare", folder, *where, "--without-copies")
    assert result.exit_code == 2 and "name a part with --part, or leave out --without-copies" in result.stderr
