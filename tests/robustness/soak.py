"""Kills a run repeatedly; it must not lose a photo or leave a partial file.

``facepriv apply`` processes a folder of generated photos, and is killed (SIGKILL, with all of its processes) at random
times until the number of kills is reached; ``--resume`` then completes the run. After every kill, each file in the
output folder must be complete and match the manifest. In the end the folder must equal, byte for byte, that of an
uninterrupted run, without other files.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from facepriv.errors import DataError
from facepriv.files import file_sha256
from facepriv.image.decode import read_image
from facepriv.protection.manifest import RUN_FOLDER, SHARDS, read_run
from facepriv.samples import portraits

#: Seconds after which an unfinished run counts as hanging.
PATIENCE = 900.0


@dataclass
class Soak:
    """A run over photos in a folder, which is left alone once and killed repeatedly.

    Parameters
    ----------
    place : Path
        An empty folder.
    photos, shards : int
        Number of photos, and of tar shards that hold them; 0: a folder.
    method : str
    workers : int
    seed : int
        Of the photos and of the times.
    """

    place: Path
    photos: int
    shards: int
    method: str
    workers: int
    seed: int = 0
    #: Number of outputs at each kill, and problems.
    there: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def run(self, kills: int) -> None:
        """Kill runs at random times; after a completed run, the next starts with an empty folder."""
        rng = np.random.default_rng(self.seed)
        make_photos(self.place / "photos", self.photos, rng)
        if self.shards:
            make_shards(self.place / "photos", self.shards)
        (self.place / "key").write_bytes(b"a key of the soak, no secret")
        start = time.monotonic()
        if self._apply("alone").wait(PATIENCE):
            raise DataError(f"the run that was left alone failed: look at 'facepriv check {self.method}'")
        alone = time.monotonic() - start
        while len(self.there) < kills:
            self._killed_after(float(rng.uniform(0, alone)))
        last = self._apply("killed")
        if last.wait(PATIENCE):
            self.wrong.append(f"the last run ended with exit code {last.returncode}")
        self.wrong += differences(self.place / "alone", self.place / "killed")

    def _killed_after(self, seconds: float) -> None:
        run = self._apply("killed")
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            there, wrong = look(self.place / "killed")
            self.there.append(there)
            self.wrong += [f"after kill {len(self.there)}: {text}" for text in wrong]
            return
        if run.returncode:
            raise DataError(f"a run ended with exit code {run.returncode} before it was killed")
        shutil.rmtree(self.place / "killed")

    def _apply(self, out: str) -> subprocess.Popen[bytes]:
        """Start or resume a run in a new process group."""
        words = f"apply photos -o {out} --method {self.method} --obfuscate gender --key-file key --resume"
        command = [sys.executable, "-m", "facepriv", *words.split(), "--workers", str(self.workers)]
        quiet = subprocess.DEVNULL
        own = {**os.environ, "XDG_STATE_HOME": str(self.place / "state")}
        return subprocess.Popen(command, cwd=self.place, stdout=quiet, stderr=quiet, start_new_session=True, env=own)


def make_photos(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Write views of the demonstration's two portraits, as JPEG and PNG, some in a subfolder."""
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
            wrong.append(f"{name}: is not in the manifest")
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
