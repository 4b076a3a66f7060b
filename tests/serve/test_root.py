"""Nothing outside the root is named, read or written: by names, by links, in folders and in reports."""

import base64
import os

import pytest

from facepriv.errors import UsageError
from facepriv.serve.asked import RunAsk
from facepriv.serve.reports import find_reports, report_file
from facepriv.serve.root import Root


@pytest.fixture
def place(tmp_path):
    """A root beside a folder that is none of its business, with links in both ways."""
    for name in ("root/photos/team", "root/.hidden", "outside"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("root/photos/a.png", "root/photos/team/b.JPG", "root/photos/notes.txt", "outside/secret.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "root/inner").symlink_to("photos")
    return Root(tmp_path / "root")


@pytest.fixture
def leading_out(place):
    """The same with links that lead out."""
    (place.folder / "out").symlink_to("../outside")
    (place.folder / "photos/team/secret.png").symlink_to(place.folder.parent / "outside/secret.png")
    return place


def test_names_below_it_are_found(place):
    assert place.path("photos/team") == place.folder / "photos/team"
    assert place.path("inner/a.png") == place.folder / "photos/a.png"
    assert place.path("") == place.path(".") == place.folder
    assert place.path("photos/new/deep") == place.folder / "photos/new/deep"


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../outside",
        "photos/../../outside",
        "/etc/passwd",
        "//etc",
        "a\0b",
        ".hidden",
        "photos/.ssh/id",
        "...",
        "~/../x/..",
    ],
)
def test_names_that_lead_out_or_are_hidden_are_refused(place, name):
    with pytest.raises(UsageError):
        place.path(name)


@pytest.mark.parametrize("name", ["out", "out/secret.png", "photos/team/secret.png", "out/new"])
def test_links_that_lead_out_are_refused(leading_out, name):
    with pytest.raises(UsageError, match="leads out of the root"):
        leading_out.path(name)


def test_a_loop_of_links_is_refused_or_stays_below(place):
    (place.folder / "loop").symlink_to("loop")
    assert place.path("loop").is_relative_to(place.folder)
    place.check_links(place.folder)


def test_a_folder_with_a_link_that_leads_out_is_named(leading_out):
    with pytest.raises(UsageError, match=r"photos/team/secret\.png: a link that leads out"):
        leading_out.check_links(leading_out.folder / "photos")


def test_a_listing_shows_folders_and_counts_photos_but_nothing_hidden_or_outside(leading_out):
    top = leading_out.listing("")
    assert [f["name"] for f in top["folders"]] == ["inner", "photos"]
    assert (top["above"], top["photos"]) == (None, 0)
    below = leading_out.listing("photos")
    assert (below["photos"], below["above"], below["folders"]) == (1, ".", [{"name": "team", "path": "photos/team"}])


def test_a_listing_of_a_file_or_of_nothing_is_one_line(place):
    for name in ("photos/a.png", "nothing"):
        with pytest.raises(UsageError, match=name):
            place.listing(name)


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--root"):
        Root(tmp_path / "missing")


class TestRuns:
    """What a run is given: the checks of its process are the same, see `run_process`."""

    @pytest.mark.parametrize(
        ("source", "out"),
        [
            ("../outside", "new"),
            ("out", "new"),
            ("photos", "../new"),
            ("photos", "out/new"),
            ("photos", "."),
            ("photos", "/new"),
        ],
    )
    def test_no_folder_outside_is_read_or_written(self, leading_out, runs_of, source, out):
        with pytest.raises(UsageError):
            runs_of(leading_out).start({"method": "pixelate", "hide": ["gender"]}, {"source": source, "out": out})
        assert sorted(os.listdir(leading_out.folder.parent / "outside")) == ["secret.png"]

    def test_a_link_among_the_photos_stops_it_before_anything_is_read(self, leading_out, runs_of):
        with pytest.raises(UsageError, match="a link that leads out"):
            runs_of(leading_out).start(
                {"method": "pixelate", "hide": ["gender"]}, {"source": "photos", "out": "protected"}
            )
        assert not (leading_out.folder / "protected").exists()


@pytest.fixture
def runs_of(state):
    from facepriv.serve.runs import Runs

    return Runs


def test_a_run_needs_both_folders():
    for record in ({"source": "a"}, {"out": "b"}, {}):
        with pytest.raises(UsageError, match="choose the folder"):
            RunAsk.read(record)


class TestReports:
    @pytest.fixture
    def reported(self, leading_out):
        for folder in ("root/report", "root/sets", "root/sets/lfw", "outside/report"):
            path = leading_out.folder.parent / folder
            path.mkdir(parents=True)
            (path / "report.html").write_text(f"<p>{folder}")
            (path / "result.json").write_text("{}")
        (leading_out.folder / "report/private.txt").write_text("no part of a report")
        (leading_out.folder / "only-a-page").mkdir()
        (leading_out.folder / "only-a-page/report.html").write_text("<p>any page")
        return leading_out

    def id_of(self, name):
        return base64.urlsafe_b64encode(os.fsencode(name)).decode().rstrip("=")

    def test_those_below_are_listed_and_read(self, reported):
        found = {report["name"]: report["id"] for report in find_reports(reported)}
        assert set(found) == {"report", "sets"}
        path, kind = report_file(reported, found["sets"], "lfw/report.html")
        assert path.read_text() == "<p>root/sets/lfw" and kind.startswith("text/html")

    @pytest.mark.parametrize(
        ("report", "name"),
        [
            ("../outside/report", "report.html"),
            ("out/report", "report.html"),
            ("report", "../../outside/report/report.html"),
            ("report", "private.txt"),
            ("report", "../sets/report.html"),
            ("only-a-page", "report.html"),
            ("sets", "lfw/deep/report.html"),
            ("report", ""),
            ("/etc", "report.html"),
        ],
    )
    def test_nothing_else_is(self, reported, report, name):
        with pytest.raises(UsageError):
            report_file(reported, self.id_of(report), name)

    def test_an_id_of_nonsense_is_refused(self, reported):
        for text in ("!", "a", "____", ""):
            with pytest.raises(UsageError):
                report_file(reported, text, "report.html")
