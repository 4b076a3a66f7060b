"""The run over many files: commits, records, resumes, and the same bytes however it is cut up."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv.errors import PluginError, UsageError, WeightsError
from facepriv.faces import detect
from facepriv.protection import commit
from facepriv.protection.local import default_workers
from facepriv.protection.manifest import read_run
from facepriv.protection.options import new_key
from facepriv.protection.request import PrivacyRequest

KEY = b"a secret for tests only"
#: Everything is hidden and drawn: what could depend on order, batches or workers, would.
DRAWN = PrivacyRequest(("gender", "race", "age"), policy="random", seed=5)


def contents(folder):
    """Return name -> bytes of the photos below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "facepriv-run" not in path.parts
    }


@pytest.mark.parametrize("thorough", [False, True])
def test_a_thorough_run_shows_the_detector_all_of_a_large_photo(run, astronaut_file, tmp_path, monkeypatch, thorough):
    asked, propose = [], detect.propose
    monkeypatch.setattr(detect, "propose", lambda rgb: asked.append(rgb.shape) or propose(rgb))
    (tmp_path / "in").mkdir()
    with Image.open(astronaut_file) as image:
        image.resize((1000, 1000)).save(tmp_path / "in/large.png")
    assert run(tmp_path / "in", thorough=thorough, detector="dlib").faces >= 1
    assert asked == ([] if thorough else [(1000, 1000, 3)])


def test_files_come_out_where_they_should_with_a_row_each(run, photos, tmp_path):
    photos(2, "in/sub")
    photos(1, "in")
    summary = run(tmp_path / "in")
    assert (summary.done, summary.faces, summary.errors, summary.exit_code) == (3, 3, [], 0)
    made = contents(tmp_path / "out")
    assert sorted(made) == ["000.png", "sub/000.png", "sub/001.png"]
    record = read_run(tmp_path / "out")
    for name, row in record.rows.items():
        assert (row.method, row.version, row.status, row.faces) == ("darken", "1.5", "ok", 1)
        assert row.sha256 == hashlib.sha256(made[name]).hexdigest()
        assert row.sha256 != hashlib.sha256((tmp_path / "in" / name).read_bytes()).hexdigest()
    assert sorted(path.name for path in (tmp_path / "out/facepriv-run").iterdir()) == ["manifest.jsonl", "run.json"]


def test_run_json_says_what_made_the_files(run, photos, tmp_path):
    run(photos(1), methods=("paint", "darken"))
    info = read_run(tmp_path / "out").info
    assert info["facepriv"]
    assert (info["engine"], info["device"]) == ("inline", "cpu")
    assert info["torch"]
    assert info["methods"] == [
        {"name": "paint", "version": "7", "weights": "f" * 64, "seen": ["bright-gender"], "dtype": "bfloat16"},
        {"name": "darken", "version": "1.5", "weights": "", "seen": [], "dtype": ""},
    ]
    row = read_run(tmp_path / "out").rows["000.png"]
    assert (row.method, row.version, row.weights) == ("paint > darken", "7 > 1.5", "f" * 64 + " > ")


def test_no_public_output_tells_what_was_hidden(run, photos, tmp_path):
    def record(request, out):
        run(tmp_path / "photos", methods=("paint",), request=request, out=out)
        folder = tmp_path / out / "facepriv-run"
        return folder, b"".join(path.read_bytes() for path in sorted(folder.iterdir()))

    source = photos(2)
    folder, text = record(PrivacyRequest(targets={"gender": "female"}, policy="flip", seed=77123), "out")
    for word in ("policy", "flip", "target", "seed", "77123", "box", "obfuscate", "female", KEY.hex(), str(tmp_path)):
        assert word.encode() not in text, word
    assert KEY not in text
    for path in source.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest().encode() not in text
    # Whatever is hidden, the record is the same but for the outputs' hashes.
    folder_b, _ = record(PrivacyRequest(("race", "age"), policy="random", seed=1), "other")
    assert (folder / "run.json").read_bytes() == (folder_b / "run.json").read_bytes()


