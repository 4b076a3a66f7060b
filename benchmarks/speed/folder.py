"""Speed of ``facepriv apply`` over folders: against deface, and over increasing numbers of files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import click

from facepriv.cli.console import note
from facepriv.contracts import FaceDetector
from facepriv.errors import DataError, UsageError
from facepriv.faces.detect import Box
from facepriv.faces.finding import find_with
from facepriv.image.decode import read_image
from facepriv.protection.manifest import read_run
from facepriv.registry import build_detector
from speed.harness import TIMES, Ratio, Result, bound, by_round, in_process, milliseconds, part, within
from speed.photos import HIGH, WIDE, make_photos, make_small

#: Minimum ratio of photos per second to deface, and maximum relative difference in the number of faces found.
TIMES_DEFACE, FACES_APART = 6.0, 0.02
#: Maximum growth of memory, in percent, from the last run but one to the last.
MEMORY_GROWS = 10.0
#: Backends of deface; the second is its default if onnx and onnxruntime are installed.
BACKENDS = ("opencv", "onnxrt")
#: Sampling interval of memory, in seconds.
LOOK_EVERY = 0.2


detector_option = click.option("--detector", default="auto", show_default=True, help="Detector of facepriv apply.")


@part(rounds=3, threads=2)
@click.option("--photos", type=click.IntRange(2), default=150, show_default=True)
@detector_option
def folder(rounds: int, threads: int, photos: int, detector: str) -> Result:
    """A folder of photos beside deface, from decoding to encoding.

    The photos have 1350 x 1013 pixels. `deface` (PyPI) blurs faces; it has as many threads as `facepriv apply` has
    worker processes. It needs ``pip install -e '.[bench]'``. Start-up is the median time of runs with one photo per
    worker. The rest of a longer run is attributed to its additional photos.
    """
    if photos <= threads:
        raise UsageError(f"--photos {photos}: with {threads} threads more than {threads} are needed")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        shown = make_photos(place / "photos", photos)
        return beside_deface(shown, *measured(place, shown, rounds, threads, detector), threads)


def measured(
    place: Path, shown: Mapping[Path, Sequence[Box]], rounds: int, threads: int, detector: str
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the figures of ours, and those of each backend of deface, from runs in turns."""
    paths = list(shown)
    few = paths[:threads]
    (place / "few").mkdir()
    for path in few:
        shutil.copy(path, place / "few")
    starts, seconds = [], []
    theirs: dict[str, dict[str, Any]] = {b: {"start": [], "seconds_a_photo": []} for b in backends()}
    for turn in range(rounds):
        for name, kept in (("few", starts), ("photos", seconds)):
            kept.append(apply(place / name, place / "out", threads, detector=detector)[0])
        for backend, found in theirs.items():
            said = deface(paths, place / f"deface-{backend}", threads, backend)
            found["start"].append(said["start"])
            found["seconds_a_photo"].append(said["seconds"] / len(paths))
            found |= faces_found(shown, said["boxes"])
        note(f"folder: round {turn + 1} of {rounds}")
    each = [(s - median(starts)) / (len(paths) - len(few)) for s in seconds]
    ours = {"start": starts, "seconds_a_photo": each}
    search = build_detector(detector)
    ours |= faces_found(shown, [boxes_of(search, path) for path in paths])
    treated = faces_treated(place / "out")
    if treated != ours["found"] + ours["more"]:
        raise DataError(f"facepriv apply treated {treated} faces, and not those that its detector finds")
    return ours, theirs


def beside_deface(
    shown: Mapping[Path, Sequence[Box]], ours: dict[str, Any], theirs: dict[str, dict[str, Any]], threads: int
) -> Result:
    """Return photos per second and faces found, and their ratios to deface's."""
    faces = sum(map(len, shown.values()))
    ratios = {}
    for backend, said in theirs.items():
        times = by_round(said["seconds_a_photo"], ours["seconds_a_photo"])
        ratios[f"times_{backend}"] = Ratio(f"times the photos/s of deface ({backend})", times, TIMES_DEFACE)
        apart = abs(ours["found"] - said["found"]) / said["found"] if said["found"] else 1.0
        text = f"of the faces found by deface ({backend}) is the difference from ours"
        ratios[f"faces_apart_{backend}"] = Ratio(text, [apart], FACES_APART, at_most=True)
    notes = [] if theirs else ["deface is not installed, so there is no reference: pip install -e '.[bench]'"]
    if min(ours["seconds_a_photo"]) <= 0:
        notes.append("start-up took longer than a whole run, so the ratios mean nothing: take more --photos")
    rows = [("facepriv apply", ours), *((f"deface, {backend}", said) for backend, said in theirs.items())]
    return Result(
        f"folder, {len(shown)} photos of {WIDE} x {HIGH} pixels, {threads} threads each",
        ("", *TIMES, f"of {faces} faces", "more", "start-up, s"),
        [
            (
                name,
                *milliseconds(said["seconds_a_photo"]),
                str(said["found"]),
                str(said["more"]),
                f"{median(said['start']):.1f}",
            )
            for name, said in rows
        ],
        ratios,
        {"photos": len(shown), "threads": threads, "faces": faces, "ours": ours, "deface": theirs},
        notes,
    )


