"""`--resume` passes nothing over as done that does not answer the present request for the present photo."""

import json
import shutil
import sys
import tarfile
from dataclasses import replace

import pytest
from click.testing import CliRunner

from facepriv.cli import main
from facepriv.protection.manifest import read_run
from facepriv.protection.options import Options
from facepriv.protection.receipts import receipts_path
from facepriv.protection.run import make_plan, run_plan

BRIGHT = "--estimator gender=bright-gender,race=bright-race,age=bright-age"
PAINT = f"apply photos -o out --method paint {BRIGHT} --workers 1 --batch-size 1 --json"
TUNED = "apply photos -o out --method tuned --obfuscate gender --workers 1 --json"


@pytest.fixture
def call(tiny, tmp_path, monkeypatch, one_process):
    """Return ``call(line)``: the exit code, the summary, and the lines on stderr of a run in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def run(line):
        result = CliRunner().invoke(main, line.split())
        assert "Traceback" not in result.stderr
        return result.exit_code, json.loads(result.stdout or "{}"), result.stderr

    return run


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.glob("*.*")}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("--obfuscate gender", "--obfuscate race"),
        ("--obfuscate gender", "--obfuscate gender,race"),
        ("--target age=old", "--target age=young"),
        ("--target gender=same", "--target gender=opposite"),
        ("--obfuscate age --policy flip", "--obfuscate age --policy random"),
        ("--obfuscate gender --strength 0.5", "--obfuscate gender --strength 1"),
        ("--obfuscate gender --seed 1", "--obfuscate gender --seed 2"),
        ("--obfuscate race --key-file one", "--obfuscate race --key-file two"),
        ("--obfuscate race", "--obfuscate race --key-file one"),
        ("--obfuscate race --key-file one", "--obfuscate race"),
        ("--obfuscate gender", "--obfuscate gender --thorough"),
        ("--obfuscate gender", "--obfuscate gender --detector dlib"),
        ("--obfuscate gender", "--obfuscate gender --min-face 20"),
        ("--obfuscate gender", "--obfuscate gender --keep-metadata"),
        ("--obfuscate gender", "--obfuscate gender --audit"),
    ],
)
def test_another_request_is_done_again(call, photos, tmp_path, first, then):
    photos(2)
    (tmp_path / "one").write_bytes(b"the first secret")
    (tmp_path / "two").write_bytes(b"the other secret")
    assert call(f"{PAINT} {first}")[0] == 0
    code, summary, said = call(f"{PAINT} {then} --resume")
    assert (code, summary["already"], summary["protected"]) == (0, 0, 2)
    assert "out/000.png and 1 more: answers another request or another photo; made again" in said
    if "race" not in then and "random" not in then:  # there each run draws with a fresh secret
        assert call(f"{PAINT.replace('-o out', '-o fresh')} {then}")[0] == 0
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert call(f"{PAINT} {then} --resume")[1]["already"] == 2


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("--obfuscate gender,race", "--obfuscate race,gender"),
        ("--obfuscate race --policy random", "--obfuscate race --policy random"),
        ("--target age=old --key-file one", "--target age=old"),
        ("--obfuscate gender", "--obfuscate gender --batch-size 8 --timeout 200 --on-no-face skip"),
        ("--obfuscate gender --audit", "--obfuscate gender"),
    ],
)
def test_the_same_request_in_other_words_is_done_already(call, photos, tmp_path, first, then):
    photos(2)
    (tmp_path / "one").write_bytes(b"the first secret")
    assert call(f"{PAINT} {first}")[0] == 0
    code, summary, _ = call(f"{PAINT} {then} --resume")
    assert (code, summary["already"], summary["protected"], summary["warnings"]) == (0, 2, 0, [])


def test_settings_count_and_files_that_they_name(call, photos, tmp_path):
    photos(1)
    (tmp_path / "model").write_text("one")
    line = f"{PAINT} --obfuscate gender --estimator gender=from-a-file --set from-a-file.path=model"
    line = line.replace("gender=bright-gender,", "")
    assert call(line)[0] == 0
    assert call(f"{line} --resume")[1]["already"] == 1
    (tmp_path / "model").write_text("two")
    assert call(f"{line} --resume")[1]["protected"] == 1
    for amount, done in (("0.5", 0), ("0.5", 1), ("0.7", 0)):
        given = f"{TUNED.replace('-o out', '-o tuned')} --set tuned.amount={amount} --resume"
        assert call(given)[1]["already"] == done


@pytest.mark.parametrize("what", ["weights", "version"])
def test_other_weights_or_another_version_count(call, photos, monkeypatch, what):
    import tiny_methods

    photos(1)
    line = "apply photos -o out --method paint-gender --obfuscate gender --workers 1 --json --resume " + BRIGHT
    monkeypatch.setenv("TINY_INFO", "")
    assert tiny_methods.Paint().info()[what]
    assert call(line)[1]["protected"] == 1
    assert call(line)[1]["already"] == 1
    monkeypatch.setenv("TINY_INFO", f'{{"{what}": "another"}}')
    assert call(line)[1]["protected"] == 1


def test_a_photo_that_was_replaced_is_done_again_and_the_others_are_not(call, photos, tmp_path):
    source = photos(3)
    call(TUNED)
    before = contents(tmp_path / "out")
    shutil.copyfile(source / "000.png", source / "001.png")
    code, summary, said = call(f"{TUNED} --resume")
    assert (code, summary["already"], summary["protected"]) == (0, 2, 1)
    assert "out/001.png: answers another request or another photo" in said
    assert contents(tmp_path / "out") == {**before, "001.png": before["000.png"]}


def test_a_cluster_is_not_asked_what_answers(tiny, photos, tmp_path, monkeypatch):
    source = photos(1)
    options = Options(inputs=(str(source),), out=str(tmp_path / "out"), methods=("darken",), workers=0)
    run_plan(make_plan(options, tiny))
    monkeypatch.setitem(sys.modules, "facepriv_ray.engine", None)
    there = replace(options, workers=1, engine="ray", address="127.0.0.1:9", device="cuda", existing="resume")
    assert len(make_plan(there, tiny).work.done) == 1


class TestNoFace:
    """What was copied unprotected passes for done only where that is asked for again."""

    @pytest.fixture(autouse=True)
    def copied(self, call, photos, blank):
        (photos(1) / "blank.png").write_bytes(blank)
        assert call(f"{TUNED} --on-no-face copy")[1]["copied"] == 1

    def test_copy_again_is_done_already(self, call):
        assert call(f"{TUNED} --on-no-face copy --resume")[:2][1]["already"] == 2

    def test_fail_fails_and_names_the_copy_that_stays(self, call, tmp_path):
        code, summary, said = call(f"{TUNED} --resume")
        assert (code, summary["already"], summary["failed"]) == (1, 1, 1)
        assert "blank.png: no face found" in said and "; out/blank.png stays as it was" in said
        assert (tmp_path / "out/blank.png").is_file()

    @pytest.mark.parametrize("how", ["--resume", "--overwrite"])
    def test_skip_removes_the_copy(self, call, tmp_path, how):
        code, summary, _ = call(f"{TUNED} --on-no-face skip {how}")
        assert (code, summary["no_face"]) == (0, 1)
        assert list(contents(tmp_path / "out")) == ["000.png"]
        assert read_run(tmp_path / "out").rows["blank.png"].status == "no-face"
        assert call(f"{TUNED} --on-no-face skip --resume")[1]["already"] == 1

    def test_what_facepriv_did_not_make_is_not_removed_and_is_an_error(self, call, tmp_path):
        (tmp_path / "out/blank.png").write_bytes(b"somebody's")
        code, summary, said = call(f"{TUNED} --on-no-face skip --overwrite")
        assert (code, summary["failed"]) == (1, 1)
        assert "out/blank.png is there, and facepriv did not make it: remove it" in said
        assert (tmp_path / "out/blank.png").read_bytes() == b"somebody's"

    def test_even_the_users_word_lets_no_copy_pass(self, call, state):
        shutil.rmtree(state)
        code, summary, _ = call(f"{TUNED} --resume --trust-existing")
        assert (code, summary["already"], summary["failed"]) == (1, 1, 1)


def test_a_photo_that_fails_now_is_named_with_what_stays(call, photos, tmp_path):
    source = photos(2)
    call(TUNED)
    before = contents(tmp_path / "out")
    (source / "001.png").write_bytes(b"torn")
    code, summary, said = call(f"{TUNED} --resume")
    assert (code, summary["already"], summary["failed"]) == (1, 1, 1)
    assert "photos/001.png: " in said and "; out/001.png stays as it was" in said
    assert contents(tmp_path / "out") == before


class TestShards:
    """A shard is one output: what decides any of its photos decides it."""

    LINE = "apply in -o out --method tuned --obfuscate gender --workers 1 --json --resume"

    @pytest.fixture
    def packed(self, photos, shard, blank):
        """Return ``packed(*names)``: writes the shard with these photos."""
        files = {**contents(photos(2)), "blank.png": blank}
        return lambda *names: shard({name: files[name] for name in names})

    def test_what_is_asked_of_photos_without_a_face_counts(self, call, packed):
        packed("000.png", "blank.png")
        assert call(f"{self.LINE} --on-no-face copy")[1]["copied"] == 1
        assert call(f"{self.LINE} --on-no-face copy")[1]["already"] == 1
        assert call(f"{self.LINE} --on-no-face skip")[1]["no_face"] == 1
        code, summary, _ = call(self.LINE)
        assert (code, summary["already"], summary["failed"]) == (1, 0, 1)

    def test_another_tar_counts(self, call, packed, tmp_path):
        packed("000.png")
        assert call(self.LINE)[1]["protected"] == 1
        assert call(self.LINE)[1]["already"] == 1
        packed("000.png", "001.png")
        assert call(self.LINE)[1]["protected"] == 2
        with tarfile.open(tmp_path / "out/000.tar") as tar:
            assert tar.getnames() == ["000.png", "001.png"]

    def test_where_all_its_photos_fail_now_the_former_one_is_named(self, call, packed):
        packed("000.png")
        call(self.LINE)
        packed("blank.png")
        code, _, said = call(self.LINE)
        assert code == 1
        assert "out/000.tar stays as it was" in said


class TestReceiptsMissing:
    """Without receipts nothing tells which request outputs answer: the user must."""

    def test_the_run_is_refused_in_one_line_and_changes_nothing(self, call, photos, tmp_path, state):
        photos(2)
        call(TUNED)
        shutil.rmtree(state)
        (tmp_path / "out/001.png").unlink()
        record = (tmp_path / "out/facepriv-run/manifest.jsonl").read_bytes()
        for more in ("", " --dry-run"):
            code, _, said = call(f"{TUNED} --resume{more}")
            assert (code, said.count("\n")) == (2, 1)
            path = receipts_path(tmp_path / "out/facepriv-run")
            assert said.startswith("facepriv: error: out: outputs are there, but not the receipts")
            assert str(path) in said
            assert "--trust-existing" in said and "--overwrite" in said
        assert (tmp_path / "out/facepriv-run/manifest.jsonl").read_bytes() == record
        assert not state.exists()

    def test_the_users_word_is_taken_and_kept(self, call, photos, tmp_path, state):
        photos(3)
        call(TUNED)
        shutil.rmtree(state)
        (tmp_path / "out/002.png").unlink()
        code, summary, _ = call(f"{TUNED} --resume --trust-existing")
        assert (code, summary["already"], summary["protected"]) == (0, 2, 1)
        assert call(f"{TUNED} --resume")[1]["already"] == 3
        # It was taken for this request only, and not for others.
        assert call(f"{TUNED} --resume --strength 0.5")[1]["protected"] == 3

    def test_it_is_kept_where_nothing_is_to_be_done(self, call, photos, state):
        photos(1)
        call(TUNED)
        shutil.rmtree(state)
        assert call(f"{TUNED} --resume --trust-existing")[1]["already"] == 1
        assert call(f"{TUNED} --resume")[1]["already"] == 1

    def test_it_does_not_overrule_receipts(self, call, photos):
        photos(1)
        call(TUNED)
        assert call(f"{TUNED} --resume --trust-existing --strength 0.5")[1]["protected"] == 1

    def test_it_goes_with_resume_only(self, call, photos):
        photos(1)
        code, _, said = call(f"{TUNED} --trust-existing")
        assert code == 2 and "give --resume too" in said

    def test_a_state_directory_that_cannot_be_written_is_a_warning(self, call, photos, tmp_path, monkeypatch):
        photos(2)
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
        code, summary, said = call(TUNED)
        assert (code, summary["protected"], len(summary["warnings"])) == (0, 2, 1)
        assert said.count("facepriv: warning: ") == 1
        assert "set XDG_STATE_HOME to a folder that can be written" in said
        assert call(f"{TUNED} --resume")[0] == 2
        assert call(f"{TUNED} --resume --trust-existing")[1]["already"] == 2
        (tmp_path / "out/001.png").unlink()
        assert call(f"{TUNED} --resume --trust-existing")[:2][1]["protected"] == 1

    def test_no_home_at_all_is_one_line_too(self, call, photos, no_home):
        photos(1)
        assert call(TUNED)[0] == 0
        code, _, said = call(f"{TUNED} --resume")
        assert code == 2 and "there is no home folder, and XDG_STATE_HOME is not set" in said

    def test_a_single_output_with_an_audit_has_receipts_too(self, call, photos):
        photos(1)
        line = "apply photos/000.png -o x.png --method tuned --obfuscate gender --workers 1 --json --audit"
        assert call(line)[0] == 0
        assert call(f"{line} --resume")[1]["already"] == 1
        assert call(f"{line} --resume --strength 0.5")[1]["protected"] == 1