def test_an_audit_records_everything_but_the_key(run, photos, tmp_path):
    run(photos(1), methods=("paint",), request=PrivacyRequest(("gender",), targets={"age": "old"}), audit=True)
    audit = read_run(tmp_path / "out").rows["000.png"].audit
    assert (audit["obfuscate"], audit["policy"], audit["strength"], audit["seed"]) == (["gender", "age"], "flip", 1, 0)
    assert audit["input"] == str(tmp_path / "photos/000.png")
    (face,) = audit["faces"]
    left, top, right, bottom = face["box"]
    assert 0 <= left < right <= 100
    assert 0 <= top < bottom <= 110
    assert {face["source"]["gender"], face["target"]["gender"]} == {"male", "female"}
    assert face["target"]["age"] == "old"
    assert face["source"]["race"] == face["target"]["race"]
    assert KEY.decode() not in (tmp_path / "out/facepriv-run/manifest.jsonl").read_text()


class TestDeterminism:
    """The same file gives the same bytes, however the run is cut up."""

    def test_alone_or_among_hundreds_in_any_batches_in_this_process_or_in_two(self, run, photos, tmp_path):
        source = photos(200)
        options = {"methods": ("noise", "paint"), "request": DRAWN}
        assert run(source, out="inline", batch_size=32, **options).done == 200
        assert run(source, out="two", batch_size=7, workers=2, **options).done == 200
        assert contents(tmp_path / "inline") == contents(tmp_path / "two")
        assert read_run(tmp_path / "two").info["engine"] == "local"
        for name in ("000.png", "123.png"):
            run(source / name, out=f"alone/{name}", batch_size=1, **options)
            assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        run(source / "000.png", out="one", workers=1, **options)
        assert contents(tmp_path / "one")["000.png"] == contents(tmp_path / "two")["000.png"]

    def test_a_name_or_a_place_changes_nothing(self, run, photos, tmp_path):
        source = photos(1)
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere/z.png").write_bytes((source / "000.png").read_bytes())
        run(source, out="a", methods=("noise",))
        run(tmp_path / "elsewhere", out="b", methods=("noise",))
        assert (tmp_path / "a/000.png").read_bytes() == (tmp_path / "b/z.png").read_bytes()

    def test_without_a_key_drawn_targets_differ_and_flipped_gender_does_not(self, run, photos, tmp_path):
        source = photos(8)
        for out in ("a", "b"):
            run(source, out=f"drawn-{out}", methods=("paint",), request=DRAWN, key=new_key())
            run(source, out=f"flipped-{out}", methods=("paint-gender",), key=new_key())
        assert contents(tmp_path / "drawn-a") != contents(tmp_path / "drawn-b")
        assert contents(tmp_path / "flipped-a") == contents(tmp_path / "flipped-b")


class TestNoFace:
    """A photo without a face is never passed over silently."""

    @pytest.fixture
    def source(self, photos, blank):
        folder = photos(3)
        (folder / "001.png").write_bytes(blank)
        return folder

    def test_by_default_it_is_an_error_and_the_others_are_done(self, run, source, tmp_path):
        summary = run(source)
        assert (summary.done, summary.exit_code) == (2, 1)
        (text,) = summary.errors
        assert text.startswith(f"{source / '001.png'}: no face found")
        assert sorted(contents(tmp_path / "out")) == ["000.png", "002.png"]
        assert read_run(tmp_path / "out").rows["001.png"].status == "failed"

    def test_skip_leaves_it_out_and_counts_it(self, run, source, tmp_path):
        summary = run(source, on_no_face="skip")
        assert (summary.done, summary.no_face, summary.exit_code) == (2, 1, 0)
        assert sorted(contents(tmp_path / "out")) == ["000.png", "002.png"]
        assert read_run(tmp_path / "out").rows["001.png"].status == "no-face"

    def test_copy_writes_it_unchanged_and_counts_it(self, run, source, tmp_path):
        summary = run(source, on_no_face="copy")
        assert (summary.done, summary.copied, summary.exit_code) == (2, 1, 0)
        with Image.open(tmp_path / "out/001.png") as copied:
            assert not np.asarray(copied).any()
        row = read_run(tmp_path / "out").rows["001.png"]
        assert (row.status, row.faces) == ("copied", 0)
        assert row.sha256


