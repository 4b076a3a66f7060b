"""Folders: what is printed was measured, and faces found are compared as well."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from speed import folder
from speed import photos as photos_module

from facepriv.errors import DataError
from facepriv.faces import detect_boxes


def test_photos_show_the_faces_that_they_are_said_to_show_and_are_the_same_every_time(tmp_path):
    photos = photos_module.make_photos(tmp_path / "a", 6)
    again = photos_module.make_photos(tmp_path / "b", 6)
    assert [p.read_bytes() for p in photos] == [p.read_bytes() for p in again]
    pixels = [np.asarray(Image.open(path)) for path in photos]
    assert {p.shape for p in pixels} == {(1013, 1350, 3)}
    assert (
        [len(faces) for faces in photos.values()] == [r * c for r, c in photos_module.GRIDS[:6]] == [1, 1, 2, 1, 1, 6]
    )
    found = [detect_boxes(p) for p in pixels]
    assert folder.faces_found(photos, found) == {"found": 12, "more": 0}


def test_a_face_is_found_once_and_what_is_more_is_told():
    shown = {Path("a"): [(0, 0, 10, 10), (20, 0, 30, 10)], Path("b"): [(0, 0, 10, 10)]}
    twice, beside = [(0, 1, 10, 11), (1, 1, 9, 9)], [(40, 40, 50, 50)]
    assert folder.faces_found(shown, [twice, beside]) == {"found": 1, "more": 2}
    assert folder.faces_found(shown, [[(0, 0, 9, 9), (21, 0, 30, 9)], [(0, 0, 9, 9)]])["found"] == 3


def test_whole_photos_are_run_and_without_deface_it_is_said_how_to_get_it(measured, monkeypatch):
    monkeypatch.setattr(folder, "backends", list)
    found, output = measured("folder", "--photos", "2", "--threads", "1", "--rounds", "1")
    assert found["faces"] == found["ours"]["found"] == 2
    assert len(found["ours"]["seconds_a_photo"]) == 1 and found["deface"] == {}
    assert "pip install -e '.[bench]'" in output


def test_deface_is_run_as_its_command_runs(tmp_path):
    pytest.importorskip("deface")
    photos = folder.make_photos(tmp_path / "photos", 2)
    for backend in folder.backends():
        said = folder.deface(photos, tmp_path / "out", 1, backend)
        assert folder.faces_found(photos, said["boxes"])["found"] == 2
        assert said["seconds"] > 0 and said["start"] > 0
        for path in photos:
            with Image.open(tmp_path / "out" / path.name) as blurred:
                assert np.asarray(blurred).shape == (1013, 1350, 3)
    with pytest.raises(DataError, match=r"a process of deface_run failed: .*nothing"):
        folder.deface(photos, tmp_path / "out", 1, "nothing")


@pytest.fixture
def timed(monkeypatch):
    """Photos of one face each, which ours finds and treats, and a start-up of three seconds and one a photo."""
    shown = {Path(name): [(0, 0, 10, 10)] for name in "abc"}
    times = iter([(3.0, None), (5.0, None)] * 2)
    for name, value in {
        "make_photos": lambda *_: shown,
        "apply": lambda *_, **__: next(times),
        "backends": lambda: ["opencv"],
        "boxes_of": lambda *_: [(0, 0, 10, 10)],
        "faces_treated": lambda _: 3,
    }.items():
        monkeypatch.setattr(folder, name, value)
    monkeypatch.setattr(folder.shutil, "copy", lambda *_: None)
    boxes = [[(1, 1, 9, 9)], [(2, 2, 9, 9), (50, 50, 60, 60)], []]
    monkeypatch.setattr(folder, "deface", lambda *_: {"start": 1.0, "seconds": 6.0, "boxes": boxes})


def test_ratios_and_faces_found_are_told_beside_their_bars(measured, timed):
    found, output = measured("folder", "--photos", "3", "--threads", "1", "--rounds", "2")
    assert found["ours"] == {"start": [3.0, 3.0], "seconds_a_photo": [1.0, 1.0], "found": 3, "more": 0}
    theirs, ratios = found["deface"]["opencv"], found["ratios"]
    assert (theirs["found"], theirs["more"]) == (2, 1)
    assert ratios["times_opencv"]["median"] == pytest.approx(2.0)
    assert ratios["faces_apart_opencv"]["median"] == 0.5
    assert "2 (2 to 2) times the photos/s of deface (opencv); at least 6: FALLS SHORT" in output
    assert "0.5 of the faces found by deface (opencv) is the difference from ours; at most 0.02: FALLS SHORT" in output


def test_a_start_up_longer_than_a_run_is_noted(measured, timed, monkeypatch):
    monkeypatch.setattr(folder, "apply", lambda photos, *_, **__: (4.0 if photos.name == "few" else 3.0, None))
    assert "so the ratios mean nothing" in measured("folder", "--photos", "3", "--threads", "1", "--rounds", "1")[1]


def test_faces_that_the_run_did_not_treat_are_an_error(timed, monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "faces_treated", lambda _: 2)
    with pytest.raises(DataError, match="treated 2 faces"):
        folder.measured(tmp_path, folder.make_photos(), 1, 1, "dlib")


@pytest.mark.parametrize(("most", "said"), [(420, "5 percent more"), (480, "20 percent more")])
def test_growth_is_what_a_file_and_the_memory_take_more(measured, monkeypatch, most, said):
    runs = {1: (5.0, 300.0), 3: (7.0, 400.0), 8: (17.0, float(most))}
    made = []

    def apply(photos, out, workers, *, watch, detector):
        assert watch and workers == 2 and detector == "auto"
        made.append(len(list(photos.iterdir())))
        return runs[made[-1]]

    monkeypatch.setattr(folder, "apply", apply)
    found, output = measured("growth", "--files", "1", "--files", "3", "--files", "8")
    assert made == [1, 3, 8] and [run["files"] for run in found["runs"]] == made
    assert found["seconds_a_file"] == {"early": pytest.approx(1.0), "late": pytest.approx(2.0)}
    assert f"{said} memory for 8 files than for 3; at most 10: {'holds' if most < 440 else 'FALLS SHORT'}" in output


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system does not tell")
def test_memory_is_that_of_a_process_and_all_below_it():
    inner = "import sys, time; held = bytearray(2**26); print('ready', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    run = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE)
    try:
        assert run.stdout.readline() == b"ready\n"
        assert 64 <= folder.memory(run.pid) < 200
    finally:
        for pid in folder.tree(run.pid):
            subprocess.run(["kill", "-9", str(pid)], check=False)
        run.wait()
        run.stdout.close()
    assert folder.memory(run.pid) is None


def test_a_run_is_watched_and_a_failed_one_is_an_error(tmp_path):
    folder.make_small(tmp_path / "photos", 1)
    seconds, peak = folder.apply(tmp_path / "photos", tmp_path / "out", 1, watch=True)
    assert seconds > 0 and (peak is None or peak > 50)
    assert folder.faces_treated(tmp_path / "out") == 1
    with pytest.raises(DataError, match="facepriv apply failed: facepriv apply"):
        folder.apply(tmp_path / "nowhere", tmp_path / "out", 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["folder", "--photos", "2"], "with 2 threads more than 2 are needed"),
        (["growth", "--files", "5", "--files", "3", "--files", "9"], "each greater than the one before"),
        (["growth", "--files", "5", "--files", "9"], "name three numbers"),
    ],
)
def test_calls_that_make_no_sense_are_refused(refused, given, said):
    assert said in refused(*given)
