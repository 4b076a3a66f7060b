"""Soak test: a run that is killed repeatedly must not lose a photo or leave a partial file.

``facepriv apply`` processes a folder of generated photos, and is killed (SIGKILL, with all of its processes) at random
times until the number of kills is reached; ``--resume`` then completes the run. After every kill, each file in the
output folder must be complete and match the manifest. In the end the folder must equal, byte for byte, that of an
uninterrupted run, without other files.

    python benchmarks/soak.py
    python benchmarks/soak.py --kills 3 --photos 12 --method pixelate
    python benchmarks/soak.py --shards 6                               # the photos in tar shards

The photos are views of two public-domain portraits, made from the seed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
from PIL import Image
from shared import Benchmark, json_option, write_json

from facepriv.cli.console import note
from facepriv.errors import DataError
from facepriv.files import file_sha256
from facepriv.image.decode import read_image
from facepriv.protection.manifest import RUN_FOLDER, SHARDS, read_run

#: Seconds after which an unfinished run counts as hanging.
PATIENCE = 900.0


@dataclass
class Found:
    """Results of a soak test: number of kills, number of outputs at each, and problems."""

    kills: int = 0
    there: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@click.command(cls=Benchmark, help=__doc__)
@click.option("--kills", type=click.IntRange(1), default=50, show_default=True)
@click.option("--photos", type=click.IntRange(2), default=120, show_default=True)
@click.option("--shards", type=click.IntRange(0), default=0, help="Tar shards that hold them. [default: a folder]")
@click.option("--method", default="privacynet", show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
@click.pass_context
def main(
    ctx: click.Context,
    kills: int,
    photos: int,
    shards: int,
    method: str,
    workers: int,
    seed: int,
    json_path: Path | None,
) -> None:
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        make_photos(place / "photos", photos, rng)
        if shards:
            make_shards(place / "photos", shards)
        (place / "key").write_bytes(b"a key of the soak, no secret")
        start = time.monotonic()
        if apply(place, "alone", method, workers).wait(PATIENCE):
            raise DataError(f"the run that was left alone failed: look at 'facepriv check {method}'")
        alone = time.monotonic() - start
        note(f"left alone, the run takes {alone:.1f} s")
        found = soak(place, lambda: apply(place, "killed", method, workers), kills, alone, rng)
        found.wrong += differences(place / "alone", place / "killed")
    print(
        f"{found.kills} kills, with {min(found.there)} to {max(found.there)} of {shards or photos} outputs there: "
        f"{len(found.wrong)} things wrong"
    )
    for text in found.wrong:
        note(text)
    if json_path is not None:
        write_json(
            json_path, asdict(found) | {"photos": photos, "shards": shards, "method": method, "seconds_alone": alone}
        )
    if found.wrong:
        ctx.exit(1)


def make_photos(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Write views of the demonstration's two portraits, as JPEG and PNG, some in a subfolder."""
    from facepriv.samples import portraits

    faces = [Image.fromarray(read_image(portrait.path).rgb8()) for portrait in portraits()]
    for n in range(count):
        face = faces[n % len(faces)]
        side = int(rng.integers(240, 400))
        path = folder / ("below" if n % 3 == 0 else "") / f"{n:05d}.{'png' if n % 4 == 0 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        face.resize((side, side * face.height // face.width)).save(path)


def make_shards(folder: Path, count: int) -> None:
    """Move the photos of a folder into `count` tar files there."""
    photos = sorted(path for path in folder.rglob("*") if path.is_file())
    for n in range(count):
        with tarfile.open(folder / f"{n:05d}.tar", "w") as tar:
            for path in photos[n::count]:
                tar.add(path, path.relative_to(folder))
                path.unlink()


def apply(place: Path, out: str, method: str, workers: int) -> subprocess.Popen[bytes]:
    """Start or resume a run in a new process group."""
    words = f"apply photos -o {out} --method {method} --obfuscate gender --key-file key --workers {workers} --resume"
    command = [sys.executable, "-m", "facepriv", *words.split()]
    quiet = subprocess.DEVNULL
    own = {**os.environ, "XDG_STATE_HOME": str(place / "state")}
    return subprocess.Popen(command, cwd=place, stdout=quiet, stderr=quiet, start_new_session=True, env=own)


def soak(
    place: Path, begin: Callable[[], subprocess.Popen[bytes]], kills: int, alone: float, rng: np.random.Generator
) -> Found:
    """Kill runs at random times; after a completed run, the next starts with an empty folder."""
    out, found = place / "killed", Found()
    while found.kills < kills:
        run = begin()
        try:
            run.wait(float(rng.uniform(0, alone)))
            if run.returncode:
                raise DataError(f"a run ended with exit code {run.returncode} before it was killed")
            shutil.rmtree(out)
            continue
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        found.kills += 1
        there, wrong = look(out)
        found.there.append(there)
        found.wrong += [f"after kill {found.kills}: {text}" for text in wrong]
    last = begin()
    if last.wait(PATIENCE):
        found.wrong.append(f"the last run ended with exit code {last.returncode}")
    return found


def look(out: Path) -> tuple[int, list[str]]:
    """Return the number of outputs, and any problems."""
    outputs = _outputs(out)
    try:
        rows = read_run(out).rows if (out / RUN_FOLDER).is_dir() and outputs else {}
    except DataError as error:
        return len(outputs), [str(error)]
    wrong = []
    for name, path in outputs.items():
        if name not in rows:
            wrong.append(f"{name}: stands there, and not in the manifest")
        elif file_sha256(path) != rows[name].sha256:
            wrong.append(f"{name}: is not the file that the manifest names")
    return len(outputs), wrong


def differences(alone: Path, killed: Path) -> list[str]:
    """Return the differences of two runs' outputs, and other files in the second's folder."""
    first, second = _outputs(alone), _outputs(killed)
    wrong = [f"{name}: missing" for name in first.keys() - second.keys()]
    wrong += [f"{name}: no output" for name in second.keys() - first.keys()]
    both = sorted(first.keys() & second.keys())
    wrong += [f"{name}: differs" for name in both if first[name].read_bytes() != second[name].read_bytes()]
    rows = read_run(killed).rows
    wrong += [f"{name}: not in the manifest" for name in second if name not in rows]
    record = [path for path in (killed / RUN_FOLDER).iterdir() if path.name != SHARDS]
    left = [str(path.relative_to(killed)) for path in record if path.suffix not in (".json", ".jsonl")]
    return wrong + [f"{name}: left behind" for name in left]


def _outputs(out: Path) -> dict[str, Path]:
    """Return name -> file in an output folder, without the record of the run."""
    files = (path for path in out.rglob("*") if path.is_file() and RUN_FOLDER not in path.relative_to(out).parts)
    return {path.relative_to(out).as_posix(): path for path in files}


if __name__ == "__main__":
    main()
