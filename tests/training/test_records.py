"""What a training states about itself: command, figures and provenance."""

import datetime
from pathlib import Path

from facepriv.datasets.pack import open_pack
from facepriv.testing.packs import little_pack
from facepriv.training.records import command_line, curve_lines, in_words, made_today, rounded, sets_of


def test_a_command_names_what_was_given_and_no_folder():
    options = {
        "matcher": "MOBILEFACENET",
        "steps": 3,
        "start": Path("/srv/runs/first"),
        "opponents": None,
        "preset": "",
        "set": ("a=1", "b=2"),
        "none": (),
    }
    shown = "facepriv train mine PACK --matcher MOBILEFACENET --steps 3 --start first --set a=1 --set b=2"
    assert command_line("mine", options) == shown
    assert command_line("mine", {"warm": 0}) == "facepriv train mine PACK --warm 0"


def test_figures_are_words_lines_and_rounded():
    figures = {"eer": 0.123456, "cosine": 1.0}
    assert in_words(figures) == "eer 0.123  cosine 1.000"
    assert list(curve_lines([(0.5, figures), (1, {})])) == ["gain 0.50  eer 0.123  cosine 1.000", "gain 1.00  "]
    assert rounded(figures) == {"eer": 0.1235, "cosine": 1.0}


def test_provenance_has_the_day_the_gain_and_what_was_seen():
    before = datetime.date.today()
    made = made_today("faces", "train", seen=["mobilefacenet"], gain=0.65)
    assert before.isoformat() <= made.date <= datetime.date.today().isoformat()
    assert (made.trained_on, made.command, made.seen) == ("faces", "train --gain 0.65", ("mobilefacenet",))
    assert made_today("faces", "train").command == "train"


def test_the_sets_of_a_pack_are_named(tmp_path):
    pack = open_pack(little_pack(tmp_path / "pack", size=32))
    assert sets_of(pack) == "portraits"
    pack.columns["set"][:2] = "b"
    pack.columns["set"][2:3] = "a"
    assert sets_of(pack) == "a, b, portraits"
