"""Fuzz test: untrusted input must not crash facepriv, hang it, or leave a partial file.

The inputs are damaged and inconsistent image files, tar shards, manifests, weights, label tables and command lines,
generated from a seed (`hostile.py`). Each must be read, or rejected like any user error, within a few seconds. The work
runs in a monitored child process. If it dies or does not answer, this is a finding, and a new process continues.

    python benchmarks/fuzz.py
    python benchmarks/fuzz.py --inputs 200 --kind image --seed 7

With ``--atheris FILE...`` atheris instead mutates those files for the image reader, guided by code coverage, until
interrupted (it must be installed: pip install atheris).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import hostile
import numpy as np
from shared import Benchmark, json_option, write_json

from facepriv.cli.console import note, progress, table
from facepriv.errors import FaceprivError, UsageError

#: Maximum seconds per input.
LIMIT = 5.0
#: Maximum seconds for the start of the child process.
START = 60.0
READ, REFUSED = "read", "refused"


@click.command(cls=Benchmark, help=__doc__)
@click.option("--inputs", type=click.IntRange(1), default=1500, show_default=True, help="Of each kind.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these. [default: all]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--atheris",
    "corpus",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="Files to begin with.",
)
@json_option
@click.pass_context
def main(
    ctx: click.Context, inputs: int, kinds: tuple[str, ...], seed: int, corpus: tuple[Path, ...], json_path: Path | None
) -> None:
    if corpus:
        steer(corpus)
    if unknown := set(kinds) - TARGETS.keys():
        raise UsageError(f"--kind {unknown.pop()}: there are {', '.join(TARGETS)}")
    counts: dict[str, Counter[str]] = {}
    findings: list[dict[str, Any]] = []
    slowest: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, Watched(Path(folder)) as worker:
        for kind in kinds or tuple(TARGETS):
            counts[kind], slowest[kind] = Counter(), 0.0
            with progress(inputs, kind) as bar:
                for number in range(inputs):
                    what, seconds, detail = worker.ask(kind, seed, number)
                    counts[kind][what] += 1
                    slowest[kind] = max(slowest[kind], seconds)
                    if what not in (READ, REFUSED):
                        findings.append({"kind": kind, "seed": seed, "number": number, "what": what, "detail": detail})
                    bar.advance(1)
    rows = [
        (
            kind,
            *(f"{count[w]}" for w in (READ, REFUSED)),
            f"{sum(count.values()) - count[READ] - count[REFUSED]}",
            f"{slowest[kind]:.2f} s",
        )
        for kind, count in counts.items()
    ]
    table(("inputs", READ, REFUSED, "findings", "slowest"), rows)
    for found in findings:
        note(f"{found['kind']} {found['number']} of seed {seed}: {found['what']}: {found['detail']}")
    if json_path is not None:
        write_json(json_path, {"counts": counts, "slowest": slowest, "findings": findings, "seed": seed})
    if findings:
        ctx.exit(1)


class Watched:
    """A process that tries inputs in its own folder, and is restarted if it dies or hangs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: Any = None

    def __enter__(self) -> Watched:
        self._begin()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def ask(self, kind: str, seed: int, number: int) -> tuple[str, float, str]:
        """Try one input; returns the outcome, the seconds, and details of a finding."""
        start = time.monotonic()
        self.pipe.send((kind, seed, number))
        try:
            # Wait longer than the limit, so that a merely slow input still reports its outcome.
            if self.pipe.poll(2 * LIMIT):
                what, detail = self.pipe.recv()
                seconds = time.monotonic() - start
                return (what, seconds, detail) if seconds <= LIMIT else ("slow", seconds, f"{seconds:.1f} s; {detail}")
            what = "hang"
        except EOFError:
            what = "crash"
        seconds = time.monotonic() - start
        self._end()
        detail = f"exit code {self.process.exitcode}"
        self._begin()
        return what, seconds, detail

    def _begin(self) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        if not self.pipe.poll(START) or self.pipe.recv() != "ready":
            raise RuntimeError("the process that tries inputs did not begin")

    def _end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, folder: Path) -> None:
    """Try inputs until the other end closes."""
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    pipe.send("ready")
    while True:
        try:
            kind, seed, number = pipe.recv()
        except EOFError:
            return
        with tempfile.TemporaryDirectory(dir=folder) as own:
            inner = Path(own, "inner")  # one level deeper, so that ".." stays within the folder
            inner.mkdir()
            os.chdir(inner)
            found = attempt(kind, seed, number)
            os.chdir(folder)
        pipe.send(found)


def attempt(kind: str, seed: int, number: int) -> tuple[str, str]:
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


def steer(corpus: tuple[Path, ...]) -> None:
    """Fuzz the image reader with atheris, starting from some files; does not return."""
    import atheris

    for name in [name for name in sys.modules if name.partition(".")[0] == "facepriv"]:
        del sys.modules[name]  # modules already imported would not be instrumented
    with atheris.instrument_imports(include=["facepriv"]):
        from facepriv.errors import FaceprivError
        from facepriv.image.decode import decode_image

    def one(data: bytes) -> None:
        with suppress(FaceprivError):
            decode_image(data, "given.png")

    with tempfile.TemporaryDirectory() as folder:
        for path in corpus:
            (Path(folder) / path.name).write_bytes(path.read_bytes())
        atheris.Setup([sys.argv[0], folder, f"-timeout={LIMIT:g}"], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
