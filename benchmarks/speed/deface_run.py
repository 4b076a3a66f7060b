"""Runs deface (third party, MIT) over photos with its command's defaults, and reports the time.

It runs in a separate process with its own threads and memory. deface's command reports neither the number of faces nor
the end of its start-up, and uses as many threads as there are processors. So this script calls its functions.
"""

from __future__ import annotations

import os
import time
from typing import Any

from speed.harness import answer


def run(backend: str, threads: int, out: str, photos: list[str]) -> dict[str, Any]:
    """Blur the faces of photos; returns seconds for start-up and for the photos, and the boxes of each photo."""
    begun = time.perf_counter()
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported
    import cv2
    from deface.centerface import CenterFace
    from deface.deface import image_detect

    cv2.setNumThreads(threads)
    if backend == "onnxrt":
        limit_onnxruntime(threads)
    detector = CenterFace(backend=backend, override_execution_provider=None if backend == "opencv" else CPU)
    found = []

    def counted(frame, threshold):
        boxes, points = detector(frame, threshold=threshold)
        found.append([list(map(float, box[:4])) for box in boxes])
        return boxes, points

    ready = time.perf_counter()
    for photo in photos:
        # Defaults of deface's command.
        image_detect(
            photo,
            os.path.join(out, os.path.basename(photo)),
            counted,
            threshold=0.2,
            replacewith="blur",
            mask_scale=1.3,
            ellipse=True,
            draw_scores=False,
            enable_preview=False,
            keep_metadata=False,
        )
    return {"start": ready - begun, "seconds": time.perf_counter() - ready, "boxes": found}


CPU = "CPUExecutionProvider"


def limit_onnxruntime(threads: int) -> None:
    """Limit sessions that are opened without options to `threads` threads."""
    import onnxruntime

    session = onnxruntime.InferenceSession

    def limited(*args, **keywords):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return session(*args, sess_options=options, **keywords)

    onnxruntime.InferenceSession = limited


if __name__ == "__main__":
    answer(run)