@part(threads=2)
@click.option(
    "--files",
    type=click.IntRange(1),
    multiple=True,
    default=(100, 500, 10_000),
    show_default=True,
    help="Of the runs, the fewest first.",
)
@detector_option
def growth(threads: int, files: tuple[int, ...], detector: str) -> Result:
    """Growing numbers of files: does the time per file or the memory grow?

    Small photos of one face; the memory is that of all processes together. Start-up cancels out in each pair of runs.
    """
    if len(files) < 3 or list(files) != sorted(set(files)):
        raise UsageError("--files: name three numbers or more, each greater than the one before")
    runs = []
    with tempfile.TemporaryDirectory() as name:
        for count in files:
            photos = Path(name) / f"small-{count}"
            make_small(photos, count)
            seconds, peak = apply(photos, Path(name) / "out", threads, watch=True, detector=detector)
            runs.append({"files": count, "seconds": seconds, "memory_mib": peak})
            shutil.rmtree(photos)
            note(f"growth: {count} files")
    first, middle, last = (runs[n] for n in (0, -2, -1))
    early, late = (
        (b["seconds"] - a["seconds"]) / (b["files"] - a["files"]) for a, b in ((first, middle), (middle, last))
    )
    ratios = {}
    if first["memory_mib"] is not None:
        grows = 100 * (last["memory_mib"] / middle["memory_mib"] - 1)
        text = f"percent more memory for {last['files']:,} files than for {middle['files']:,}"
        ratios["memory_grows"] = Ratio(text, [grows], MEMORY_GROWS, at_most=True)
    return Result(
        f"growth, small photos of one face, {threads} workers; memory of all processes together",
        ("files", "seconds", "files/s", "MiB at most"),
        [
            (
                f"{r['files']:,}",
                f"{r['seconds']:.1f}",
                f"{r['files'] / r['seconds']:.1f}",
                "unknown" if r["memory_mib"] is None else f"{r['memory_mib']:.0f}",
            )
            for r in runs
        ],
        ratios,
        {"threads": threads, "runs": runs, "seconds_a_file": {"early": early, "late": late}},
        [f"a file takes {1e3 * early:.1f} ms up to {middle['files']:,} files, {1e3 * late:.1f} ms above"],
    )


def boxes_of(detector: FaceDetector, path: Path) -> list[Box]:
    """Return the boxes that a detector finds in a photo."""
    return [face.box for face in find_with(detector, read_image(path).rgb8()).faces]


def apply(
    photos: Path, out: Path, workers: int, *, watch: bool = False, detector: str = "auto"
) -> tuple[float, float | None]:
    """Run ``facepriv apply`` as a user does; returns seconds including start-up, and peak MiB if it is sampled.

    Raises
    ------
    DataError
        If the run fails.
    """
    words = ["apply", photos, "-o", out, "--method", "privacynet", "--obfuscate", "gender", "--workers", workers]
    words += ["--detector", detector]
    shutil.rmtree(out, ignore_errors=True)
    begun, peak = time.perf_counter(), None
    command = [sys.executable, "-m", "facepriv", *map(str, words)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=bound(workers))
    while watch and run.poll() is None:
        peak = max(filter(None, (peak, memory(run.pid))), default=None)
        time.sleep(LOOK_EVERY)
    if run.wait():
        raise DataError(f"facepriv apply failed: facepriv {' '.join(map(str, words))}")
    return time.perf_counter() - begun, peak


def deface(photos: Sequence[Path], out: Path, threads: int, backend: str) -> dict[str, Any]:
    """Run deface; returns seconds for start-up, seconds for the photos, and the boxes of each photo."""
    out.mkdir(exist_ok=True)
    job = {"backend": backend, "threads": threads, "out": str(out), "photos": list(map(str, photos))}
    return in_process("deface_run", job, environment={"OMP_NUM_THREADS": str(threads)}, limit=bound(threads))


def backends() -> list[str]:
    """Return the available backends of deface; none if it is not installed."""
    if find_spec("deface") is None:
        return []
    return [name for name in BACKENDS if name == "opencv" or (find_spec("onnx") and find_spec("onnxruntime"))]


def faces_found(shown: Mapping[Path, Sequence[Box]], found: Sequence[Sequence[Box]]) -> dict[str, int]:
    """Return the number of true faces found, and the number of other boxes."""
    faces = sum(
        any(within(box, face) for box in boxes)
        for own, boxes in zip(shown.values(), found, strict=True)
        for face in own
    )
    return {"found": faces, "more": sum(map(len, found)) - faces}


def faces_treated(out: Path) -> int:
    """Return the number of faces that a run has processed."""
    return sum(row.faces for row in read_run(out).rows.values())


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
