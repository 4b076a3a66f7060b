"""The benchmark: what is told is what was measured, and what falls short is said."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from facepriv_privacynet.inference import LaidOut
from PIL import Image

from facepriv.errors import DataError
from facepriv.faces import detect_boxes
from facepriv.image.photo import Photo
from facepriv.inference.onednn import can_fuse


@pytest.fixture
def told(bench, tmp_path):
    """Run the script; returns its result and what it printed."""

    def run(*given):
        path = tmp_path / "result.json"
        done = CliRunner().invoke(bench.main, [*map(str, given), "--json", str(path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(path.read_text()), done.output

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.mark.parametrize("units", ["AMX", "AVX512_BF16", ""])
def test_the_generator_is_compared_with_three_others_in_turns(bench, told, monkeypatch, units):
    monkeypatch.setattr(bench.bench_generator, "bfloat16_units", lambda kind: units)
    ran = []

    def in_turns(jobs, rounds):
        ran.extend(job() for job in jobs.values())
        # StarGAN, own float32, as applied, its convolutions alone.
        seconds = dict(zip(jobs, (0.1, 0.024, 0.008, 0.0032), strict=True))
        return {name: [first * n for n in range(1, rounds + 1)] for name, first in seconds.items()}

    monkeypatch.setattr(bench.bench_generator, "in_turns", in_turns)
    result, output = told("--part", "generator", "--rounds", "3")
    found = result["generator"]
    assert list(result) == ["facepriv", "generator"] and found["threads"] == 1
    assert (found["units"], found["dtype"]) == (units, "bfloat16" if units else "float32")
    stargan, own, ours, nothing = ran
    assert stargan.shape == own.shape == ours.shape == (1, 3, found["size"], found["size"]) and nothing is None
    assert found["differs"] == pytest.approx(float((own - ours).abs().max())) and found["differs"] < 2 / 255
    assert (found["differs"] > 1e-4) is bool(units)
    assert found["times_stargan"]["median"] == pytest.approx(12.5)
    assert "12.5 (12.5 to 12.5) times the faces/s of StarGAN; at least 10: holds" in output
    assert "3.0 (3.0 to 3.0) times the faces/s of its own eager float32; at least 4: FALLS SHORT" in output
    assert "2.5 (2.5 to 2.5) times the seconds of its convolutions; at most 2: FALLS SHORT" in output


def test_the_convolutions_alone_are_those_of_the_generator(bench):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(4, 2, 2))
    last = torch.nn.Conv2d(2, 3, 1)
    network.append(LaidOut(last) if can_fuse() else last).requires_grad_(False)
    seen = []
    x = torch.rand(1, 3, 8, 8)
    network.forward = lambda x, v: torch.nn.Sequential.forward(network, x)
    job = bench.bench_generator.convolutions(network, x, x)
    for layer in network:
        layer.register_forward_hook(lambda layer, given, _: seen.append((type(layer).__name__, given[0].shape)))
    job()
    name = "LaidOut" if can_fuse() else "Conv2d"
    assert seen == [("Conv2d", (1, 3, 8, 8)), ("ConvTranspose2d", (1, 4, 6, 6)), (name, (1, 2, 7, 7))]


def test_photos_show_the_faces_that_they_are_said_to_show_and_are_the_same_every_time(bench, tmp_path):
    import bench_photos

    photos = bench_photos.make_photos(tmp_path / "a", 6)
    again = bench_photos.make_photos(tmp_path / "b", 6)
    assert [p.read_bytes() for p in photos] == [p.read_bytes() for p in again]
    pixels = [np.asarray(Image.open(path)) for path in photos]
    assert {p.shape for p in pixels} == {(1013, 1350, 3)}
    assert [len(faces) for faces in photos.values()] == [r * c for r, c in bench_photos.GRIDS[:6]] == [1, 1, 2, 1, 1, 6]
    found = [detect_boxes(p) for p in pixels]
    assert bench.bench_folder.of_faces(photos, found) == {"found": 12, "more": 0}


def test_a_face_is_found_once_and_what_is_more_is_told(bench):
    shown = {Path("a"): [(0, 0, 10, 10), (20, 0, 30, 10)], Path("b"): [(0, 0, 10, 10)]}
    twice, beside = [(0, 1, 10, 11), (1, 1, 9, 9)], [(40, 40, 50, 50)]
    assert bench.bench_folder.of_faces(shown, [twice, beside]) == {"found": 1, "more": 2}
    assert bench.bench_folder.of_faces(shown, [[(0, 0, 9, 9), (21, 0, 30, 9)], [(0, 0, 9, 9)]])["found"] == 3


def test_whole_photos_are_run_and_without_deface_it_is_said_how_to_get_it(bench, told, monkeypatch):
    monkeypatch.setattr(bench.bench_folder, "backends", list)
    result, output = told("--part", "folder", "--photos", "2", "--workers", "1", "--folder-rounds", "1")
    found = result["folder"]
    assert found["faces"] == found["ours"]["found"] == 2
    assert len(found["ours"]["seconds_a_photo"]) == 1 and found["deface"] == {}
    assert "pip install -e '.[bench]'" in output


def test_deface_is_run_as_its_command_runs(bench, tmp_path):
    pytest.importorskip("deface")
    photos = bench.bench_folder.make_photos(tmp_path / "photos", 2)
    for backend in bench.bench_folder.backends():
        said = bench.bench_folder.deface(photos, tmp_path / "out", 1, backend)
        assert bench.bench_folder.of_faces(photos, said["boxes"])["found"] == 2
        assert said["seconds"] > 0 and said["start"] > 0
        for path in photos:
            with Image.open(tmp_path / "out" / path.name) as blurred:
                assert np.asarray(blurred).shape == (1013, 1350, 3)
    with pytest.raises(DataError, match=r"deface \(nothing\) failed: .*nothing"):
        bench.bench_folder.deface(photos, tmp_path / "out", 1, "nothing")


@pytest.fixture
def timed(bench, monkeypatch):
    """Photos of one face each, which ours finds and treats, and a start-up of three seconds and one a photo."""
    shown = {Path(name): [(0, 0, 10, 10)] for name in "abc"}
    times = iter([(3.0, None), (5.0, None)] * 2)
    for name, value in {
        "make_photos": lambda *_: shown,
        "apply": lambda *_: next(times),
        "backends": lambda: ["opencv"],
        "read_image": lambda _: Photo(np.zeros((1, 1, 3), np.uint8)),
        "detect_boxes": lambda _: [(0, 0, 10, 10)],
        "faces_found": lambda _: 3,
    }.items():
        monkeypatch.setattr(bench.bench_folder, name, value)
    monkeypatch.setattr(bench.bench_folder.shutil, "copy", lambda *_: None)
    boxes = [[(1, 1, 9, 9)], [(2, 2, 9, 9), (50, 50, 60, 60)], []]
    monkeypatch.setattr(bench.bench_folder, "deface", lambda *_: {"start": 1.0, "seconds": 6.0, "boxes": boxes})


def test_ratios_and_faces_found_are_told_beside_their_bars(told, timed):
    result, output = told("--part", "folder", "--photos", "3", "--workers", "1", "--folder-rounds", "2")
    found = result["folder"]
    assert found["ours"] == {"start": [3.0, 3.0], "seconds_a_photo": [1.0, 1.0], "found": 3, "more": 0}
    theirs = found["deface"]["opencv"]
    assert theirs["times"]["median"] == pytest.approx(2.0)
    assert (theirs["found"], theirs["more"], theirs["faces_apart"]) == (2, 1, 0.5)
    assert "2.0 (2.0 to 2.0) times the photos/s of deface (opencv); at least 6: FALLS SHORT" in output
    assert "faces found 50.0 % apart, at most 0.02: FALLS SHORT" in output


def test_faces_that_the_run_did_not_treat_are_an_error(bench, timed, monkeypatch, tmp_path):
    monkeypatch.setattr(bench.bench_folder, "faces_found", lambda _: 2)
    with pytest.raises(DataError, match="treated 2 faces"):
        bench.bench_folder.end_to_end(tmp_path, 3, 1, 1)


@pytest.mark.parametrize(("most", "said"), [(420, "+5.0; at most 10: holds"), (480, "+20.0; at most 10: FALLS")])
def test_growth_is_what_a_file_and_the_memory_take_more(bench, told, monkeypatch, most, said):
    runs = {1: (5.0, 300.0), 3: (7.0, 400.0), 8: (17.0, float(most))}
    made = []

    def apply(photos, out, workers, *, watch):
        assert watch and workers == 2
        made.append(len(list(photos.iterdir())))
        return runs[made[-1]]

    monkeypatch.setattr(bench.bench_folder, "apply", apply)
    result, output = told("--part", "growth", "--files", "1", "--files", "3", "--files", "8")
    found = result["growth"]
    assert made == [1, 3, 8] and [run["files"] for run in found["runs"]] == made
    assert found["seconds_a_file"] == {"early": pytest.approx(1.0), "late": pytest.approx(2.0)}
    assert said in output


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system does not tell")
def test_memory_is_that_of_a_process_and_all_below_it(bench):
    inner = "import sys, time; held = bytearray(2**26); print('ready', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    run = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE)
    try:
        assert run.stdout.readline() == b"ready\n"
        assert 64 <= bench.bench_folder.memory(run.pid) < 200
    finally:
        for pid in bench.bench_folder.tree(run.pid):
            subprocess.run(["kill", "-9", str(pid)], check=False)
        run.wait()
        run.stdout.close()
    assert bench.bench_folder.memory(run.pid) is None


def test_a_run_is_watched_and_a_failed_one_is_an_error(bench, tmp_path):
    bench.bench_folder.make_small(tmp_path / "photos", 1)
    seconds, peak = bench.bench_folder.apply(tmp_path / "photos", tmp_path / "out", 1, watch=True)
    assert seconds > 0 and (peak is None or peak > 50)
    assert bench.bench_folder.faces_found(tmp_path / "out") == 1
    with pytest.raises(DataError, match="facepriv apply failed: facepriv apply"):
        bench.bench_folder.apply(tmp_path / "nowhere", tmp_path / "out", 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--photos", "2", "--workers", "2"], "with 2 workers more than 2 are needed"),
        (["--files", "5", "--files", "3", "--files", "9"], "each greater than the one before"),
        (["--files", "5", "--files", "9"], "name three numbers"),
    ],
)
def test_calls_that_make_no_sense_are_refused(bench, given, said):
    refused = CliRunner().invoke(bench.main, given)
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1 and said in refused.stderr


def test_turns_warm_up_first_and_ratios_are_taken_round_by_round(bench, monkeypatch):
    import shared

    order, clock = [], iter(np.cumsum([0, 1] * 100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    found = shared.in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 5 and found == {"a": [1, 1, 1], "b": [1, 1, 1]}
    assert shared.spread([2, 9, 4], [1, 3, 1]) == {"least": 2, "median": 3, "most": 4}
