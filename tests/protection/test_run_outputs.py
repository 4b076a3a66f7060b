"""Single outputs, photos that come out unchanged, and what a plan and a run leave where."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv.errors import UsageError
from facepriv.protection import commit
from facepriv.protection.manifest import read_run
from facepriv.protection.options import Options
from facepriv.protection.request import PrivacyRequest
from facepriv.protection.run import make_plan


def hashless(text):
    """Return rows without the hashes of outputs."""
    return re.sub(r'"sha256": "[0-9a-f]{64}"', "", text)


class TestSingleFile:
    """One file to one file."""

    def test_no_run_folder_is_left_beside_it(self, run, photos, tmp_path):
        run(photos(1) / "000.png", out="single/x.png")
        assert [path.name for path in (tmp_path / "single").iterdir()] == ["x.png"]

    def test_an_audit_leaves_one(self, run, photos, tmp_path):
        run(photos(1) / "000.png", out="single/x.png", audit=True)
        assert sorted(path.name for path in (tmp_path / "single").iterdir()) == ["x.png", "x.png.facepriv"]
        assert read_run(tmp_path / "single/x.png").rows["x.png"].audit

    def test_what_a_killed_run_left_there_goes(self, run, photos, tmp_path, monkeypatch):
        class Killed(BaseException):
            pass

        def die(*given):
            raise Killed

        source = photos(1) / "000.png"
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(commit.os, "replace", die)
            patch.setattr(commit.shutil, "rmtree", lambda *given, **options: None)  # a killed process tidies nothing up
            run(source, out="single/x.png")
        assert list((tmp_path / "single").iterdir())
        run(source, out="single/x.png")
        assert [path.name for path in (tmp_path / "single").iterdir()] == ["x.png"]

    @pytest.mark.parametrize("audit", [False, True])
    def test_a_file_name_may_be_as_long_as_the_disk_allows(self, run, photos, tmp_path, audit):
        name = "x" * (255 - len(".png") - len(".facepriv") * audit) + ".png"
        assert run(photos(1) / "000.png", out=f"single/{name}", audit=audit).done == 1
        assert (tmp_path / "single" / name).is_file()


class TestUnchanged:
    """Unchanged photos are counted, and none counts as protected."""

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"request": PrivacyRequest(strength=0)}, "a strength of 0 changes nothing"),
            ({"request": PrivacyRequest(()), "methods": ("still",)}, "no attribute is to be hidden"),
            ({"methods": ("still",)}, ""),
        ],
    )
    def test_it_is_counted_and_warned_of(self, run, photos, tmp_path, options, why):
        source = photos(2)
        summary = run(source, **options)
        assert (summary.done, summary.faces, summary.unchanged, summary.unchanged_faces) == (0, 0, 2, 2)
        (warning,) = summary.warnings
        assert warning.startswith("2 faces came out unchanged") and warning.endswith(why or "hidden there")
        assert summary.exit_code == 0
        for path in source.iterdir():
            assert np.array_equal(Image.open(path), Image.open(tmp_path / "out" / path.name))

    def test_the_record_does_not_tell(self, run, photos, tmp_path):
        """A drawn class may be the own one, and a method may then leave the face as it is: that is the secret."""
        source = photos(1)
        records = []
        for out, methods in (("a", ("still",)), ("b", ("darken",))):
            run(source, out=out, methods=methods)
            records.append((tmp_path / out / "facepriv-run/manifest.jsonl").read_text())
        assert hashless(records[0]).replace("still", "darken") == hashless(records[1])

    def test_one_face_of_two_is_counted_too(self, run, small_faces, tmp_path):
        (tmp_path / "in").mkdir()
        pair = np.hstack([small_faces[0], np.full_like(small_faces[0], 90), small_faces[1]])
        Image.fromarray(pair).save(tmp_path / "in/pair.png")
        summary = run(tmp_path / "in", methods=("first-only",))
        assert (summary.done, summary.faces, summary.unchanged, summary.unchanged_faces) == (1, 1, 0, 1)
        assert summary.warnings == ["1 face came out unchanged, so nothing is hidden there"]


def test_staging_lies_on_the_file_system_of_the_outputs(run, photos, tmp_path):
    seen = []
    run(photos(1), report=lambda job, outcome: seen.extend((tmp_path / "out/facepriv-run").glob(".facepriv-staging-*")))
    assert len(seen) == 1


def test_json_rows_have_one_line_each(run, photos, tmp_path):
    run(photos(2))
    lines = (tmp_path / "out/facepriv-run/manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["file"] for line in lines) == ["000.png", "001.png"]


@pytest.mark.parametrize("inputs", [("",), ("photos", "")])
def test_an_empty_input_is_not_the_folder_that_one_is_in(tiny, photos, tmp_path, monkeypatch, inputs):
    photos(1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="an input is an empty text"):
        make_plan(Options(inputs=inputs, out="out", methods=("darken",)), tiny)


def test_a_plan_writes_nothing(tiny, photos, tmp_path):
    options = Options(inputs=(str(photos(1)),), out=str(tmp_path / "out"), methods=("darken",), workers=0)
    assert [job.output for job in make_plan(options, tiny).work.todo] == [tmp_path / "out/000.png"]
    assert make_plan(replace(options, existing="resume"), tiny).work.done == []
    assert not Path(tmp_path / "out").exists()
