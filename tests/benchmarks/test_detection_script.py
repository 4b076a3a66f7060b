"""The comparison of the two searches: figures are those of the run."""

import json

import numpy as np
import pytest
from click.testing import CliRunner


def test_photos_are_made_and_both_searches_compared(detection, small_lfw, tmp_path):
    path = tmp_path / "result.json"
    given = ["--data", str(small_lfw), "--photos", "2", "0", "--json", str(path)]
    done = CliRunner().invoke(detection.main, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    result = json.loads(path.read_text())
    found, ratios = result["found"]["1350"], result["ratios"]
    assert len(found["whole_seconds"]) == len(found["new_seconds"]) == 2
    assert ratios["kept_1350"]["median"] == found["both"] / (found["both"] + found["whole_only"]) > 0
    times = sum(found["whole_seconds"]) / sum(found["new_seconds"])
    assert ratios["times_1350"]["median"] == pytest.approx(times)
    assert " of the faces kept at 1350 pixels\n" in done.output


def test_photos_are_the_same_in_every_run_and_faces_stay_when_overexposed(detection, small_lfw):
    pool = sorted((small_lfw / "lfw").rglob("*.jpg"))
    (one, places), (again, _), (bright, same) = (
        next(detection.generated(1, 1350, pool, overexposed)) for overexposed in (False, False, True)
    )
    assert one.shape == bright.shape == (1013, 1350, 3) and places == same
    assert np.array_equal(one, again)
    assert bright.dtype == np.uint8 and (bright.astype(int) - one).mean() > 20


def test_faces_are_counted_by_who_found_them(detection):
    tally = detection.Tally()
    small, middle, large = (10, 10, 90, 90), (200, 200, 320, 320), (400, 400, 800, 800)
    detection.compare([small, middle], [(210, 200, 330, 320), large], [small], tally)
    assert (tally.both, tally.whole_only, tally.new_only, tally.moved_lost, tally.found) == (1, 1, 1, 1, 2)


def test_without_data_it_is_said_how_to_name_it(detection, monkeypatch):
    monkeypatch.delenv("FACEPRIV_DATA", raising=False)
    done = CliRunner().invoke(detection.main, [])
    assert done.exit_code == 2 and "--data" in done.stderr