class TestFailures:
    """What fails, fails alone, with one line."""

    def test_unreadable_files_fail_and_the_others_are_done(self, run, photos, tmp_path):
        source = photos(2)
        (source / "text.jpg").write_text("no image")
        (source / "empty.png").touch()
        (source / "cut.png").write_bytes((source / "000.png").read_bytes()[:500])
        summary = run(source, tmp_path / "missing.jpg")
        assert (summary.done, len(summary.errors)) == (2, 4)
        assert all("\n" not in text for text in summary.errors)
        for name in ("text.jpg", "empty.png", "cut.png", "missing.jpg"):
            assert sum(name in text for text in summary.errors) == 1, name
        assert sorted(contents(tmp_path / "out")) == ["photos/000.png", "photos/001.png"]

    def test_only_the_photo_that_a_method_chokes_on_fails(self, run, photos, tmp_path, dark_face):
        source = photos(6)
        Image.fromarray(dark_face).save(source / "003.png")
        summary = run(source, methods=("choosy",), batch_size=32)
        assert summary.done == 5
        assert summary.errors == [f"{source / '003.png'}: method 'choosy': ValueError: too dark for me"]
        assert "003.png" not in contents(tmp_path / "out")

    def test_a_batch_that_fails_gives_the_others_the_same_bytes(self, run, photos, tmp_path, dark_face):
        source = photos(4)
        run(source, methods=("noise", "choosy"), out="whole")
        Image.fromarray(dark_face).save(source / "dark.png")
        run(source, methods=("noise", "choosy"), out="with", batch_size=32)
        assert contents(tmp_path / "whole") == contents(tmp_path / "with")

    def test_a_method_of_another_shape_fails_every_file(self, run, photos, tmp_path):
        summary = run(photos(2), methods=("misshapen",))
        assert len(summary.errors) == 2
        assert all("method 'misshapen'" in text for text in summary.errors)
        assert contents(tmp_path / "out") == {}

    def test_damaged_weights_end_the_run_with_one_error(self, run, photos):
        with pytest.raises(WeightsError, match="SHA-256 is wrong"):
            run(photos(3), methods=("weightless",))

    def test_nothing_is_written_where_the_call_is_wrong(self, run, photos, tmp_path):
        source = photos(1)
        wrong = [
            {"methods": ("darkn",)},
            {"methods": ("unloadable",)},
            {"methods": ()},
            {"request": PrivacyRequest(("age",))},
            {"estimators": {"gender": "nobody"}, "methods": ("paint",)},
            {"estimators": {}, "methods": ("paint",)},
            {"device": "nonsense"},
        ]
        for options in wrong:
            with pytest.raises((UsageError, PluginError)):
                run(source, **options)
        assert not (tmp_path / "out").exists()

    def test_nothing_found_is_a_wrong_call(self, run, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(UsageError, match="no image file there"):
            run(tmp_path / "empty")

    def test_a_folder_that_is_in_the_way_at_the_end_fails_that_file(self, run, photos, tmp_path):
        source = photos(2)

        def block(job, outcome):
            (tmp_path / "out/001.png").mkdir(exist_ok=True)

        summary = run(source, report=block, batch_size=1, existing="overwrite")
        assert (summary.done, len(summary.errors)) == (1, 1)
        assert read_run(tmp_path / "out").rows["001.png"].status == "failed"

    def test_a_file_that_appears_during_the_run_is_left_alone(self, run, photos, tmp_path):
        source = photos(2)

        def appear(job, outcome):
            (tmp_path / "out/001.png").write_bytes(b"someone else's")

        summary = run(source, report=appear, batch_size=1)
        assert (summary.done, len(summary.errors)) == (1, 1)
        assert "appeared during the run" in summary.errors[0]
        assert (tmp_path / "out/001.png").read_bytes() == b"someone else's"


class TestResume:
    """A run that ended at any point is finished by `resume`, and nothing is done twice."""

    class Killed(BaseException):
        """Stands for a kill at a chosen point: nothing of ours catches it."""

    @pytest.fixture
    def source(self, photos):
        return photos(5)

    @pytest.fixture
    def whole(self, run, source, tmp_path):
        run(source, out="whole", methods=("noise",))
        return contents(tmp_path / "whole")

    def finish(self, run, source, expected, tmp_path):
        """Resume, and see that exactly the rest was done."""
        before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in contents(tmp_path / "out")}
        summary = run(source, methods=("noise",), existing="resume")
        assert (summary.already, summary.done, summary.errors) == (len(before), 5 - len(before), [])
        assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before
        assert contents(tmp_path / "out") == expected
        rows = read_run(tmp_path / "out").rows
        assert {n: r.sha256 for n, r in rows.items()} == {n: hashlib.sha256(d).hexdigest() for n, d in expected.items()}
        assert sorted(p.name for p in (tmp_path / "out/facepriv-run").iterdir()) == ["manifest.jsonl", "run.json"]

    def test_after_a_kill_between_files(self, run, source, whole, tmp_path):
        def kill(job, outcome):
            if job.name == "002.png":
                raise self.Killed

        with pytest.raises(self.Killed):
            run(source, methods=("noise",), batch_size=1, report=kill)
        assert sorted(contents(tmp_path / "out")) == ["000.png", "001.png", "002.png"]
        self.finish(run, source, whole, tmp_path)

    @pytest.mark.parametrize("after_rename", [False, True])
    def test_after_a_kill_between_row_and_file(self, run, source, whole, tmp_path, monkeypatch, after_rename):
        real = commit.os.replace

        def replace_and_die(source, target):
            commits = Path(target).parent.name == "out"
            if after_rename or not commits:
                real(source, target)
            if commits:
                raise self.Killed

        with monkeypatch.context() as patch, pytest.raises(self.Killed):
            patch.setattr(commit.os, "replace", replace_and_die)
            run(source, methods=("noise",))
        assert len(contents(tmp_path / "out")) == after_rename
        assert [row.status for row in read_run(tmp_path / "out").rows.values()] == ["ok"]
        self.finish(run, source, whole, tmp_path)

    def test_after_a_torn_row_and_with_what_a_killed_run_left_in_staging(self, run, source, whole, tmp_path):
        run(source / "000.png", methods=("noise",))
        record = tmp_path / "out/facepriv-run"
        with (record / "manifest.jsonl").open("ab") as manifest:
            manifest.write(b'{"file": "001.png", "status": "o')
        (record / ".facepriv-staging-0123").mkdir()
        (record / ".facepriv-staging-0123/00000001.png").write_bytes(b"half a ph")
        self.finish(run, source, whole, tmp_path)

    def test_of_a_finished_run_does_nothing(self, run, source, tmp_path):
        run(source)
        manifest = (tmp_path / "out/facepriv-run/manifest.jsonl").read_bytes()
        summary = run(source, existing="resume")
        assert (summary.already, summary.done, summary.exit_code) == (5, 0, 0)
        assert (tmp_path / "out/facepriv-run/manifest.jsonl").read_bytes() == manifest

    def test_tries_failed_files_again(self, run, source, tmp_path):
        good = (source / "001.png").read_bytes()
        (source / "001.png").write_bytes(good[:100])
        assert run(source).exit_code == 1
        (source / "001.png").write_bytes(good)
        summary = run(source, existing="resume")
        assert (summary.already, summary.done, summary.exit_code) == (4, 1, 0)

    def test_does_not_take_an_original_in_the_output_folder_for_protected(self, run, source, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/001.png").write_bytes((source / "001.png").read_bytes())
        summary = run(source, existing="resume")
        assert (summary.already, summary.done, summary.exit_code) == (0, 4, 1)
        assert "the manifest has no row of it" in summary.errors[0]


def test_overwrite_replaces_and_the_last_row_counts(run, photos, tmp_path):
    source = photos(2)
    run(source)
    first = contents(tmp_path / "out")
    assert run(source).exit_code == 1
    assert contents(tmp_path / "out") == first
    assert run(source, methods=("noise",), existing="overwrite").done == 2
    assert contents(tmp_path / "out") != first
    assert [row.method for row in read_run(tmp_path / "out").rows.values()] == ["noise", "noise"]
    assert run(source, methods=("noise",), existing="resume").already == 2


def test_workers_follow_the_number_of_files(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert [default_workers(files, "cpu") for files in (1, 15, 16, 1000)] == [1, 1, 2, 16]
    assert [default_workers(files, "cuda") for files in (15, 1000)] == [1, 4]
