"""Which files a command line names, and what they are called below the output folder."""

import json
import os
from pathlib import Path

import pytest

from facepriv.errors import DataError
from facepriv.protection.inputs import discover, leave_out_earlier
from facepriv.protection.manifest import ManifestRow, open_manifest
from facepriv.protection.plan import place


def touch(*names):
    for path in map(Path, names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of (empty) image files and others; the working folder is its parent."""
    monkeypatch.chdir(tmp_path)
    touch("in/b.jpg", "in/a.PNG", "in/sub/c.jpeg", "in/notes.txt", "other/b.jpg")
    touch("in/.hidden.png", "in/.git/d.png", "in/facepriv-run/e.png")
    return tmp_path


def names(discovery):
    return [str(found.name) for found in discovery.files]


def test_a_link_to_itself_is_a_file_that_only_reading_refuses(tree):
    os.symlink("loop.png", "in/loop.png")
    found = discover(["in"], out=Path("out"))
    assert "loop.png" in names(found) and len(place(found, "out").jobs) == 4


def test_a_single_folder_is_searched_recursively_and_its_structure_mirrored(tree):
    found = discover(["in"])
    assert names(found) == ["a.PNG", "b.jpg", "sub/c.jpeg"]
    assert [f.source for f in found.files] == [Path("in/a.PNG"), Path("in/b.jpg"), Path("in/sub/c.jpeg")]
    assert found.ignored == 2
    assert not found.problems
    assert not found.one_file


@pytest.mark.parametrize("spelling", ["in/", "./in", "../{here}/in", "{absolute}/in"])
def test_names_do_not_depend_on_how_a_folder_is_spelt(tree, spelling):
    spelt = spelling.format(here=tree.name, absolute=tree)
    assert names(discover([spelt])) == ["a.PNG", "b.jpg", "sub/c.jpeg"]


def test_several_folders_keep_their_names(tree):
    assert names(discover(["in", "other"])) == ["in/a.PNG", "in/b.jpg", "in/sub/c.jpeg", "other/b.jpg"]


def test_the_working_folder_among_others_keeps_its_real_name(tree, monkeypatch):
    monkeypatch.chdir(tree / "in")
    assert {"other/b.jpg", "in/b.jpg"} <= set(names(discover([".", "../other"])))


def test_a_pattern_that_meets_folders_searches_them(tree):
    found = discover(["in/*"])
    assert names(found) == ["a.PNG", "b.jpg", "sub/c.jpeg"]
    assert found.ignored == 1


def test_a_file_whose_name_looks_like_a_pattern_is_taken_as_it_is(tree):
    (tree / "shot[1].jpg").touch()
    assert names(discover(["shot[1].jpg"])) == ["shot[1].jpg"]


def test_one_named_file_is_one_file_and_a_folder_of_one_is_not(tree):
    assert discover(["in/b.jpg"]).one_file
    assert discover(["in/sub/*.jpeg"]).one_file
    assert not discover(["other"]).one_file
    assert not discover(["in/b.jpg", "missing.jpg"]).one_file


def test_shards_are_found_only_where_they_can_be_read(tmp_path):
    (tmp_path / "000.tar").touch()
    assert [str(f.name) for f in discover([str(tmp_path)], kinds={".png", ".tar"}).files] == ["000.tar"]
    [problem] = discover([str(tmp_path)]).problems
    assert problem.startswith(f"{tmp_path}/000.tar: not a kind of file") and problem.endswith("unpack it first")


def test_the_same_file_named_twice_is_done_once(tree):
    found = discover(["in/b.jpg", "./in/b.jpg"])
    assert names(found) == ["b.jpg"] and not found.problems


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("missing.jpg", "missing.jpg: no such file or folder"),
        ("in/*.gif", "in/*.gif: no image file there"),
        ("empty", "empty: no image file there"),
        ("in/notes.txt", "in/notes.txt: not a kind of file"),
    ],
)
def test_an_argument_that_gives_nothing_is_a_problem_and_the_others_are_found(tree, argument, text):
    (tree / "empty").mkdir()
    found = discover([argument, "other"])
    assert names(found) == ["other/b.jpg"]
    (problem,) = found.problems
    assert problem.startswith(text)


def test_a_photo_of_another_kind_in_a_folder_is_a_problem_and_other_files_are_not(tree):
    touch("in/animated.GIF", "in/sub/phone.heic")
    found = discover(["in"])
    assert [problem.split(":")[0] for problem in found.problems] == ["in/animated.GIF", "in/sub/phone.heic"]
    assert names(found) == ["a.PNG", "b.jpg", "sub/c.jpeg"]
    assert found.ignored == 2


CAMERAS = ("nrw", "srw", "pef", "x3f", "raw", "3fr", "HIF", "heics", "avif")
EDITORS = ("psd", "jxr", "exr", "dib", "jps", "xcf")


@pytest.mark.parametrize("suffix", CAMERAS + EDITORS)
def test_a_photo_that_cannot_be_read_is_named_whatever_its_kind(tree, suffix):
    touch(f"in/a.{suffix}")
    [problem] = discover(["in"]).problems
    assert problem.startswith(f"in/a.{suffix}: not a kind of file") and problem.endswith("convert it first")


PACKED = ("tar.gz", "tgz", "tar.bz2", "TAR.XZ", "tar.zst", "zip", "7z", "rar", "jpg.gz", "heic.xz")


@pytest.mark.parametrize("suffix", PACKED)
def test_an_archive_in_a_folder_is_named_since_nobody_looks_into_it(tree, suffix):
    touch(f"in/a.{suffix}")
    [problem] = discover(["in"], kinds={".jpg", ".jpeg", ".png", ".tar"}).problems
    assert problem.startswith(f"in/a.{suffix}: not a kind of file") and problem.endswith("unpack it first")


def test_videos_documents_and_icons_are_no_photos(tree):
    touch(*(f"in/a.{suffix}" for suffix in ["mp4", "mov", "pdf", "icns", "ico", "csv.gz", "html"]))
    found = discover(["in"])
    assert found.ignored == 2 + 7 and not found.problems


@pytest.mark.parametrize("pattern", ["in/**/*.jp*g", "in/**", "in/**/", "in/*", "in/**/**", "in/*/", "**/*.jpeg"])
def test_a_pattern_follows_no_link_to_a_folder_and_says_so(tree, pattern):
    for link in ("in/loop", "in/again", "in/sub/up"):
        (tree / link).symlink_to(tree / "in")
    found = discover([pattern])
    sources = [f.source.resolve() for f in found.files]
    assert len(sources) == len(set(sources)) >= 1
    link = "in/sub/up" if pattern == "in/*/" else "in/loop"
    assert f"{link}: a link to a folder is not followed; name it itself" in found.problems
    assert len(found.problems) == len(set(found.problems)) <= 3


def test_a_pattern_of_folders_gives_what_the_folder_gives(tree):
    whole = discover(["in"])
    assert names(discover(["in/**/*"])) == names(whole)
    for pattern in ("in/**", "in/**/"):
        assert discover([pattern]) == whole, pattern


def test_a_link_before_the_first_wildcard_was_named_itself(tree):
    (tree / "link").symlink_to(tree / "in")
    assert names(discover(["link/**/*.jp*g"])) == ["b.jpg", "sub/c.jpeg"]
    assert not discover(["link/**/*.jp*g"]).problems


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in/**/*.jp*g", ["b.jpg", "sub/c.jpeg"]),
        ("in/[ab].*", ["a.PNG", "b.jpg"]),
        ("in/?.jpg", ["b.jpg"]),
        ("in/.h*", []),
        ("in/*/c.jpeg", ["sub/c.jpeg"]),
        ("in/*/../b.jpg", ["b.jpg"]),
        ("in/**/sub/*.jpeg", ["sub/c.jpeg"]),
        ("*/b.jpg", ["in/b.jpg", "other/b.jpg"]),
        ("{absolute}/in/*.jpg", ["b.jpg"]),
    ],
)
def test_a_pattern_means_what_it_means_in_a_shell(tree, pattern, expected):
    assert names(discover([pattern.format(absolute=tree)])) == expected


def test_a_link_to_a_file_is_read_and_a_link_to_a_folder_is_named_instead(tree):
    (tree / "in/link.jpg").symlink_to(tree / "other/b.jpg")
    (tree / "in/loop").symlink_to(tree / "in")
    found = discover(["in"])
    assert names(found) == ["a.PNG", "b.jpg", "link.jpg", "sub/c.jpeg"]
    assert found.problems == ["in/loop: a link to a folder is not followed; name it itself"]
    assert len(discover(["in/loop"]).files) == 4


def test_the_output_folder_inside_an_input_folder_is_not_searched(tree):
    touch("in/out/a.png")
    for given in ("in", "in/*"):
        assert names(discover([given], out=Path("in/out"))) == ["a.PNG", "b.jpg", "sub/c.jpeg"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read_is_a_problem(tree):
    (tree / "in/sub").chmod(0)
    try:
        assert any("Permission denied" in problem for problem in discover(["in"]).problems)
    finally:
        (tree / "in/sub").chmod(0o755)


@pytest.fixture
def earlier_runs(tmp_path, monkeypatch):
    """Photos, with the output folders of two earlier runs among them; the first holds a stray photo, too."""
    monkeypatch.chdir(tmp_path)
    touch("photos/a.jpg", "photos/out1/a.jpg", "photos/out1/stray.jpg", "photos/out2/sub/a.jpg")
    for folder, name in (("out1", "a.jpg"), ("out2", "sub/a.jpg")):
        with open_manifest(tmp_path / "photos" / folder / "facepriv-run", {}) as record:
            record.append(ManifestRow(name, "darken", "1", "", "ok", 1, "0" * 64))
            record.append(ManifestRow("stray.jpg", "darken", "1", "", "failed"))
    return tmp_path


def kept(*arguments):
    found, warnings = leave_out_earlier(discover(arguments), arguments)
    return [str(file.source) for file in found.files], warnings


@pytest.mark.parametrize("argument", ["photos", "./photos/", "photos/**/*.jpg"])
def test_what_a_run_made_is_left_out_and_its_folder_named(earlier_runs, argument):
    files, warnings = kept(argument)
    assert files == ["photos/a.jpg", "photos/out1/stray.jpg"]
    assert [line.split(":")[0] for line in warnings] == ["photos/out1", "photos/out2"]
    assert all("(1 file): name the folder itself" in line for line in warnings)


@pytest.mark.parametrize("argument", ["photos/out1", "photos/out1/*.jpg", "photos/out1/a.jpg"])
def test_what_is_named_itself_is_an_input(earlier_runs, argument):
    files, warnings = kept(argument)
    assert "photos/out1/a.jpg" in files
    assert warnings == []


def test_a_damaged_record_is_named(earlier_runs):
    (earlier_runs / "photos/out1/facepriv-run/manifest.jsonl").write_text(json.dumps({"file": 1}) + "\n")
    with pytest.raises(DataError, match=r"out1/facepriv-run/manifest\.jsonl: line 1 is damaged"):
        kept("photos")
