"""Tries hostile input, made from a seed by `hostile`, on what reads files and command lines.

Each input must be read, or rejected like any user error, within a few seconds and without a partial file.
"""

import faulthandler
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import chdir
from multiprocessing import get_context
from pathlib import Path

import hostile
import numpy as np

from facepriv.errors import FaceprivError, UsageError

#: Maximum seconds per input.
LIMIT = 5.0
READ, REFUSED = "read", "refused"
#: What became of an input, and details.
Outcome = tuple[str, str]


def watched(jobs: Iterable[Callable[[], Outcome]], folder: Path) -> Iterator[Outcome]:
    """Yield the outcome of each job, from a process that is replaced if it dies.

    A job that takes longer than twice `LIMIT` ends its process. What that process wrote last, such as the traceback of
    a crash or of a hang, is then the detail. Each job runs in an empty folder below `folder`.
    """
    log, pool = folder / "log", None
    try:
        for job in jobs:
            pool = pool or ProcessPoolExecutor(1, get_context("spawn"), _begin, (log,))
            try:
                found = pool.submit(_timed, job, folder, LIMIT).result()
            except BrokenProcessPool:
                pool.shutdown()
                pool, found = None, ("died", log.read_text(errors="replace")[-2000:])
            yield found
    finally:
        if pool:
            pool.shutdown()


def _begin(log: Path) -> None:
    """Send to a file what native libraries print, and the traceback of a crash."""
    with open(os.devnull, "w") as nothing, log.open("w") as file:
        os.dup2(nothing.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable()


def _timed(job: Callable[[], Outcome], folder: Path, limit: float) -> Outcome:
    """Run a job in a folder of its own, within a limit of seconds."""
    # Twice the limit, so that a merely slow input still reports its outcome.
    faulthandler.dump_traceback_later(2 * limit, exit=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as own:
        inner = Path(own, "inner")  # one level deeper, so that ".." stays within the folder
        inner.mkdir()
        with chdir(inner):
            what, detail = job()
    seconds = time.monotonic() - start
    faulthandler.cancel_dump_traceback_later()
    return (what, detail) if seconds <= limit else ("slow", f"{seconds:.1f} s; {what} {detail}")


def attempt(kind: str, seed: int, number: int) -> Outcome:
    """Try one input in the current folder; returns the outcome, and the text of an error."""
    try:
        TARGETS[kind](np.random.default_rng([seed, list(TARGETS).index(kind), number]))
        what, detail = READ, ""
    except FaceprivError as error:
        what, detail = REFUSED, str(error)
    except Exception as error:
        what, detail = "error", f"{type(error).__name__}: {error}"[:300]
    left = [str(path) for path in Path().rglob(".facepriv-*.tmp")]
    return ("partial file", ", ".join(left)) if left else (what, detail)


def _image(rng: np.random.Generator) -> None:
    from facepriv.image.decode import read_image
    from facepriv.image.encode import write_image

    suffix = str(rng.choice([".jpg", ".png", ".webp", ".tif", ".bmp"]))
    path = Path(f"image{suffix}")
    path.write_bytes(hostile.image(rng))
    photo = read_image(path)
    write_image(photo, Path(f"written{suffix}"), keep_metadata=bool(rng.integers(2)))
    read_image(f"written{suffix}")


def _manifest(rng: np.random.Generator) -> None:
    from facepriv.protection.manifest import MANIFEST, RUN, RUN_FOLDER, open_manifest, read_run

    folder = Path("done", RUN_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    rows, info = hostile.manifest(rng)
    (folder / MANIFEST).write_bytes(rows)
    (folder / RUN).write_bytes(info)
    run = read_run(Path("done"))
    _ = run.rows, run.seen
    with open_manifest(folder, {"format": 1}):
        pass


def _shard(rng: np.random.Generator) -> None:
    from facepriv.image.decode import read_member
    from facepriv.protection.shards import members_of

    path = Path("given.tar")
    path.write_bytes(hostile.shard(rng))
    for member in members_of(path):
        if member.refusal:
            raise UsageError(member.refusal)
        read_member(path, member.span, member.name)


def _weights(rng: np.random.Generator) -> None:
    from facepriv.weights import load_weights

    Path("made.safetensors").write_bytes(hostile.weights(rng))
    load_weights("made.safetensors", architecture=str(rng.choice(["a", "other"])))


def _table(rng: np.random.Generator) -> None:
    from facepriv.evaluation.folders import folder_photos

    Path("photos").mkdir(exist_ok=True)
    Path("photos/a.png").write_bytes(hostile.sound_image(np.random.default_rng(0)))
    Path("labels.csv").write_bytes(hostile.table(rng))
    folder_photos(Path("photos"), Path("labels.csv"))


def _arguments(rng: np.random.Generator) -> None:
    from click.testing import CliRunner

    from facepriv.cli import main as command

    Path("photos").mkdir(exist_ok=True)
    done = CliRunner().invoke(command, hostile.arguments(rng))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code not in (0, 1, 2, 3):
        raise RuntimeError(f"exit code {done.exit_code}")
    if done.exit_code:
        raise UsageError(done.stderr)


#: Kind of input -> function that reads one; it returns, or raises `FaceprivError`.
TARGETS: dict[str, Callable[[np.random.Generator], None]] = {
    "image": _image,
    "manifest": _manifest,
    "shard": _shard,
    "weights": _weights,
    "table": _table,
    "arguments": _arguments,
}
