"""Hash the output of every method for some photos, to compare two versions of facepriv byte for byte.

Writes a JSON file: method -> file -> SHA-256 of the protected photo, gender and age hidden with a fixed key. Run it
with each version, then compare the files. Without FILES it takes the two public-domain portraits.

    python benchmarks/output_hashes.py -o before.json
    python benchmarks/output_hashes.py --files photos.txt -o after.json --against before.json
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from shared import Benchmark, write_json

from facepriv.registry import registry
from facepriv.samples import portraits

KEY = b"the same draws in every version"


@click.command(cls=Benchmark, help=__doc__)
@click.option("--files", type=click.Path(path_type=Path, exists=True), help="Text file, one photo a line.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="JSON file to write.")
@click.option("--against", type=click.Path(path_type=Path, exists=True), help="Such a file of another version.")
@click.option("--method", "methods", multiple=True, help="[default: all that are installed]")
@click.option("--detector", default="auto", show_default=True, help="As for facepriv apply.")
def main(files: Path | None, out: Path, against: Path | None, methods: tuple[str, ...], detector: str) -> None:
    listed = files.read_text().splitlines() if files else [str(portrait.path) for portrait in portraits()]
    photos = [photo for photo in listed if photo]
    names = methods or sorted(registry().descriptors("method"))
    hashes = {name: _hashes(name, photos, detector) for name in names}
    write_json(out, hashes)
    print(f"{len(names)} methods, {len(photos)} photos each")
    if against:
        other = json.loads(against.read_text())
        changed = [f"{m}: {f}" for m in hashes for f, own in hashes[m].items() if other.get(m, {}).get(f) != own]
        print(f"{len(changed)} files differ from {against}", *changed[:20], sep="\n  ")
        sys.exit(bool(changed))


def _hashes(method: str, photos: list[str], detector: str) -> dict[str, str]:
    """Return file -> hash of its protected photo, or the reason why there is none."""
    with TemporaryDirectory() as folder:
        key, made = Path(folder) / "key", Path(folder) / "out"
        key.write_bytes(KEY)
        known = registry().create("method", method).attributes
        hide = ",".join(name for name in ("gender", "age") if name in known)
        found = {}
        # Chunks keep the command line short; names are unique within a chunk of one folder level.
        call = [sys.executable, "-m", "facepriv", "apply", *photos, "-o", str(made), "--method", method]
        call += [
            "--obfuscate",
            hide,
            "--key-file",
            str(key),
            "--on-no-face",
            "skip",
            "--workers",
            "1",
            "--detector",
            detector,
        ]
        done = subprocess.run(call, capture_output=True, text=True)
        for photo in photos:
            path = made / Path(photo).name
            found[Path(photo).name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
        if set(found.values()) == {"none"}:
            print(f"{method}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return found


if __name__ == "__main__":
    main()
