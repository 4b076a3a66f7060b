"""Where results go, and what existing outputs mean."""

import hashlib
from pathlib import Path

import pytest

from facepriv.errors import UsageError
from facepriv.protection.inputs import discover
from facepriv.protection.manifest import ManifestRow, RunRecord
from facepriv.protection.plan import place, triage

CHAIN = "darken"


def touch(*names):
    for path in map(Path, names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("in/a.jpg", "in/sub/b.jpg", "other/a.jpg")
    return tmp_path


def outputs(inputs, out, **options):
    return [str(job.output) for job in place(discover(inputs), out, **options).jobs]


def row(name, data, status="ok", method=CHAIN):
    return ManifestRow(name, method, "1", "", status, 1, hashlib.sha256(data).hexdigest() if data else "")


def test_a_folder_is_mirrored():
    assert outputs(["in"], "out") == ["out/a.jpg", "out/sub/b.jpg"]


def test_one_file_goes_to_a_file_or_into_a_folder(workplace):
    assert outputs(["in/a.jpg"], "x.png") == ["x.png"]
    assert outputs(["in/a.jpg"], "new") == ["new/a.jpg"]
    assert outputs(["in/a.jpg"], "new.png/") == ["new.png/a.jpg"]
    assert outputs(["in/a.jpg"], "other/sub") == ["other/sub/a.jpg"]
    (workplace / "there.png").mkdir()
    assert outputs(["in/a.jpg"], "there.png") == ["there.png/a.jpg"]


def test_a_run_folder_is_kept_in_an_output_folder_and_beside_a_file_for_an_audit_only(workplace):
    found = discover(["in/a.jpg"])
    assert str(place(found, "out").record) == "out/facepriv-run"
    assert place(found, "x.jpg").record is None
    assert str(place(found, "x.jpg", audit=True).record) == "x.jpg.facepriv"


@pytest.mark.parametrize("inputs", [["in"], ["in/a.jpg", "in/sub/b.jpg"], ["in/*"]])
def test_several_inputs_do_not_fit_one_file(inputs):
    with pytest.raises(UsageError, match=r"x\.jpg: names one file"):
        place(discover(inputs), "x.jpg")


def test_two_inputs_that_would_become_one_output_are_named():
    with pytest.raises(UsageError, match=r"in/a\.jpg and other/a\.jpg would both become 'a\.jpg'"):
        place(discover(["in/a.jpg", "other/a.jpg"]), "out")


@pytest.mark.parametrize("out", ["in/a.jpg/out", "in/a.jpg/deep/out.jpg"])
def test_an_output_below_a_file_is_refused(out):
    with pytest.raises(UsageError, match=r"a\.jpg is a file, so nothing can be written below it"):
        place(discover(["other/a.jpg"]), out)


@pytest.mark.parametrize(("inputs", "out"), [(["in"], "in"), (["in/a.jpg"], "in/a.jpg"), (["in/a.jpg"], "./in/../in")])
def test_an_input_is_never_an_output(inputs, out):
    with pytest.raises(UsageError, match="is an input and would be written over"):
        place(discover(inputs), out)


def test_another_input_of_the_run_is_never_an_output():
    # photos/a.jpg is an input, and in/photos/a.jpg would become it.
    touch("photos/a.jpg", "in/photos/a.jpg")
    with pytest.raises(UsageError, match=r"^photos/a\.jpg: is an input"):
        place(discover(["in/*/a.jpg", "photos/a.jpg"]), ".")


def test_a_link_to_an_input_is_never_an_output(workplace):
    (workplace / "out").mkdir()
    (workplace / "out/a.jpg").symlink_to(workplace / "in/a.jpg")
    with pytest.raises(UsageError, match="is an input"):
        place(discover(["in/a.jpg"]), "out")


class TestTriage:
    """What is there already is done, to be done, or refused."""

    @pytest.fixture
    def jobs(self, workplace):
        (workplace / "out").mkdir()
        return place(discover(["in"]), "out").jobs

    def sorted(self, jobs, existing, history=None, answers=True):
        found = triage(jobs, existing, RunRecord(None, {}, history or {}), CHAIN, lambda job, row: answers)
        assert found.again == ([] if answers else [job for job in found.todo if job.output.exists()])
        return [j.name for j in found.todo], [j.name for j in found.done], found.errors

    def test_without_outputs_everything_is_to_be_done(self, jobs):
        for existing in ("fail", "resume", "overwrite"):
            assert self.sorted(jobs, existing) == (["a.jpg", "sub/b.jpg"], [], [])

    def test_an_existing_output_is_refused_and_the_others_are_done_or_all_again(self, jobs, workplace):
        (workplace / "out/a.jpg").write_bytes(b"there")
        assert self.sorted(jobs, "overwrite") == (["a.jpg", "sub/b.jpg"], [], [])
        todo, done, (text,) = self.sorted(jobs, "fail")
        assert (todo, done) == (["sub/b.jpg"], [])
        assert text.startswith("out/a.jpg: exists already; --resume")

    def test_resume_takes_what_the_manifest_says_is_done_unless_it_answers_another_request(self, jobs, workplace):
        (workplace / "out/a.jpg").write_bytes(b"protected")
        history = {"a.jpg": [row("a.jpg", b"protected")]}
        assert self.sorted(jobs, "resume", history) == (["sub/b.jpg"], ["a.jpg"], [])
        assert self.sorted(jobs, "resume", history, answers=False) == (["a.jpg", "sub/b.jpg"], [], [])

    def test_resume_does_again_what_has_a_row_but_no_file(self, jobs):
        history = {"a.jpg": [row("a.jpg", b"protected")], "sub/b.jpg": [row("sub/b.jpg", b"", "failed")]}
        assert self.sorted(jobs, "resume", history) == (["a.jpg", "sub/b.jpg"], [], [])

    @pytest.mark.parametrize("history", [{}, {"a.jpg": [row("a.jpg", b"protected")]}])
    def test_resume_refuses_a_file_that_facepriv_did_not_make(self, jobs, workplace, history):
        (workplace / "out/a.jpg").write_bytes(b"the original, copied here by mistake")
        todo, done, (text,) = self.sorted(jobs, "resume", history)
        assert (todo, done) == (["sub/b.jpg"], [])
        assert "the manifest has no row of it" in text

    def test_resume_makes_again_what_a_killed_replacement_left(self, jobs, workplace):
        (workplace / "out/a.jpg").write_bytes(b"old")
        history = {"a.jpg": [row("a.jpg", b"old"), row("a.jpg", b"new")]}
        assert self.sorted(jobs, "resume", history) == (["a.jpg", "sub/b.jpg"], [], [])

    def test_resume_refuses_what_another_method_made(self, jobs, workplace):
        (workplace / "out/a.jpg").write_bytes(b"protected")
        *_, (text,) = self.sorted(jobs, "resume", {"a.jpg": [row("a.jpg", b"protected", method="other")]})
        assert "was made with other, not darken" in text

    @pytest.mark.parametrize("existing", ["fail", "resume", "overwrite"])
    def test_a_folder_or_a_file_in_the_way_is_refused(self, jobs, workplace, existing):
        (workplace / "out/a.jpg").mkdir()
        (workplace / "out/sub").touch()
        todo, done, texts = self.sorted(jobs, existing)
        assert (todo, done) == ([], [])
        assert texts[0] == "out/a.jpg: is a folder"
        assert "out/sub is a file, so nothing can be written below it" in texts[1]

    def test_the_same_reason_for_many_is_one_line_that_counts_them(self, jobs, workplace):
        (workplace / "out/sub").mkdir()
        for name in ("a.jpg", "sub/b.jpg"):
            (workplace / "out" / name).write_bytes(b"there")
        found = triage(jobs, "fail", RunRecord(None), CHAIN, lambda job, row: True)
        assert len(found.errors) == 2
        (line,) = found.errors_by_reason
        assert line.startswith("out/a.jpg and 1 more: exists already; --resume")


class TestNames:
    """Names that some disks take for one."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("IMG.png", "img.png"),
            ("x.JPG", "x.jpg"),
            ("Jos\u00e9.png", "Jose\u0301.png"),
            ("STRASSE.png", "straße.png"),
        ],
    )
    def test_case_and_normalisation_make_no_second_file(self, one, other):
        # In a folder each, since this disk may ignore case too.
        names = f"in/{one}", f"other/{other}"
        touch(*names)
        said = "on a disk that ignores case or Unicode normalisation; nothing was written"
        with pytest.raises(UsageError, match=said):
            place(discover(names), "out")

    def test_folders_count_too_and_other_names_do_not_collide(self):
        touch("in/Set/a.jpg", "in/set/b.jpg", "in/set/a1.jpg")
        assert len(place(discover(["in"]), "out").jobs) == 5
        touch("in/set/A.jpg")
        with pytest.raises(UsageError, match=r"in/Set/a\.jpg and in/set/A\.jpg would both become"):
            place(discover(["in"]), "out")

    def test_an_input_under_another_path_is_never_an_output(self, workplace):
        """A link from "IN" to "in" stands for a disk that ignores case, where both are one folder."""
        (workplace / "IN").symlink_to("in")
        with pytest.raises(UsageError, match=r"^IN/a\.jpg: is an input"):
            place(discover(["in"]), "IN")

    @pytest.mark.parametrize("out", ["me.heic", "me.GIF", "new/me.avif"])
    def test_a_file_of_a_format_that_is_not_written_is_no_folder(self, workplace, out):
        with pytest.raises(UsageError, match=r"facepriv does not write .* a folder's name ends with '/'"):
            place(discover(["in/a.jpg"]), out)
        assert outputs(["in/a.jpg"], f"{out}/") == [f"{out}/a.jpg"]
        (workplace / out).mkdir(parents=True)
        assert outputs(["in/a.jpg"], out) == [f"{out}/a.jpg"]

    def test_an_empty_output_is_not_the_folder_that_one_is_in(self):
        with pytest.raises(UsageError, match="the output is an empty text"):
            place(discover(["in/a.jpg"]), "")

    def test_a_name_too_long_for_an_audit_beside_it_is_refused(self):
        with pytest.raises(UsageError, match="its name is too long for an audit beside it"):
            place(discover(["in/a.jpg"]), "x" * 243 + ".jpg", audit=True)
