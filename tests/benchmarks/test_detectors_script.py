"""The benchmark of detectors: faces lie where it says, and what is counted was found."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image


@pytest.fixture
def detectors(script):
    return script("benchmarks/detectors.py")


@pytest.fixture
def composing(detectors, monkeypatch):
    import crowds

    monkeypatch.setattr(crowds, "FACES", 4)
    return crowds


def test_crowds_are_the_same_in_every_run_and_faces_lie_in_their_boxes(composing, small_lfw):
    source = composing.Source(sorted((small_lfw / "lfw").rglob("[A-G]_*.jpg")), composing.FACE_IN["lfw"])
    (rgb, boxes), (again, _) = (next(composing.crowds(source, "plain", 1, 5)) for _ in range(2))
    (other, _) = next(composing.crowds(source, "plain", 1, 6))
    assert rgb.shape == (768, 1024, 3) and rgb.dtype == np.uint8 and len(boxes) == 4
    assert np.array_equal(rgb, again) and not np.array_equal(rgb, other)
    for left, top, right, bottom in boxes:
        assert 11 < right - left < 61 and bottom > top
        inside = rgb[int(top) : int(bottom), int(left) : int(right)]
        assert inside.std() > 3 * rgb[:, :8].std(axis=0).mean()


def test_a_hit_is_a_centre_in_a_place(detectors):
    places = np.array([(0.0, 0, 10, 10), (20.0, 0, 30, 10)])
    boxes = np.array([(-4.0, 0, 12, 9), (8.0, 0, 13, 9), (21.0, 1, 29, 9)])
    assert detectors.hit(boxes, places).tolist() == [[True, False, False], [False, False, True]]
    assert detectors.hit(boxes[:0], places).shape == (2, 0)


def test_annotated_photos_and_crowds_are_searched(detectors, composing, small_lfw, tmp_path):
    folder = small_lfw / "groups"
    folder.mkdir()
    with Image.open(small_lfw / "lfw/A/A_0001.jpg") as image:
        image.save(folder / "one.png")
    (folder / "boxes.csv").write_text("file,left,top,width,height\none.png,50,50,60,60\none.png,0,0,9,9\n")
    path = tmp_path / "result.json"
    line = ["--data", str(small_lfw), "--part", "groups", "--part", "crowds", "--photos", "1", "--json", str(path)]
    done = CliRunner().invoke(detectors.main, [*line, "--detector", "mtcnn"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    result = json.loads(path.read_text())
    assert result["groups"]["mtcnn, annotated"] == {"found": [1], "faces": [2], "false": 0}
    plain = result["crowds"]["mtcnn, plain"]
    assert sum(plain["faces"]) == 4 and all(f <= n for f, n in zip(plain["found"], plain["faces"], strict=True))
    assert "50.0 % of 2" in done.output and "16 to 24 pixels" in done.output


def test_a_face_that_moved_is_measured_and_a_lost_one_is_none(script):
    from facepriv.contracts import Detections
    from facepriv.faces.align import TEMPLATE, Face

    moved = script("benchmarks/proposals.py").moved
    face = Face((20.0, 20.0, 80.0, 80.0), TEMPLATE * 100)
    there = Detections(np.array([(23.0, 24.0, 83.0, 84.0)]), np.ones(1), TEMPLATE[None] * 100 + (3, 4))
    elsewhere = Detections(np.array([(200.0, 20.0, 260.0, 80.0)]), np.ones(1), TEMPLATE[None] * 100)
    assert moved(face, there) == pytest.approx(0.05, rel=1e-3)
    assert moved(face, elsewhere) is None
