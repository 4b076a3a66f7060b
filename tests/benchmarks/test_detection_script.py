"""The comparison of the two searches: what is told is what was found."""

import json

import numpy as np
import pytest
from click.testing import CliRunner


def test_photos_are_made_and_both_searches_told(detection, small_lfw, tmp_path):
    path = tmp_path / "result.json"
    done = CliRunner().invoke(
        detection.main, ["--data", str(small_lfw), "--photos", "2", "0", "--json", str(path)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())["1350"]
    assert found["photos"] == 2 and found["times"] > 0
    assert found["all"]["whole"] == found["all"]["both"] + found["all"]["whole_only"] > 0
    assert sum(c["whole"] for c in found["classes"].values()) == found["all"]["whole"]
    assert "2 photos of 1350 pixels" in done.output and "300 and more" in done.output


def test_photos_are_the_same_in_every_run_and_parts_differ(detection, small_lfw):
    pool = sorted((small_lfw / "lfw").rglob("*.jpg"))

    def first(seed):
        return next(detection.generated(1, 1350, pool, seed))

    (one, places), (again, _), (other, _) = first(0), first(0), first(1)
    assert one.shape == (1013, 1350, 3) and places
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_photos_may_be_spoilt_and_faces_stay_where_they_are(detection, small_lfw):
    pool = sorted((small_lfw / "lfw").rglob("*.jpg"))
    rgb, places = next(detection.generated(1, 1350, pool, 0))
    for how in detection.SPOILT:
        spoilt, same = next(detection.generated(1, 1350, pool, 0, how))
        assert spoilt.shape == rgb.shape and spoilt.dtype == np.uint8 and same == places
        assert np.abs(spoilt.astype(int) - rgb).mean() > 0.5, how


def test_faces_are_told_by_size_and_by_who_found_them(detection):
    tallies = [detection.Tally() for _ in detection.CLASSES[1:]]
    rgb = np.full((900, 900, 3), 128, np.uint8)
    small, middle, large = (10, 10, 90, 90), (200, 200, 320, 320), (400, 400, 800, 800)
    detection.compare(rgb, [small, middle], [(210, 200, 330, 320), large], [small], tallies)
    assert [t.both for t in tallies] == [0, 1, 0, 0]
    assert [t.whole_only for t in tallies] == [1, 0, 0, 0]
    assert [t.new_only for t in tallies] == [0, 0, 0, 1]
    assert [t.moved_lost for t in tallies] == [0, 1, 0, 0]
    assert tallies[1].overlaps == pytest.approx([11 / 13])
    all_of_them = detection.together(tallies).figures()
    assert (all_of_them["whole"], all_of_them["new_only"], all_of_them["kept"]) == (2, 1, 0.5)


def test_without_data_it_is_said_how_to_name_it(detection, monkeypatch):
    monkeypatch.delenv("FACEPRIV_DATA", raising=False)
    done = CliRunner().invoke(detection.main, [])
    assert done.exit_code != 0
    assert "--data" in done.output
